-- Raises the low watermark and lowers the high one, where the values given are stricter.
--
-- ?1 rollup, ?2 validator, ?3 duty type, ?4 low, ?5 high (null: not given), ?6 time
--
-- The two-argument max() and min() of SQLite are null if one argument is; coalesce() gives the other one then.
insert into ha_signer_watermarks
  (rollup_address, validator_address, duty_type, low_slot, high_slot, updated_at)
values (?1, ?2, ?3, ?4, ?5, ?6) on conflict do update
set low_slot = max(coalesce(low_slot, ?4), coalesce(?4, low_slot)),
    high_slot = min(coalesce(high_slot, ?5), coalesce(?5, high_slot)), updated_at = ?6
where ?4 > coalesce(low_slot, -1) or (?5 is not null and (high_slot is null or ?5 < high_slot))
