exists (select from ha_signer_nodes n
        where n.node_id = d.node_id and length(d.lock_token) = 32
          and ({token_of_this_incarnation} or {token_of_former_incarnation}))
