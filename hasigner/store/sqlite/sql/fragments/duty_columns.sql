rollup_address, validator_address, slot, block_number, checkpoint_number, block_index_within_checkpoint, duty_type,
status, message_hash, signature, node_id, lock_token, started_at, completed_at, expires_at
