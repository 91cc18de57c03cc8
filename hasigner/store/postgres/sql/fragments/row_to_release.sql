d.lock_token = k.lock_token and {being_signed}
