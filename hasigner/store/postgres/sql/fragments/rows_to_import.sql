-- In the order of DutyColumn.
unnest(
  $1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[], $7::text[], $8::text[],
  $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamp[], $14::timestamp[], $15::timestamp[])
with ordinality as k (rollup, validator, slot, block_number, checkpoint_number, block_index, duty_type, status,
                      message_hash, signature, node_id, lock_token, started_at, completed_at, expires_at, ord)
