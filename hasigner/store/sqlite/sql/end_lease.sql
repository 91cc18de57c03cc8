-- Ends the lease of an incarnation.
--
-- ?1 node id, ?2 incarnation, ?3 time
update ha_signer_nodes set lease_until = ?3 where node_id = ?1 and incarnation = ?2
