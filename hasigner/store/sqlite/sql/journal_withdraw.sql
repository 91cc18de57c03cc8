-- Takes back the entry of a duty, if it has this message.
--
-- ?1 rollup, ?2 slot, ?3 validator, ?4 duty type, ?5 block index, ?6 message hash
delete from journal_entries
where rollup_address = ?1 and slot = ?2 and validator_address = ?3 and duty_type = ?4
  and block_index_within_checkpoint = ?5 and message_hash = ?6
