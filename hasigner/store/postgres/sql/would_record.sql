-- Says which rows record.sql would match if no other transaction had them locked. Its parameters are the same.
--
-- Rows: `ord` of what would match
select k.ord
from {batch: {duty_key}, $6::text lock_token, $7::text message_hash, $8::text signature}
cross join lateral (select from validator_duties d where {whole_key} and ({row_to_record}) limit 1) d
{where_no_watermark_forbids}
