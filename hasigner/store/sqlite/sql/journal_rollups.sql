-- Lists the rollups of a journal.
--
-- Rows: rollup, number of its entries, its highest slot, when its latest entry was written
select rollup_address, count(*), max(slot), max(written_at) from journal_entries group by rollup_address
