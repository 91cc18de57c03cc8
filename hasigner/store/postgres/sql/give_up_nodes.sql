-- Says that what stands only in the journals of these nodes is given up: its slots are forbidden. A node whose lease runs is
-- left out, and one that comes back says again that it keeps a journal.
--
-- $1 node ids (array)
with gone as materialized (
  select n.node_id from ha_signer_nodes n
  where n.node_id = any ($1::text[]) and n.lease_until <= clock_timestamp()
  order by n.node_id for update)
update ha_signer_nodes n
set journal_incarnation = null, journal_slots = null
from gone
where n.node_id = gone.node_id
