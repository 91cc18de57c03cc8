-- Whole rows, in the order of DutyColumn.
d.rollup_address, d.validator_address, d.slot, d.block_number,
{from v2: d.checkpoint_number}{below v2: 0::bigint}, d.block_index_within_checkpoint, d.duty_type, d.status,
d.message_hash, d.signature, d.node_id, d.lock_token, to_char(d.started_at, {time_format}),
to_char(d.completed_at, {time_format}), {from v3: to_char(d.expires_at, {time_format})}{below v3: null::text}
