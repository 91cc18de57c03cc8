-- Says which rows take_over.sql would match if no other transaction had them locked. Its parameters are the same.
--
-- Rows: `ord` of what would match
select k.ord
from {batch: {duty_key}, $6::text message_hash, $7::text seen, $8::text lock_token}
cross join lateral (select from validator_duties d where {whole_key} and ({row_to_take_over}) limit 1) d
-- Always true: gives $9 a type.
where $9::text is not null
