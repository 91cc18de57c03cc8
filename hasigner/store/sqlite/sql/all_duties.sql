-- Reads all duties, in the order of the primary key.
select {duty_columns} from validator_duties order by rollup_address, slot, duty_type, validator_address,
block_index_within_checkpoint
