-- Finds the validators of a rollup of which the newest rows, or a watermark, are there, with the nodes of those rows.
--
-- ?1 rollup, ?2 number of rows that are looked at
-- Rows: validator, node id (null: of a watermark)
select lower(validator_address), node_id
from (select validator_address, node_id, rollup_address from validator_duties order by rowid desc limit ?2)
where lower(rollup_address) = ?1 group by 1, 2
union
select validator_address, null from ha_signer_watermarks where rollup_address = ?1 and validator_address <> 'every'
