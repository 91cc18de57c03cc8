-- Finds what is missing of our own objects.
--
-- Rows: what it is, with its name
select what
from (
  select 'table ' || t, to_regclass(t) is not null
  from unnest(array['ha_signer_schema', 'ha_signer_cluster', 'ha_signer_nodes', 'ha_signer_watermarks']) t
  union all
  select 'index ha_signer_upper_case', exists (
    select from pg_catalog.pg_index
    where indrelid = to_regclass('validator_duties') and indexrelid = to_regclass('ha_signer_upper_case') and indisvalid)
  union all
  select 'function ' || f, to_regproc(f) is not null
  from unnest(array['ha_signer_raise_watermarks', 'ha_signer_raise_watermarks_on_truncate', 'ha_signer_set_watermark']) f
  union all
  select 'trigger ' || t, exists (
    select from pg_catalog.pg_trigger where tgrelid = to_regclass('validator_duties') and tgname = t and tgenabled = 'A')
  from unnest(array['ha_signer_raise_watermarks', 'ha_signer_raise_watermarks_on_truncate']) t
) as own (what, there)
where not there
