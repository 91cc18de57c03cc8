-- Makes this node the holder of rows `signing` whose holder's lease has run out, with the same data or other data.
--
-- $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index: the duty; $6 message hash, $7 lock token seen,
-- $8 new lock token, $10 block number, $11 checkpoint number (arrays, in the form for many)
-- $9 node id
-- Rows: `ord` of what is held now
--
-- record.sql explains `locked`. As durable as a record: take_over.sql says why.
with {durably},
locked as materialized (
  select d.row_ctid, k.ord, k.lock_token, k.message_hash, k.block_number, k.checkpoint_number
  from {batch: {duty_key}, $6::text message_hash, $7::text seen, $8::text lock_token, $10::bigint block_number,
               $11::bigint checkpoint_number}
  cross join lateral (
    select d.ctid as row_ctid from validator_duties d where {whole_key} and ({row_to_replace}) limit 1
    for update skip locked) d
  limit (select null::bigint))
update validator_duties v
set node_id = $9::text, lock_token = l.lock_token, started_at = {now_utc}, message_hash = l.message_hash,
    block_number = l.block_number{from v2: , checkpoint_number = l.checkpoint_number}
from durably cross join locked l where v.ctid = l.row_ctid returning l.ord
