-- Removes a node whose lease has run out and which has no row `signing`.
--
-- $1 node id
-- Rows: one: whether it was removed; whether, by the snapshot, it is registered, alive, and still signs
with signs as materialized (
  select exists (select from validator_duties d where d.node_id = $1::text and {being_signed}) as it),
removed as (
  delete from ha_signer_nodes n using signs
  where n.node_id = $1::text and n.lease_until <= clock_timestamp() and not signs.it
  returning 1)
select exists (select from removed) as removed, n.node_id is not null as registered,
       n.lease_until > clock_timestamp() as alive, signs.it as signs
from signs left join ha_signer_nodes n on n.node_id = $1::text
