-- Lists duties of a rollup, the newest slots first.
--
-- ?1 rollup, ?2 from slot, ?3 to slot, ?4 validators, each between commas, ?5 duty type, ?6 status, ?7 node id (null: any), ?8 limit
select {duty_columns} from validator_duties where rollup_address = ?1 and slot between ?2 and ?3
and (?4 is null or instr(?4, ',' || lower(validator_address) || ',') > 0) and (?5 is null or duty_type = ?5)
and (?6 is null or status = ?6) and (?7 is null or node_id = ?7)
order by slot desc limit ?8
