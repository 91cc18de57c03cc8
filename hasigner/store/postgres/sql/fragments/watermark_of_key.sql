w.rollup_address = k.rollup and w.validator_address in (k.validator, 'every') and w.duty_type = k.duty_type
