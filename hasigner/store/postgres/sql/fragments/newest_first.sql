order by d.slot desc, d.rollup_address, d.validator_address, d.duty_type, d.block_index_within_checkpoint
limit $8::bigint
