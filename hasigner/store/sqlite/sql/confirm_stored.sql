-- Writes the row of a node, so that its commit makes durable what was read before.
--
-- ?1 node id, ?2 time
update ha_signer_nodes set witnessed_at = ?2 where node_id = ?1
