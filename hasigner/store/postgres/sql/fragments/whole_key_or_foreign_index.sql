-- A block proposal with another block index is another duty. Any other type has one duty a slot, whatever index a
-- foreign client wrote; so there the whole range is looked at.
d.rollup_address = k.rollup and d.validator_address = k.validator and d.slot = k.slot
and d.duty_type = k.duty_type and d.block_index_within_checkpoint
  between case k.duty_type when 'BLOCK_PROPOSAL' then k.block_index else -2147483648 end
      and case k.duty_type when 'BLOCK_PROPOSAL' then k.block_index else 2147483647 end
