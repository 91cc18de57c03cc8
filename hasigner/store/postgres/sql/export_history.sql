-- Reads all duties and all watermarks by one snapshot.
--
-- Rows: DutyColumn, then the columns of watermarks.sql; one of the two parts is null
--
-- What was released on the claims of other nodes is a duty too: signed, or (while its signature is not stored) being signed
-- by a foreign node. Where the node has deleted its row, it stands alone; a later claim with other data, for which nothing
-- was signed, gives way to it.
select {duty_columns}, null, null, null, null::bigint, null::bigint, null from validator_duties d
where d.status <> 'signing' or not exists (
  select from ha_signer_released r
  where r.rollup_address = d.rollup_address and r.validator_address = d.validator_address and r.slot = d.slot
    and r.duty_type = d.duty_type and r.block_index = d.block_index_within_checkpoint
    and r.message_hash <> lower(d.message_hash))
union all
select r.rollup_address, r.validator_address, r.slot, 0, 0, r.block_index, r.duty_type,
       case when r.signature is null then 'signing' else 'signed' end, r.message_hash, r.signature, r.node_id,
       repeat('f', 32), to_char(r.released_at at time zone 'UTC', {time_format}),
       case when r.signature is not null then to_char(r.released_at at time zone 'UTC', {time_format}) end, null,
       null, null, null, null, null, null
from ha_signer_released r
where not exists (
  select from validator_duties d
  where d.rollup_address = r.rollup_address and d.validator_address = r.validator_address and d.slot = r.slot
    and d.duty_type = r.duty_type and d.block_index_within_checkpoint = r.block_index
    and (d.status = 'signed' or lower(d.message_hash) = r.message_hash))
union all
select null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, {watermark_columns}
from ha_signer_watermarks w
