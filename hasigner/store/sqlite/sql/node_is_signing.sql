-- Says whether a node has a row `signing`.
--
-- ?1 node id
select 1 from validator_duties indexed by idx_validator_duties_status
where status = 'signing' and node_id = ?1 limit 1
