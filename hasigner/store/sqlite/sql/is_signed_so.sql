-- Says whether a row holds a signature, and its duty may be signed.
--
-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator, ?5 block index, ?6 message hash, ?7 signature
select 1 from validator_duties where {duty_key}
and status = 'signed' and lower(message_hash) = ?6 and lower(signature) = ?7
and {no_watermark_forbids}
