-- Releases messages that nodes have claimed: writes for each the one message of its duty, unless another one stands there.
--
-- $1 rollup, $2 validator, $3 message hash, $4 digest, $5 signature (null: it is not made yet), $6 duty types that fit,
-- comma-separated, $7 slot (null: any) (arrays, in the form for many)
-- $8 node id; $9 oid of the table, $10 timeline (8 hex digits) and $11 oid of ha_signer_released that are known
-- $12 the latest slot that is plausible (null: every slot is)
-- Rows: ReleasedColumn, one for each row `signing` that has this message: it may be claimed for several duties
--
-- `locked` locks the claimed rows until this transaction ends, so that none is deleted or replaced before it has
-- committed: whatever claims the duty afterwards sees what was released. It leaves out rows that another transaction has
-- locked, and rows that are not as the snapshot shows them; then the request is sent again.
--
-- `written` writes a message that is claimed for several duties for all of them or, if one is refused or not locked, for
-- none.
--
-- The insert waits for another service that is writing the same duty. Rows are written in the order of their keys, so that
-- two services wait for each other and never deadlock. A repetition writes the row again: only then does its commit wait
-- for the disk and for replication again.
with {durably},
lock_timeout as materialized (select set_config('lock_timeout', '1000', true) from durably),
claimed as materialized (
  select k.ord, k.message_hash, k.digest, k.signature, k.duty_types, k.asked_slot, d.row_ctid, k.rollup, k.validator,
         d.slot, d.duty_type, d.block_index
  from lock_timeout
  cross join {batch: $1::text rollup, $2::text validator, $3::text message_hash, $4::text digest, $5::text signature,
                     $6::text duty_types, $7::bigint asked_slot}
  cross join lateral (
    select d.ctid as row_ctid, d.slot, d.duty_type::text, d.block_index_within_checkpoint as block_index
    from validator_duties d where {claimed_row} and {table_is_known} offset 0) d),
judged as materialized (
  select k.*, w.low_slot, least(w.high_slot, $12::bigint) as high_slot, o.message_hash as other_hash, o.node_id as other_node
  from claimed k
  left join lateral (
    select max(w.low_slot) as low_slot, min(w.high_slot) as high_slot
    from ha_signer_watermarks w where {watermark_of_key} offset 0) w on true
  left join lateral (
    select d.message_hash, d.node_id from validator_duties d
    where d.rollup_address = k.rollup and d.validator_address = k.validator and d.slot = k.slot
      and d.duty_type = k.duty_type and d.block_index_within_checkpoint <> k.block_index
      and k.duty_type <> 'BLOCK_PROPOSAL' and lower(d.message_hash) <> k.message_hash
    union all
    select d.message_hash, d.node_id from validator_duties d
    where d.slot = k.slot and {in_upper_case} and lower(d.rollup_address) = k.rollup
      and lower(d.validator_address) = k.validator and d.duty_type = k.duty_type and {index_of_same_duty}
      and lower(d.message_hash) <> k.message_hash
    limit 1) o on true),
locked as materialized (
  select k.*
  from judged k
  cross join lateral (
    select from validator_duties d where d.ctid = k.row_ctid and {claimed_row} limit 1 for share skip locked) d
  where k.other_hash is null and (k.low_slot is null or k.low_slot < k.slot)
    and (k.high_slot is null or k.high_slot >= k.slot) and {history_is_current}),
written as (
  insert into ha_signer_released as r (
    rollup_address, validator_address, slot, duty_type, block_index, message_hash, digest, signature, node_id, released_at,
    confirmed_at)
  select distinct on (k.rollup, k.validator, k.slot, k.duty_type, k.block_index)
         k.rollup, k.validator, k.slot, k.duty_type, k.block_index, k.message_hash, k.digest, k.signature, $8::text,
         clock_timestamp(), clock_timestamp()
  from locked k
  where k.ord not in (
    select j.ord from judged j left join locked l on l.ord = j.ord and l.row_ctid = j.row_ctid where l.ord is null)
  order by k.rollup, k.validator, k.slot, k.duty_type, k.block_index, k.ord
  on conflict on constraint ha_signer_released_pkey do update
    set signature = coalesce(r.signature, excluded.signature), confirmed_at = excluded.confirmed_at
    where r.message_hash = excluded.message_hash and r.digest = excluded.digest
  returning r.rollup_address, r.validator_address, r.slot, r.duty_type, r.block_index, r.message_hash, r.digest, r.signature)
select k.ord, k.slot, k.duty_type, k.block_index, n.message_hash is not null as is_written, n.signature,
       k.low_slot, k.high_slot, k.other_hash, k.other_node, r.message_hash as released_hash, r.digest as released_digest,
       r.node_id as released_by
from judged k
left join written n
  on n.message_hash = k.message_hash and n.digest = k.digest and n.slot = k.slot and n.duty_type = k.duty_type
  and n.block_index = k.block_index and n.validator_address = k.validator and n.rollup_address = k.rollup
left join lateral (
  select r.message_hash, r.digest, r.node_id from ha_signer_released r where {released_of_key} offset 0) r on true
