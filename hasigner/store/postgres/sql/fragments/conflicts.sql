-- Rows in the table that speak of the same duty as a row to import, with another message hash: the row under its very
-- key; where there is none, rows under another letter case of it or a foreign block index. And messages that were released
-- on the claims of other nodes, whatever became of their rows.
others as materialized (
  select k.ord, d.message_hash from imported k
  cross join lateral (
    select d.message_hash from validator_duties d
    where d.rollup_address = lower(k.rollup) and d.validator_address = lower(k.validator) and d.slot = k.slot
      and d.duty_type = k.duty_type and {index_of_same_duty} offset 0) d
  where k.own_hash is null
  union all
  select k.ord, d.message_hash from imported k
  cross join lateral (
    select d.message_hash from validator_duties d
    where d.slot = k.slot and {in_upper_case} and lower(d.rollup_address) = lower(k.rollup)
      and lower(d.validator_address) = lower(k.validator) and d.duty_type = k.duty_type and {index_of_same_duty}
    offset 0) d
  where k.own_hash is null
  union all
  select k.ord, r.message_hash from imported k
  cross join lateral (
    select r.message_hash from ha_signer_released r
    where r.rollup_address = lower(k.rollup) and r.validator_address = lower(k.validator) and r.slot = k.slot
      and r.duty_type = k.duty_type and (r.block_index = k.block_index or k.duty_type <> 'BLOCK_PROPOSAL') offset 0) r),
conflicts as materialized (
  select k.ord, k.own_hash as message_hash from imported k where lower(k.own_hash) <> lower(k.message_hash)
  union
  select o.ord, o.message_hash from imported k join others o on o.ord = k.ord
  where lower(o.message_hash) <> lower(k.message_hash))
