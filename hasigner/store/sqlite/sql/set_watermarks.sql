-- Sets the watermarks of one duty type of a validator.
--
-- ?1 rollup, ?2 validator, ?3 duty type, ?4 low, ?5 high, ?6 time
insert into ha_signer_watermarks
  (rollup_address, validator_address, duty_type, low_slot, high_slot, updated_at)
values (?1, ?2, ?3, ?4, ?5, ?6) on conflict do update
set low_slot = ?4, high_slot = ?5, updated_at = ?6
