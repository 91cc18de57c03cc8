-- Finds rows that speak of the same duty as a row to import, under any letter case and foreign block index.
--
-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator, ?5 block index; addresses in lower case
select message_hash from validator_duties where rollup_address = ?1 and slot = ?2 and duty_type = ?3
and validator_address = ?4 and {index_of_same_duty}
union all select message_hash from validator_duties indexed by ha_signer_letter_case where slot = ?2
and {in_other_letter_case}
and lower(rollup_address) = ?1 and duty_type = ?3 and lower(validator_address) = ?4
and {index_of_same_duty}
