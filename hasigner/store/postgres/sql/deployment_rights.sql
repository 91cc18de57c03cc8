-- Lists the rights on the objects that are there, those that a signer needs and those that it should not have, and whether
-- this role has them.
--
-- Rows: kind of the object, the object quoted, the right, whether a signer needs it, whether the role has it, to whom it was
-- granted so that the role has it: public, the role itself, roles that it is a member of (null: to none of them)
with shown as (
  select distinct on (c.relname) c.relname, c.oid, c.relnamespace, c.relacl, c.relowner
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relname in ('validator_duties', 'schema_version', 'ha_signer_schema', 'ha_signer_cluster', 'ha_signer_nodes',
                      'ha_signer_watermarks', 'ha_signer_released', 'ha_signer_key_switches')
    and c.relkind = 'r' and n.nspname = any (current_schemas(true))
  order by c.relname, array_position(current_schemas(true), n.nspname)),
wanted (name, needed, excessive) as (
  values ('validator_duties', array['select', 'insert', 'update', 'delete'], array['truncate', 'trigger']),
         ('ha_signer_nodes', array['select', 'insert', 'update', 'delete'], array['truncate', 'trigger']),
         ('ha_signer_released', array['select', 'insert', 'delete'], array['truncate', 'trigger']),
         ('ha_signer_key_switches', array['select', 'insert', 'update'], array['truncate', 'trigger']),
         ('ha_signer_watermarks', array['select'], array['insert', 'update', 'delete', 'truncate', 'trigger']),
         ('ha_signer_cluster', array['select'], array['insert', 'update', 'delete', 'truncate', 'trigger']),
         ('ha_signer_schema', array['select'], array['insert', 'update', 'delete', 'truncate', 'trigger']),
         ('schema_version', array['select'], array['insert', 'update', 'delete', 'truncate', 'trigger'])),
asked as (
  select 'table' as kind, s.oid::regclass::text as object, r.privilege, r.privilege = any (w.needed) as is_needed,
         has_table_privilege(s.oid, r.privilege) as is_granted, coalesce(s.relacl, acldefault('r', s.relowner)) as acl
  from wanted w join shown s on s.relname = w.name cross join unnest(w.needed || w.excessive) as r (privilege)
  union all
  -- What was released may be signed and confirmed again, not changed to another message.
  select 'table', s.oid::regclass::text, 'update (signature, confirmed_at)', true,
         has_column_privilege(s.oid, 'signature', 'update') and has_column_privilege(s.oid, 'confirmed_at', 'update'), null
  from shown s where s.relname = 'ha_signer_released'
  union all
  select 'schema', n.oid::regnamespace::text, r.privilege, r.privilege = 'usage', has_schema_privilege(n.oid, r.privilege),
         coalesce(n.nspacl, acldefault('n', n.nspowner))
  from shown s join pg_catalog.pg_namespace n on n.oid = s.relnamespace, unnest(array['usage', 'create']) as r (privilege)
  where s.relname = 'validator_duties'
  union all
  select 'function', p.oid::regprocedure::text, 'execute', p.proname <> 'ha_signer_set_watermark',
         has_function_privilege(p.oid, 'execute'), coalesce(p.proacl, acldefault('f', p.proowner))
  from shown s join pg_catalog.pg_proc p on p.pronamespace = s.relnamespace
  where s.relname = 'validator_duties' and p.proname in ('ha_signer_claim_signed', 'ha_signer_forbid_up_to', 'ha_signer_set_watermark')
  union all
  select 'function', p.oid::regprocedure::text, 'execute', true, has_function_privilege(p.oid, 'execute'), null
  from pg_catalog.pg_proc p
  where p.pronamespace = 'pg_catalog'::regnamespace
    and p.proname in ('pg_control_system', 'pg_current_wal_lsn', 'pg_walfile_name'))
select kind, object, privilege, is_needed, is_granted,
       (select string_agg(distinct case when g.grantee = 0 then 'public' else g.grantee::regrole::text end, ', ')
        from aclexplode(acl) g
        where g.privilege_type = upper(privilege) and (g.grantee = 0 or pg_has_role(g.grantee, 'usage'))) as granted_to
from asked
