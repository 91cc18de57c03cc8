-- Disables or enables a key, unless it is so already. A key without a row is enabled.
--
-- ?1 address, ?2 1 for enabled or 0, ?3 by whom, ?4 time
insert into ha_signer_key_switches (address, is_enabled, changed_by, changed_at)
select ?1, ?2, ?3, ?4 where ?2 = 0 or exists (select 1 from ha_signer_key_switches where address = ?1)
on conflict (address) do update set is_enabled = ?2, changed_by = ?3, changed_at = ?4 where is_enabled <> ?2
