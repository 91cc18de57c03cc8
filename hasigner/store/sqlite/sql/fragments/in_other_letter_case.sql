-- Word for word the condition of the partial index ha_signer_letter_case, or SQLite does not see that the index fits.
(rollup_address <> lower(rollup_address) or validator_address <> lower(validator_address))
