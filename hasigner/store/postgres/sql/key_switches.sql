-- Lists the switches of keys that were disabled at some time: at most 10,000, those that are disabled first.
--
-- Rows: address, whether it is enabled, changed by, changed at
select s.address, s.is_enabled, s.changed_by, to_char(s.changed_at at time zone 'UTC', {time_format})
from ha_signer_key_switches s
order by s.is_enabled, s.address
limit 10000
