-- Word for word the condition of the index ha_signer_upper_case.
(d.rollup_address <> lower(d.rollup_address collate "C")
 or d.validator_address <> lower(d.validator_address collate "C"))
