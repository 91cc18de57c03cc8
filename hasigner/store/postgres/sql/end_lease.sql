-- Ends the lease of an incarnation now.
--
-- $1 node id, $2 incarnation
update ha_signer_nodes n set lease_until = least(n.lease_until, clock_timestamp())
where n.node_id = $1::text and n.incarnation = $2::text
