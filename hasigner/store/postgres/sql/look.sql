-- Finds what is known about the duties of a batch: their rows, rows that speak of the same duty, watermarks, and the message
-- that was released on the claim of a node that asks without a signing context: a row with the status `released`, whose
-- lock_token is the digest that was signed.
--
-- $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index: the duty (arrays, in the form for many)
-- Rows: LookColumn
--
-- Rows under the duty's own key and under foreign block indexes come in one lookup; the reader tells them apart. Rows in
-- another letter case come once for each slot of the batch and without `ord`; the reader matches them, since a slot can
-- have as many of them as the batch has duties.
select k.ord, w.low_slot, w.high_slot,
       d.block_index_within_checkpoint, d.status, d.message_hash, d.signature, d.node_id, d.lock_token,
       case when d.status = 'signing' and {fenced_token} then (
         select case when {token_of_this_incarnation}
                       then case when n.lease_until > clock_timestamp() then 'alive' else 'expired' end
                     when {token_of_former_incarnation} then 'expired' end
         from ha_signer_nodes n where n.node_id = d.node_id) end as holder,
       null::text as written_rollup, null::text as written_validator, null::bigint as written_slot,
       null::text as written_duty_type
from {batch: {duty_key}}
left join lateral (
  select max(w.low_slot) as low_slot, min(w.high_slot) as high_slot
  from ha_signer_watermarks w where {watermark_of_key} offset 0) w on true
left join lateral (
  select d.block_index_within_checkpoint, d.status, d.message_hash, d.signature, d.node_id, d.lock_token
  from validator_duties d where {whole_key_or_foreign_index} offset 0) d on true
union all
select null, null, null,
       d.block_index_within_checkpoint, d.status, d.message_hash, d.signature, d.node_id, d.lock_token,
       null, d.rollup_address, d.validator_address, d.slot, d.duty_type
from {one: (select $3::bigint as slot) s}
     {many: (select distinct s.slot from unnest((select $3::bigint[])) as s (slot)) s}
cross join lateral (
  select d.block_index_within_checkpoint, d.status, d.message_hash, d.signature, d.node_id, d.lock_token,
         d.rollup_address, d.validator_address, d.slot, d.duty_type
  from validator_duties d where d.slot = s.slot and {in_upper_case} offset 0) d
union all
select k.ord, null, null, null, 'released', r.message_hash, r.signature, r.node_id, r.digest, null, null, null, null, null
from {batch: {duty_key}}
cross join lateral (
  select r.message_hash, r.signature, r.node_id, r.digest from ha_signer_released r where {released_of_key} offset 0) r
