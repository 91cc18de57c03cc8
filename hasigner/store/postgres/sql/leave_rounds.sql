-- Says that the database has all that is in the journal of this incarnation, which ends.
--
-- $1 node id, $2 incarnation
update ha_signer_nodes n
set journal_incarnation = null, journal_slots = null
where n.node_id = $1::text and n.incarnation = $2::text
