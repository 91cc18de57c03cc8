-- Finds signed rows that began at a time or before it, the oldest first.
--
-- ?1 time, ?2 limit
select rowid from validator_duties indexed by idx_validator_duties_status
where status = 'signed' and started_at <= ?1 order by started_at limit ?2
