r.rollup_address = k.rollup and r.validator_address = k.validator and r.slot = k.slot and r.duty_type = k.duty_type
and r.block_index = k.block_index
