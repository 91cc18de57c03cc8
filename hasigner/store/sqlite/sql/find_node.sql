-- Finds a node of the registry.
--
-- ?1 node id
select lock_number, incarnation, former, heartbeat_at from ha_signer_nodes where node_id = ?1
