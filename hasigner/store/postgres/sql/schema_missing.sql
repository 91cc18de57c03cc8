-- Finds what is missing of our own objects.
--
-- Rows: what it is, with its name
--
-- Names are looked up in the catalogs: to_regclass() would see what was committed after the snapshot.
with shown as (
  select distinct on (c.relname) c.relname, c.oid
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any (current_schemas(true))
  order by c.relname, array_position(current_schemas(true), n.nspname))
select what
from (
  select 'table ' || t, exists (select from shown where relname = t)
  from unnest(array['ha_signer_schema', 'ha_signer_cluster', 'ha_signer_nodes', 'ha_signer_watermarks',
                    'ha_signer_released', 'ha_signer_key_switches']) t
  union all
  select 'index ' || o, exists (
    select from pg_catalog.pg_index i
    join shown t on t.oid = i.indrelid and t.relname = 'validator_duties'
    join shown x on x.oid = i.indexrelid and x.relname = o
    where i.indisvalid)
  from unnest(array['ha_signer_upper_case', 'ha_signer_foreign_index', 'ha_signer_being_signed']) o
  union all
  select 'function ' || f, exists (
    select from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where p.proname = f and n.nspname = any (current_schemas(true)))
  from unnest(array['ha_signer_raise_watermarks', 'ha_signer_raise_watermarks_on_truncate',
                    'ha_signer_raise_watermarks_of_released', 'ha_signer_raise_watermarks_of_released_on_truncate',
                    'ha_signer_check_released', 'ha_signer_keep_to_released',
                    'ha_signer_set_watermark', 'ha_signer_claim_signed', 'ha_signer_forbid_up_to']) f
  union all
  select 'column ha_signer_nodes.' || c, exists (
    select from pg_catalog.pg_attribute a join shown n on n.oid = a.attrelid and n.relname = 'ha_signer_nodes'
    where a.attname = c and not a.attisdropped)
  from unnest(array['journal_incarnation', 'journal_asked', 'journal_completed', 'journal_lost', 'journal_slots']) c
  union all
  select 'trigger ' || t, exists (
    select from pg_catalog.pg_trigger g join shown d on d.oid = g.tgrelid and d.relname = 'validator_duties'
    where g.tgname = t and g.tgenabled = 'A')
  from unnest(array['ha_signer_raise_watermarks', 'ha_signer_raise_watermarks_on_truncate']) t
  union all
  select 'trigger ' || t, exists (
    select from pg_catalog.pg_trigger g join shown d on d.oid = g.tgrelid and d.relname = 'validator_duties'
    where g.tgname = t and g.tgenabled in ('O', 'A'))
  from unnest(array['ha_signer_keep_to_released']) t
  union all
  select 'trigger ' || t, exists (
    select from pg_catalog.pg_trigger g join shown d on d.oid = g.tgrelid and d.relname = 'ha_signer_released'
    where g.tgname = t and g.tgenabled = 'A')
  from unnest(array['ha_signer_raise_watermarks_of_released', 'ha_signer_raise_watermarks_of_released_on_truncate',
                    'ha_signer_check_released']) t
) as own (what, there)
where not there
