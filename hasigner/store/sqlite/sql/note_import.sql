-- Notes that a history has been imported, in the state that it has.
--
-- ?1 source, ?2 state, ?3 duties, ?4 time
insert into ha_signer_imports (source, state, duties, imported_at) values (?1, ?2, ?3, ?4)
on conflict (source) do update set state = ?2, duties = ?3, imported_at = ?4
