-- Says which rows release.sql would match if no other transaction had them locked.
--
-- $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index: the duty; $6 lock token (arrays, in the form for many)
-- Rows: `ord` of what would match
select k.ord
from {batch: {duty_key}, $6::text lock_token}
cross join lateral (select from validator_duties d where {whole_key} and ({row_to_release}) limit 1) d
