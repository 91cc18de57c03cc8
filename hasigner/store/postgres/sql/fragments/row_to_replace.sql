-- A row that carries the new token already matches: then the replacement is a repetition. That the holder's lease has
-- run out is asked here again, by the store's clock.
{being_signed}
and (d.lock_token = k.lock_token and lower(d.message_hash) = k.message_hash
     or d.lock_token = k.seen and {fenced_token}
        and exists (select from ha_signer_nodes n
                    where n.node_id = d.node_id
                      and ({token_of_this_incarnation} and n.lease_until <= clock_timestamp()
                           or {token_of_former_incarnation})))
