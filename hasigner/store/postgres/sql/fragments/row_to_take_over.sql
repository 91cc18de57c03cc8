-- A row that carries the new token already matches: then the takeover is a repetition.
{being_signed} and d.lock_token in (k.seen, k.lock_token) and lower(d.message_hash) = k.message_hash
