-- A token of ours is 16 hex digits of the incarnation, 2 of the kind (00 is fenced) and 14 random ones. A token that
-- only looks like it is told apart by the registry.
length(d.lock_token) = 32 and substr(d.lock_token, 17, 2) = '00'
