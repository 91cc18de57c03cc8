-- Makes this node the holder of a row `signing`; the caller has decided that it may.
--
-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator, ?5 block index, ?6 lock token seen; ?7 node id, ?8 new lock token,
-- ?9 started at, ?10 message hash, ?11 block number, ?12 checkpoint number
update validator_duties set node_id = ?7, lock_token = ?8, started_at = ?9, message_hash = ?10,
  block_number = ?11, checkpoint_number = ?12
where {duty_key} and status = 'signing' and lock_token = ?6
