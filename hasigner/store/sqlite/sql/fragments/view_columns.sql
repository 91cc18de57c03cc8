status, message_hash, signature, node_id, lock_token
