-- Finds a row that a foreign client wrote for the duty under another letter case of an address.
--
-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator, ?5 block index
--
-- 'signed' comes before 'signing': of several rows one that refuses for good is shown.
select {view_columns} from validator_duties indexed by ha_signer_letter_case
where slot = ?2 and {in_other_letter_case}
and lower(rollup_address) = ?1 and duty_type = ?3 and lower(validator_address) = ?4
and {index_of_same_duty}
order by status limit 1
