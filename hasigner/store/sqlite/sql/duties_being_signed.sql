-- Lists duties that are being signed, the newest slots first.
--
-- ?1 rollup (null: any), ?2 from slot, ?3 to slot, ?4 validators, each between commas, ?5 duty type, ?6 node id (null: any), ?7 limit
select {duty_columns} from validator_duties indexed by idx_validator_duties_status where status = 'signing'
and (?1 is null or lower(rollup_address) = ?1) and slot between ?2 and ?3
and (?4 is null or instr(?4, ',' || lower(validator_address) || ',') > 0) and (?5 is null or duty_type = ?5)
and (?6 is null or node_id = ?6) order by slot desc limit ?7
