-- What decides whether a database may be used; stands before the last columns of `select`, whose `from` is `there`.
--
-- One statement, and so one snapshot: a migration may commit meanwhile. Names are looked up in the catalogs for the same
-- reason; to_regclass() would see what was committed since. A table that may be missing cannot be named in a statement;
-- query_to_xml() names it only where it is there, and reads it by the snapshot of the statement. Objects of ours in
-- another schema than validator_duties are not the ones that the trigger writes to.
with shown as (
  select distinct on (c.relname) c.relname, c.oid, c.relnamespace
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relname in ('validator_duties', 'schema_version', 'ha_signer_schema', 'ha_signer_cluster', 'ha_signer_nodes',
                      'ha_signer_watermarks', 'ha_signer_released', 'ha_signer_upper_case', 'ha_signer_being_signed')
    and n.nspname = any (current_schemas(true))
  order by c.relname, array_position(current_schemas(true), n.nspname)),
there as (
  select max(oid) filter (where relname = 'validator_duties') as duties,
         max(oid) filter (where relname = 'schema_version') as version,
         max(oid) filter (where relname = 'ha_signer_schema') as own,
         max(oid) filter (where relname = 'ha_signer_cluster') as cluster,
         max(oid) filter (where relname = 'ha_signer_released') as released
  from shown),
tables as (
  select n.nspname, c.relkind = 'r' and c.relpersistence = 'p' and not exists (
           select from pg_catalog.pg_inherits i where c.oid in (i.inhparent, i.inhrelid)) as is_plain
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relname = 'validator_duties' and n.nspname = any (current_schemas(true))),
missing as (
  select o.name from unnest(array['ha_signer_schema', 'ha_signer_cluster', 'ha_signer_nodes', 'ha_signer_watermarks',
                                  'ha_signer_released', 'ha_signer_upper_case', 'ha_signer_being_signed']) as o (name)
  where not exists (
    select from shown s, shown d
    where s.relname = o.name and d.relname = 'validator_duties' and s.relnamespace = d.relnamespace)
  union all
  select 'the trigger ' || o.name from there, unnest(array['ha_signer_raise_watermarks',
                                                          'ha_signer_raise_watermarks_on_truncate',
                                                          'ha_signer_keep_to_released']) as o (name)
  where not exists (
    select from pg_catalog.pg_trigger t
    where t.tgrelid = there.duties and t.tgname = o.name and t.tgenabled in ('O', 'A'))
  union all
  select 'the trigger ' || o.name from there, unnest(array['ha_signer_raise_watermarks_of_released',
                                                          'ha_signer_raise_watermarks_of_released_on_truncate',
                                                          'ha_signer_check_released']) as o (name)
  where there.released is not null and not exists (
    select from pg_catalog.pg_trigger t
    where t.tgrelid = there.released and t.tgname = o.name and t.tgenabled in ('O', 'A')))
select
  pg_is_in_recovery() as is_in_recovery,
  coalesce((select string_agg(nspname, ', ' order by nspname) from tables), ({schemas_elsewhere})) as schemas,
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
  there.duties as table_oid,
  there.released as released_oid,
  extract(epoch from pg_postmaster_start_time())::text as server_started,
  exists (
    select from pg_catalog.pg_proc p join pg_catalog.pg_class d on d.relnamespace = p.pronamespace
    where d.oid = there.duties and has_function_privilege(p.oid, 'execute')
      and p.oid = to_regprocedure('ha_signer_claim_signed(text[], text[], bigint[], text[], int[], bigint[], bigint[], '
                                  || 'text[], text[], text[], text, int, text, oid, text, int)')) as claims_signed,
  exists (
    select from pg_catalog.pg_proc p join pg_catalog.pg_class d on d.relnamespace = p.pronamespace
    join pg_catalog.pg_class n on n.relnamespace = d.relnamespace and n.relname = 'ha_signer_nodes'
    join pg_catalog.pg_attribute a on a.attrelid = n.oid and a.attname = 'journal_slots' and not a.attisdropped
    where d.oid = there.duties and has_function_privilege(p.oid, 'execute')
      and p.oid = to_regprocedure('ha_signer_forbid_up_to(text, text, text[], bigint)')) as has_rounds
