-- Says which rows record.sql would match if no other transaction had them locked.
--
-- $1 rollup, $2 validator, $3 slot, $4 duty type, $5 block index: the duty; $6 lock token, $7 message hash (null: any),
-- $8 signature (arrays, in the form for many)
-- $9 oid of the table, $10 timeline (8 hex digits, or empty) and $11 oid of ha_signer_released that are known
-- Rows: `ord` of what would match
select k.ord
from {batch: {duty_key}, $6::text lock_token, $7::text message_hash, $8::text signature}
cross join lateral (select from validator_duties d where {whole_key} and ({row_to_record}) limit 1) d
{where_no_watermark_forbids}
