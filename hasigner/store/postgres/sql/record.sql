-- Turns rows `signing` into `signed`, each under its lock token.
--
-- $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index: the duty; $6 lock token, $7 message hash (null: any),
-- $8 signature (arrays, in the form for many)
-- $9 oid of the table, $10 timeline (8 hex digits, or empty) and $11 oid of ha_signer_released that are known
-- Rows: `ord` of what is signed now
--
-- `locked` locks the rows that meet the condition, in the order of the batch, and leaves out rows that another
-- transaction has locked.
--
-- The change that follows finds each row by its ctid, which costs next to nothing and leaves the planner no choice.
-- Where another transaction changed a row after this statement's snapshot, the lock is on the new version of the row,
-- which the snapshot does not show: then the row is left alone, as if it had been locked. So a row that is missing in
-- the answer may match all the same: would_record.sql tells.
--
-- The limit of `locked` does not limit. But the planner cannot know that, takes it for a small part of the few rows that it
-- expects, and so goes to each ctid by itself even where the table is almost empty.
--
-- A repetition writes the row again, though nothing in it changes: only then does its commit wait for replication again.
with {durably},
locked as materialized (
  select d.row_ctid, k.ord, k.signature
  from {batch: {duty_key}, $6::text lock_token, $7::text message_hash, $8::text signature}
  cross join lateral (
    select d.ctid as row_ctid from validator_duties d where {whole_key} and ({row_to_record}) limit 1
    for update skip locked) d
  {where_no_watermark_forbids}
  limit (select null::bigint))
update validator_duties v
set status = 'signed', signature = l.signature,
    completed_at = case v.status when 'signed' then v.completed_at else greatest({now_utc}, v.started_at) end
from durably cross join locked l
where v.ctid = l.row_ctid
returning l.ord
