-- Finds the watermarks of one duty type of a validator.
--
-- ?1 rollup, ?2 validator, ?3 duty type
select low_slot, high_slot from ha_signer_watermarks
where rollup_address = ?1 and validator_address = ?2 and duty_type = ?3
