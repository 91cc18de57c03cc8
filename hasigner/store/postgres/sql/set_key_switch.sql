-- Disables or enables a key, unless it is so already. A key without a row is enabled.
--
-- $1 address, $2 whether it is to be enabled, $3 by whom
-- Rows: one if it was changed
with {durably}
insert into ha_signer_key_switches as s (address, is_enabled, changed_by, changed_at)
select $1::text, $2::boolean, left($3::text, 300), now()
from durably
where not $2::boolean or exists (select from ha_signer_key_switches k where k.address = $1::text)
on conflict (address) do update
set is_enabled = excluded.is_enabled, changed_by = excluded.changed_by, changed_at = excluded.changed_at
where s.is_enabled <> excluded.is_enabled
returning true
