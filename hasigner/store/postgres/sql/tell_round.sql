-- Says which round this incarnation has completed, and which slots it has reached.
--
-- $1 node id, $2 incarnation, $3 round, $4 slots
-- Rows: one if the incarnation is registered
update ha_signer_nodes n
set journal_incarnation = n.incarnation, journal_completed = greatest(n.journal_completed, $3::bigint), journal_slots = $4::text
where n.node_id = $1::text and n.incarnation = $2::text
returning 1
