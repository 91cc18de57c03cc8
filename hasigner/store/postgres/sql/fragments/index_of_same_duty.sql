-- Only block proposals of one slot are told apart by their block index.
(d.block_index_within_checkpoint = k.block_index or k.duty_type <> 'BLOCK_PROPOSAL')
