-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator, ?5 block index.
rollup_address = ?1 and slot = ?2 and duty_type = ?3 and validator_address = ?4
and block_index_within_checkpoint = ?5
