-- Registers a node id for the first time.
--
-- ?1 node id, ?2 incarnation, ?3 time, ?4 end of the lease
insert into ha_signer_nodes (node_id, incarnation, registered_at, heartbeat_at, lease_until)
values (?1, ?2, ?3, ?3, ?4)
