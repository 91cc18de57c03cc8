-- Only block proposals of one slot are told apart by their block index, ?5.
(block_index_within_checkpoint = ?5 or duty_type <> 'BLOCK_PROPOSAL')
