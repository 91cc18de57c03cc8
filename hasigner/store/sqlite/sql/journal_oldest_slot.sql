-- Finds the slot at which a rollup's entries begin when as many are left out.
--
-- ?1 rollup, ?2 how many
-- Rows: one, the slot
select slot from journal_entries where rollup_address = ?1 order by slot limit 1 offset ?2
