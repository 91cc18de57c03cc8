-- Signed rows match with the very signature that they hold: then the record is a repetition. No other message of the duty
-- may have been released on the claim of a node that asks without a signing context.
d.lock_token = k.lock_token and (k.message_hash is null or lower(d.message_hash collate "C") = k.message_hash)
and (d.status = 'signing' or lower(d.signature) = k.signature) and {table_is_known}
and not exists (select from ha_signer_released r where {released_of_key} and r.message_hash <> lower(d.message_hash))
