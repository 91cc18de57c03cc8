-- Finds the rollup that follows in the primary key.
--
-- ?1 rollup
select min(rollup_address) from validator_duties where rollup_address > ?1
