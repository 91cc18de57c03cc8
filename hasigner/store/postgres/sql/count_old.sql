-- Counts what remove_old.sql would delete without a limit.
--
-- $1 age in ms
-- Rows: one, the count
select (
  select count(*) from validator_duties d
  where d.status = 'signed' and d.started_at <= {statement_time_utc} - $1::bigint * interval '1 millisecond'
) + (
  select count(*) from validator_duties d
  where d.status = 'signing' and d.started_at <= {statement_time_utc} - $1::bigint * interval '1 millisecond'
    and {fenced_token} and {token_is_registered})
