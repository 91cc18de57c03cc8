-- Finds the watermarks that hold for one duty type of a validator: the stricter of its own and those of every validator.
--
-- ?1 rollup, ?2 validator, ?3 duty type
-- Rows: one
select max(low_slot), min(high_slot) from ha_signer_watermarks
where rollup_address = ?1 and validator_address in (?2, 'every') and duty_type = ?3
