-- Finds all nodes of the registry.
select lock_number, node_id, incarnation, heartbeat_at, former from ha_signer_nodes order by node_id
