-- Finds the shared tables, in any schema of the search path, in its order.
--
-- Rows: name, schema, kind, persistence
select c.relname, n.nspname, c.relkind, c.relpersistence
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relname in ('validator_duties', 'schema_version') and n.nspname = any (current_schemas(true))
order by array_position(current_schemas(true), n.nspname)
