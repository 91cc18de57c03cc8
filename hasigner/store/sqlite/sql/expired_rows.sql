-- Finds signed rows whose time to be kept is over.
--
-- ?1 now, ?2 limit
--
-- `is not null` is the condition of the index.
select rowid from validator_duties indexed by idx_validator_duties_expiry
where expires_at is not null and expires_at <= ?1 and status = 'signed' order by expires_at limit ?2
