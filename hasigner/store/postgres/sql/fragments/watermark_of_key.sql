w.rollup_address = k.rollup and w.validator_address = k.validator and w.duty_type = k.duty_type
