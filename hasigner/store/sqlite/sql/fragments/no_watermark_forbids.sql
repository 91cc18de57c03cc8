-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator.
not exists (select 1 from ha_signer_watermarks w where w.rollup_address = ?1
            and w.validator_address in (?4, 'every') and w.duty_type = ?3 and (w.low_slot >= ?2 or w.high_slot < ?2))
