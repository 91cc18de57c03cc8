-- Finds the incarnation that is registered for a node.
--
-- $1 node id
-- Rows: incarnation, heartbeat
select n.incarnation, extract(epoch from n.heartbeat_at)
from ha_signer_nodes n where n.node_id = $1::text
