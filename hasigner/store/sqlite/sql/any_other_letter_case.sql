-- Says whether any row has an address in another letter case.
select 1 from validator_duties indexed by ha_signer_letter_case
where {in_other_letter_case} limit 1
