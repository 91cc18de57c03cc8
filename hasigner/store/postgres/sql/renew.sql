-- Renews the lease of an incarnation.
--
-- $1 node id, $2 incarnation, $3 lease in ms
-- Rows: one if it was renewed
update ha_signer_nodes n
set heartbeat_at = clock_timestamp(), lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
where n.node_id = $1::text and n.incarnation = $2::text returning 1
