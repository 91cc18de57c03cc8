-- Reads the switches of keys that were disabled at some time: at most 10,000, those that are disabled first.
select address, is_enabled, changed_by, changed_at from ha_signer_key_switches
order by is_enabled, address limit 10000
