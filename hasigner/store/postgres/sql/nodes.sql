-- Lists the nodes.
--
-- Rows: node id, incarnation, heartbeat, whether it is alive, number of earlier incarnations
select n.node_id, n.incarnation, to_char(n.heartbeat_at at time zone 'UTC', {time_format}),
       n.lease_until > clock_timestamp(), cardinality(n.former)
from ha_signer_nodes n order by n.node_id
