-- Finds the incarnation that is registered for a node.
--
-- $1 node id
-- Rows: incarnation, heartbeat, rest of the lease in ms
select n.incarnation, extract(epoch from n.heartbeat_at),
       greatest(0, ceil(extract(epoch from n.lease_until - clock_timestamp()) * 1000))::bigint
from ha_signer_nodes n where n.node_id = $1::text
