-- Stands at the end of `from`, and begins `where`.
left join lateral (
  select true as forbids from ha_signer_watermarks w
  where {watermark_of_key} and (w.low_slot >= k.slot or w.high_slot < k.slot) offset 0) w on true
where w.forbids is null and {history_is_current}
