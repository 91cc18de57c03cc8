-- Finds signed rows of other rollups that began at a time or before it.
--
-- ?1 own rollup, ?2 time, ?3 limit
--
-- Before and after the own rollup in the primary key, so that its rows, nearly all, are not read.
select rowid from validator_duties where rollup_address < ?1
and status = 'signed' and started_at <= ?2 and lower(rollup_address) <> ?1
union all select rowid from validator_duties where rollup_address > ?1
and status = 'signed' and started_at <= ?2 and lower(rollup_address) <> ?1 limit ?3
