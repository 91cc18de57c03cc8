-- Says which rows replace.sql would match if no other transaction had them locked.
--
-- $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index: the duty; $6 message hash, $7 lock token seen,
-- $8 new lock token, $10 block number, $11 checkpoint number (arrays, in the form for many)
-- $9 node id
-- Rows: `ord` of what would match
select k.ord
from {batch: {duty_key}, $6::text message_hash, $7::text seen, $8::text lock_token, $10::bigint block_number,
             $11::bigint checkpoint_number}
cross join lateral (select from validator_duties d where {whole_key} and ({row_to_replace}) limit 1) d
-- Always true: gives $9 a type.
where $9::text is not null
