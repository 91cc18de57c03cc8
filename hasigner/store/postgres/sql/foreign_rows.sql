-- Says whether a node that does not obey watermarks, one of the published package, has begun a row in a time.
--
-- $1, $2: the time, from and to, in hours before now ($2 null: without end)
-- Rows: one if there is such a row
select 1 from validator_duties d
where d.status in ('signing', 'signed') and d.started_at > {statement_time_utc} - make_interval(hours => $1::int)
  and d.started_at <= coalesce({statement_time_utc} - make_interval(hours => $2::int), 'infinity')
  and not {token_is_registered}
limit 1
