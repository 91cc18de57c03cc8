-- Lists the nodes with the time of their first registration.
--
-- Rows: lock number, node id, registered at, heartbeat at
select lock_number, node_id, registered_at, heartbeat_at from ha_signer_nodes order by node_id
