-- Makes this node the holder of rows `signing` that carry the same data.
--
-- $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index: the duty; $6 message hash, $7 lock token seen,
-- $8 new lock token (arrays, in the form for many)
-- $9 node id
-- Rows: `ord` of what is held now
--
-- record.sql explains `locked`.
--
-- As durable as a record: the new owner may be a caller of the step API, who signs as soon as this is answered. A takeover
-- of the same data does not show for whom it is. A repetition writes the row again, too.
with {durably},
locked as materialized (
  select d.row_ctid, k.ord, k.lock_token
  from {batch: {duty_key}, $6::text message_hash, $7::text seen, $8::text lock_token}
  cross join lateral (
    select d.ctid as row_ctid from validator_duties d where {whole_key} and ({row_to_take_over}) limit 1
    for update skip locked) d
  limit (select null::bigint))
update validator_duties v set node_id = $9::text, lock_token = l.lock_token, started_at = {now_utc}
from durably cross join locked l where v.ctid = l.row_ctid returning l.ord
