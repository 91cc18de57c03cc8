-- Says which rights this role lacks of those without which nothing can be signed.
--
-- Rows: the right and its table
--
-- Of a table that is not there nothing is said: the check of a session says that.
select o.privilege || ' on ' || o.name
from (values ('validator_duties', 'select'), ('validator_duties', 'insert'), ('validator_duties', 'update'),
             ('validator_duties', 'delete'), ('ha_signer_nodes', 'select'), ('ha_signer_nodes', 'insert'),
             ('ha_signer_nodes', 'update'), ('ha_signer_watermarks', 'select'), ('ha_signer_released', 'select'),
             ('ha_signer_key_switches', 'select')) as o (name, privilege)
where not has_table_privilege(to_regclass(o.name), o.privilege)
