-- Takes the time from the entry of a duty, if it has this message: whether that was released is never known.
--
-- ?1 rollup, ?2 slot, ?3 validator, ?4 duty type, ?5 block index, ?6 message hash
update journal_entries set written_at = 0
where rollup_address = ?1 and slot = ?2 and validator_address = ?3 and duty_type = ?4
  and block_index_within_checkpoint = ?5 and message_hash = ?6
