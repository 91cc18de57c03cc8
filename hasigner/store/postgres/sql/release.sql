-- Deletes rows `signing`, each under its lock token.
--
-- $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index: the duty; $6 lock token (arrays, in the form for many)
-- Rows: `ord` of what is deleted now
--
-- record.sql explains `locked`.
with locked as materialized (
  select d.row_ctid, k.ord
  from {batch: {duty_key}, $6::text lock_token}
  cross join lateral (
    select d.ctid as row_ctid from validator_duties d where {whole_key} and ({row_to_release}) limit 1
    for update skip locked) d
  limit (select null::bigint))
delete from validator_duties v using locked l where v.ctid = l.row_ctid returning l.ord
