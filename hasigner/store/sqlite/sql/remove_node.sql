-- Takes a node out of the registry.
--
-- ?1 node id
delete from ha_signer_nodes where node_id = ?1
