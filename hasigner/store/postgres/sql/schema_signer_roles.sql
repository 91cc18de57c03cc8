-- Finds the roles that were made signers: those that may write the registry of nodes, without its owner.
--
-- Rows: the role, `public` for all
select distinct case acl.grantee when 0 then 'public' else acl.grantee::regrole::text end as role
from pg_catalog.pg_class c, lateral aclexplode(c.relacl) acl
where c.oid = to_regclass('ha_signer_nodes') and acl.privilege_type = 'INSERT' and acl.grantee <> c.relowner
order by 1
