-- Turns a row `signing` into `signed`, under its lock token.
--
-- ?1 rollup, ?2 slot, ?3 duty type, ?4 validator, ?5 block index, ?6 lock token, ?7 message hash (null: any),
-- ?8 signature, ?9 time
--
-- A signed row matches with the very signature that it holds: then the record is a repetition.
update validator_duties set status = 'signed', signature = ?8,
  completed_at = case status when 'signing' then max(?9, started_at) else completed_at end
where {duty_key}
and lock_token = ?6 and (?7 is null or lower(message_hash) = ?7)
and (status = 'signing' or lower(signature) = ?8)
and {no_watermark_forbids}
