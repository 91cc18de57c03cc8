-- Reads in one statement all that decides whether a session may be used.
--
-- Rows: one, with the columns that session_check.cpp names
--
-- A table that may be missing cannot be named in a statement; query_to_xml() names it only where it is there. Objects of
-- ours in another schema than validator_duties are not the ones that the trigger writes to.
with there as (
  select to_regclass('validator_duties') as duties, to_regclass('schema_version') as version,
         to_regclass('ha_signer_schema') as own, to_regclass('ha_signer_cluster') as cluster),
tables as (
  select n.nspname, c.relkind = 'r' and c.relpersistence = 'p' and not exists (
           select from pg_catalog.pg_inherits i where c.oid in (i.inhparent, i.inhrelid)) as is_plain
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relname = 'validator_duties' and n.nspname = any (current_schemas(true))),
missing as (
  select o.name from there, unnest(array['ha_signer_schema', 'ha_signer_cluster', 'ha_signer_nodes', 'ha_signer_watermarks',
                                         'ha_signer_upper_case']) as o (name)
  where not exists (
    select from pg_catalog.pg_class c, pg_catalog.pg_class d
    where c.oid = to_regclass(o.name) and d.oid = there.duties and c.relnamespace = d.relnamespace)
  union all
  select 'the trigger ' || o.name from there, unnest(array['ha_signer_raise_watermarks',
                                                          'ha_signer_raise_watermarks_on_truncate']) as o (name)
  where not exists (
    select from pg_catalog.pg_trigger t
    where t.tgrelid = there.duties and t.tgname = o.name and t.tgenabled in ('O', 'A')))
select
  pg_is_in_recovery() as is_in_recovery,
  (select string_agg(nspname, ', ' order by nspname) from tables) as schemas,
  (select count(*) from tables) as tables,
  (select bool_and(is_plain) from tables) as is_plain,
  (select string_agg(attname, ',' order by attnum) from pg_catalog.pg_attribute
   where attrelid = there.duties and attnum > 0 and not attisdropped) as columns,
  (select string_agg(a.attname, ',' order by k.position)
   from pg_catalog.pg_index i cross join unnest(i.indkey) with ordinality as k (attnum, position)
   join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
   where i.indrelid = there.duties and i.indisprimary) as key_columns,
  row_security_active(there.duties) as row_security,
  case when there.version is not null then
    substring(query_to_xml('select max(version) as found from schema_version', true, true, '')::text
              from '<found>([0-9]+)</found>') end as schema_version,
  (select string_agg(name, ', ' order by name) from missing) as missing,
  case when there.own is not null then
    substring(query_to_xml('select max(version) as found from ha_signer_schema', true, true, '')::text
              from '<found>([0-9]+)</found>') end as own_version,
  case when there.cluster is not null then
    substring(query_to_xml('select max(cluster_id) as found from ha_signer_cluster', true, true, '')::text
              from '<found>([0-9a-f]+)</found>') end as cluster_id,
  (select system_identifier from pg_control_system()) as system_id,
  case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end as timeline,
  there.duties::oid as table_oid
from there
