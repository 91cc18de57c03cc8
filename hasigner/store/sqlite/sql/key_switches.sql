-- Reads the switches of all keys that were ever disabled.
select address, is_enabled, changed_by, changed_at from ha_signer_key_switches order by address
