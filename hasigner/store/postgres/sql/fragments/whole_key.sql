d.rollup_address = k.rollup and d.validator_address = k.validator and d.slot = k.slot
and d.duty_type = k.duty_type and d.block_index_within_checkpoint = k.block_index
