-- Finds the row of a duty.
--
-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator, ?5 block index
select {view_columns} from validator_duties where {duty_key}
