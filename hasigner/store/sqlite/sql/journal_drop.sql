-- Drops the entries of a rollup up to a slot.
--
-- ?1 rollup, ?2 slot
delete from journal_entries where rollup_address = ?1 and slot <= ?2
