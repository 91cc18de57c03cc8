-- Registers another incarnation of a node.
--
-- ?1 node id, ?2 incarnation, ?3 time, ?4 end of the lease, ?5 earlier incarnations, comma-separated
update ha_signer_nodes set incarnation = ?2, registered_at = ?3, heartbeat_at = ?3, lease_until = ?4,
  former = ?5 where node_id = ?1
