-- Renews the lease of an incarnation.
--
-- ?1 node id, ?2 incarnation, ?3 time, ?4 end of the lease
update ha_signer_nodes set heartbeat_at = ?3, lease_until = ?4 where node_id = ?1 and incarnation = ?2
