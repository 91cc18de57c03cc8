-- Says how many connections this role may have.
--
-- Rows: one: those of the server that are not reserved for others, those of all databases at this moment, the limit of the
-- role, the limit of the database (null: without limit)
select current_setting('max_connections')::int
         - case when r.rolsuper then 0 else current_setting('superuser_reserved_connections')::int end
         - case when r.rolsuper then 0 else coalesce(current_setting('reserved_connections', true)::int, 0) end as available,
       (select coalesce(sum(s.numbackends), 0) from pg_catalog.pg_stat_database s) as in_use,
       case when r.rolsuper then null else nullif(r.rolconnlimit, -1) end as role_limit,
       case when r.rolsuper then null else nullif(d.datconnlimit, -1) end as database_limit,
       current_setting('max_connections') as max_connections
from pg_catalog.pg_roles r, pg_catalog.pg_database d
where r.rolname = current_user and d.datname = current_database()
