-- A row that a node has being signed, by validator and message hash: the condition of the index ha_signer_being_signed,
-- word for word, and no collation that would lead to another index. A row under a block index that its type does not have
-- is another row of the same duty, so it counts for nothing here.
d.validator_address = k.validator and d.message_hash = k.message_hash and d.status collate "POSIX" = 'signing'
and d.rollup_address collate "C" = k.rollup and d.duty_type collate "C" = any (string_to_array(k.duty_types, ','))
and (k.asked_slot is null or d.slot = k.asked_slot) and d.slot >= 0
and case d.duty_type when 'BLOCK_PROPOSAL' then d.block_index_within_checkpoint >= 0
                     else d.block_index_within_checkpoint = -1 end
