-- Finds the watermarks of one duty type that were set for a validator itself, or for every validator.
--
-- ?1 rollup, ?2 validator, or every; ?3 duty type
select low_slot, high_slot from ha_signer_watermarks
where rollup_address = ?1 and validator_address = ?2 and duty_type = ?3
