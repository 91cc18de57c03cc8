substr(d.lock_token, 1, 16) = n.incarnation
