-- Finds the columns of the shared tables.
--
-- Rows: table, name, type
--
-- Names are looked up in the catalogs: to_regclass() would see what was committed after the snapshot.
with shown as (
  select distinct on (c.relname) c.relname, c.oid
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relname in ('validator_duties', 'schema_version') and n.nspname = any (current_schemas(true))
  order by c.relname, array_position(current_schemas(true), n.nspname))
select s.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
from pg_catalog.pg_attribute a join shown s on s.oid = a.attrelid
where a.attnum > 0 and not a.attisdropped
order by a.attnum
