-- Looks for the list of the shared migrations and for the table of our own version.
--
-- Rows: one; whether pgmigrations is there, whether ha_signer_schema is there (null: neither is)
--
-- Names are looked up in the catalogs: to_regclass() would see what was committed after the snapshot.
select bool_or(c.relname = 'pgmigrations' and n.nspname = 'public'),
       bool_or(c.relname = 'ha_signer_schema' and n.nspname = any (current_schemas(true)))
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relname in ('pgmigrations', 'ha_signer_schema')
