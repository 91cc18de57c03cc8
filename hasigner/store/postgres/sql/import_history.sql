-- Imports duties and watermarks, unless a duty contradicts what is in the table: then nothing is written.
--
-- $1 to $15: arrays, a column each, in the order of DutyColumn
-- $16 rollup, $17 validator, $18 duty type, $19 low, $20 high: arrays, the watermarks
-- $21 lock time-out in ms
-- Rows: one: number of rows inserted, changed from `signing` to `signed`, in conflict
--
-- Writers are held off before anything is written, so that no attempt records a slot that a raised watermark forbids.
-- But the statement's snapshot is older than that. Two errors make the whole statement fail, instead of half succeeding,
-- when an attempt came in between: unique_violation for a row that was inserted meanwhile, division_by_zero for a row
-- that was changed meanwhile.
with {durably},
lock_timeout as materialized (select set_config('lock_timeout', $21::text, true)),
held_off as materialized (select ha_signer_hold_off_writers() as held from lock_timeout),
imported as materialized (
  select k.*, d.status as own_status, d.message_hash as own_hash
  from held_off cross join {rows_to_import}
  {row_under_own_key}),
{conflicts},
inserted as (
  insert into validator_duties (
    rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type, status,
    message_hash, signature, node_id, lock_token, started_at,
    completed_at{from v2: , checkpoint_number}{from v3: , expires_at})
  select k.rollup, k.validator, k.slot, k.block_number, k.block_index, k.duty_type, k.status, k.message_hash,
         k.signature, k.node_id, k.lock_token, k.started_at,
         k.completed_at{from v2: , k.checkpoint_number}{from v3: , k.expires_at}
  from durably cross join imported k
  where k.own_hash is null and not exists (select from conflicts)
  order by k.ord
  returning 1),
changed as (
  update validator_duties d
  set status = k.status, signature = k.signature, node_id = k.node_id, lock_token = k.lock_token,
      started_at = k.started_at, completed_at = k.completed_at, block_number = k.block_number
      {from v2: , checkpoint_number = k.checkpoint_number}{from v3: , expires_at = k.expires_at}
  from imported k
  where {whole_key} and k.own_status = 'signing' and k.status = 'signed' and {being_signed}
    and lower(d.message_hash) = lower(k.message_hash) and not exists (select from conflicts)
  returning 1),
raised as (
  insert into ha_signer_watermarks as w (rollup_address, validator_address, duty_type, low_slot, high_slot, updated_at)
  select lower(m.rollup), lower(m.validator), m.duty_type, max(m.low), min(m.high), statement_timestamp()
  from held_off cross join unnest($16::text[], $17::text[], $18::text[], $19::bigint[], $20::bigint[])
    as m (rollup, validator, duty_type, low, high)
  where not exists (select from conflicts)
  group by 1, 2, 3 order by 1, 2, 3
  on conflict (rollup_address, validator_address, duty_type) do update
    set low_slot = greatest(w.low_slot, excluded.low_slot), high_slot = least(w.high_slot, excluded.high_slot),
        updated_at = excluded.updated_at
    where (greatest(w.low_slot, excluded.low_slot), least(w.high_slot, excluded.high_slot))
          is distinct from (w.low_slot, w.high_slot)
  returning 1)
select i.n, c.n, f.n, 1 / (f.n > 0 or c.n = e.n)::int
from (select count(*) as n from inserted) i, (select count(*) as n from changed) c,
     (select count(*) as n from conflicts) f,
     (select count(*) as n from imported k where k.own_status = 'signing' and k.status = 'signed') e
