w.rollup_address, w.validator_address, w.duty_type, w.low_slot, w.high_slot,
to_char(w.updated_at at time zone 'UTC', {time_format})
