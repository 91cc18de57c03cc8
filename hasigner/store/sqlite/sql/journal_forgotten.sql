-- Lists up to which slots a journal has dropped its entries.
--
-- Rows: rollup, slot
select rollup_address, slot from journal_forgotten
