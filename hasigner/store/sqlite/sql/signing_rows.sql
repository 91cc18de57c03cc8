-- Finds rows `signing` that began at a time or before it, the oldest first.
--
-- ?1 time
select rowid, node_id, lock_token from validator_duties indexed by idx_validator_duties_status
where status = 'signing' and started_at <= ?1 order by started_at
