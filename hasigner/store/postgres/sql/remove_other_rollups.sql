-- Deletes signed rows of other rollups that are older than an age, unless another transaction has them locked.
--
-- $1 limit, $2 age in ms, $3 own rollup
with {rollups},
other_rollups (rollup) as materialized (
  select r.rollup from rollups r where r.rollup is not null and lower(r.rollup) <> $3::text),
chosen as materialized (
  select d.row_ctid from other_rollups r
  cross join lateral (
    select d.ctid as row_ctid from validator_duties d
    where d.rollup_address = r.rollup
      and d.status = 'signed' and d.started_at <= {statement_time_utc} - $2::bigint * interval '1 millisecond'
    order by d.rollup_address, d.validator_address, d.slot limit $1::bigint for update skip locked) d
  limit $1::bigint)
delete from validator_duties v where v.ctid = any (array (select c.row_ctid from chosen c))
