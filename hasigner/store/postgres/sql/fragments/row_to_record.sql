-- Signed rows match with the very signature that they hold: then the record is a repetition.
d.lock_token = k.lock_token and (k.message_hash is null or lower(d.message_hash collate "C") = k.message_hash)
and (d.status = 'signing' or lower(d.signature) = k.signature) and {table_is_known}
