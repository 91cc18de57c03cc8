-- Counts what remove_other_rollups.sql would delete without a limit.
--
-- $1 age in ms, $2 own rollup
-- Rows: one, the count
with {rollups},
other_rollups (rollup) as materialized (
  select r.rollup from rollups r where r.rollup is not null and lower(r.rollup) <> $2::text)
select coalesce(sum(d.n), 0) from other_rollups r
cross join lateral (
  select count(*) as n from validator_duties d
  where d.rollup_address = r.rollup
    and d.status = 'signed' and d.started_at <= {statement_time_utc} - $1::bigint * interval '1 millisecond') d
