-- Lists the entries of a rollup, the highest slots first.
--
-- ?1 rollup, ?2 how many at most
-- Rows: as journal_find
select rollup_address, slot, validator_address, duty_type, block_index_within_checkpoint, message_hash, signature,
       handed_out_token, written_at
from journal_entries where rollup_address = ?1 order by slot desc limit ?2
