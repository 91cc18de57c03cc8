-- Reads the settings that a deployment depends on, as a session begins with them: what the server, the database, the role
-- and the URL say, before this program sets its own.
--
-- Rows: name, value
select s.name, s.reset_val
from pg_catalog.pg_settings s
where s.name in ('default_transaction_isolation', 'default_transaction_read_only', 'TimeZone', 'fsync', 'full_page_writes',
                 'synchronous_commit')
