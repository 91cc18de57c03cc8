-- Finds the owners of the tables and of their functions.
--
-- Rows: owner quoted, what is owned, whether this role has the owner's rights
with home as (
  select c.relnamespace
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relname = 'validator_duties' and n.nspname = any (current_schemas(true))
  order by array_position(current_schemas(true), n.nspname) limit 1),
owned as (
  select c.relowner as owner, c.oid::regclass::text as object
  from pg_catalog.pg_class c join home h on h.relnamespace = c.relnamespace
  where c.relkind = 'r' and (c.relname in ('validator_duties', 'schema_version') or c.relname like 'ha\_signer\_%')
  union all
  select p.proowner, p.oid::regproc::text
  from pg_catalog.pg_proc p join home h on h.relnamespace = p.pronamespace
  where p.proname like 'ha\_signer\_%')
select o.owner::regrole::text as owner, string_agg(o.object, ', ' order by o.object) as objects,
       pg_has_role(o.owner, 'usage') as is_ours
from owned o group by o.owner order by 1
