-- Asks all nodes to compare their journals, and says that this incarnation keeps one.
--
-- $1 node id, $2 incarnation, $3 whether something was found lost
-- Rows: one with the number of the round, which is higher than any that a node has completed; none where the incarnation
-- is not registered
--
-- Two nodes may ask for one number at once: each compares after it has read it.
with {durably},
next as materialized (
  select coalesce(max(greatest(o.journal_asked, o.journal_completed)), 0) + 1 as round from durably, ha_signer_nodes o)
update ha_signer_nodes n
set journal_incarnation = n.incarnation, journal_asked = next.round,
    journal_lost = case when $3::boolean then next.round else n.journal_lost end
from next
where n.node_id = $1::text and n.incarnation = $2::text
returning n.journal_asked
