-- Signed rows match with the very signature that they hold: then the record is a repetition. No other message of the duty
-- may have been released on the claim of a node that asks without a signing context: one with another hash, or one with
-- this hash that was signed in another way, which only the signature tells.
d.lock_token = k.lock_token and (k.message_hash is null or lower(d.message_hash collate "C") = k.message_hash)
and (d.status = 'signing' or lower(d.signature) = k.signature) and {table_is_known}
and not exists (
  select from ha_signer_released r
  where {released_of_key}
    and (lower(d.message_hash) not in (r.message_hash, r.digest)
         or r.message_hash <> r.digest and r.signature is distinct from k.signature))
