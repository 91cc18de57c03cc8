-- Says whether an incarnation has a row `signing`.
--
-- ?1 node id, ?2 incarnation
select 1 from validator_duties indexed by idx_validator_duties_status
where status = 'signing' and node_id = ?1 and substr(lock_token, 1, 16) = ?2 limit 1
