-- Deletes a row `signing`, under its lock token.
--
-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator, ?5 block index, ?6 lock token
delete from validator_duties where {duty_key} and status = 'signing' and lock_token = ?6
