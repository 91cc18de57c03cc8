substr(d.lock_token, 1, 16) = any (n.former)
