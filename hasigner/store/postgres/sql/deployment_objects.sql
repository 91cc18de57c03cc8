-- Finds what was put on the tables and does not belong there.
--
-- Rows: what it is, its name quoted, its table quoted, whether it can change or hide rows that are written or read
with ours as (
  select c.oid, c.relname, c.relrowsecurity
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relname in ('validator_duties', 'ha_signer_schema', 'ha_signer_cluster', 'ha_signer_nodes',
                      'ha_signer_watermarks', 'ha_signer_released', 'ha_signer_key_switches')
    and c.relkind = 'r' and n.nspname = any (current_schemas(true)))
select 'trigger' as kind, quote_ident(t.tgname) as name, o.oid::regclass::text as on_table, t.tgtype & 2 <> 0 as changes_rows
from pg_catalog.pg_trigger t join ours o on o.oid = t.tgrelid
where not t.tgisinternal and t.tgenabled in ('O', 'A')
  and t.tgname not in ('ha_signer_raise_watermarks', 'ha_signer_raise_watermarks_on_truncate', 'ha_signer_keep_to_released',
                       'ha_signer_raise_watermarks_of_released', 'ha_signer_raise_watermarks_of_released_on_truncate',
                       'ha_signer_check_released')
union all
select 'rule', quote_ident(r.rulename), o.oid::regclass::text, true
from pg_catalog.pg_rewrite r join ours o on o.oid = r.ev_class
where r.ev_enabled in ('O', 'A')
union all
select 'row-level security', '', o.oid::regclass::text, true from ours o where o.relrowsecurity
union all
select 'foreign key', quote_ident(k.conname), k.conrelid::regclass::text, false
from pg_catalog.pg_constraint k
where k.contype = 'f' and (k.conrelid in (select o.oid from ours o) or k.confrelid in (select o.oid from ours o))
union all
select 'constraint', quote_ident(k.conname), o.oid::regclass::text, false
from pg_catalog.pg_constraint k join ours o on o.oid = k.conrelid
where k.contype in ('c', 'u', 'x') and k.conname not like 'ha\_signer\_%'
  and k.conname not in ('validator_duties_duty_type_check', 'validator_duties_status_check', 'validator_duties_check')
union all
select 'unique index', i.indexrelid::regclass::text, o.oid::regclass::text, false
from pg_catalog.pg_index i join ours o on o.oid = i.indrelid join pg_catalog.pg_class x on x.oid = i.indexrelid
where i.indisunique and not i.indisprimary and x.relname not in ('ha_signer_schema_one_row', 'ha_signer_cluster_one_row')
  and not exists (select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid)
order by 1, 2, 3
