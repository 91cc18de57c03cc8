-- Finds the row under the very key of a row to import.
--
-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator, ?5 block index
select rowid, status, message_hash from validator_duties where {duty_key}
