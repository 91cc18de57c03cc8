-- Inserts a row `signed` for a duty that has no row yet: a claim and its record at once.
--
-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator, ?5 block index, ?6 block number, ?7 checkpoint number,
-- ?8 message hash, ?9 node id, ?10 lock token, ?11 started and completed at, ?12 expires at, ?13 signature
insert into validator_duties (rollup_address, slot, duty_type, validator_address,
  block_index_within_checkpoint, block_number, checkpoint_number, status, message_hash, node_id,
  lock_token, started_at, completed_at, expires_at, signature)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'signed', ?8, ?9, ?10, ?11, ?11, ?12, ?13)
