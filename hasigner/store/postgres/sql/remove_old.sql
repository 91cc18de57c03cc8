-- Deletes rows that are older than an age: the oldest that no other transaction has locked. Rows `signing` only if they
-- are of a registered incarnation.
--
-- $1 limit, $2 age in ms
with first_chunk as materialized (
  select d.ctid as row_ctid from validator_duties d
  where d.status = 'signed' and d.started_at <= {statement_time_utc} - $2::bigint * interval '1 millisecond'
  order by d.started_at limit $1::bigint
  for update of d skip locked),
second_chunk as materialized (
  select d.ctid as row_ctid from validator_duties d
  where d.status = 'signing' and d.started_at <= {statement_time_utc} - $2::bigint * interval '1 millisecond'
    and {fenced_token} and {token_is_registered}
  order by d.started_at limit $1::bigint
  for update of d skip locked)
delete from validator_duties v
where v.ctid = any (array (
  select c.row_ctid
  from (select row_ctid from first_chunk union all select row_ctid from second_chunk) c limit $1::bigint))
