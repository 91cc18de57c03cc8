-- Finds a row that a foreign client wrote for the duty under another block index.
--
-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator, ?5 block index
--
-- 'signed' comes before 'signing': of several rows one that refuses for good is shown.
select {view_columns} from validator_duties where rollup_address = ?1 and slot = ?2 and duty_type = ?3
and validator_address = ?4 and block_index_within_checkpoint <> ?5
order by status limit 1
