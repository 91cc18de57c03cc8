-- Finds the entry of a duty.
--
-- ?1 rollup, ?2 slot, ?3 validator, ?4 duty type, ?5 block index
-- Rows: rollup, slot, validator, duty type, block index, message hash, signature or null, lock token of a caller or
-- null, seconds since 1970
select rollup_address, slot, validator_address, duty_type, block_index_within_checkpoint, message_hash, signature,
       handed_out_token, written_at
from journal_entries
where rollup_address = ?1 and slot = ?2 and validator_address = ?3 and duty_type = ?4
  and block_index_within_checkpoint = ?5
