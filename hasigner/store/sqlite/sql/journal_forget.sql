-- Notes that the entries of a rollup are dropped up to a slot.
--
-- ?1 rollup, ?2 slot
insert into journal_forgotten (rollup_address, slot) values (?1, ?2)
on conflict (rollup_address) do update set slot = max(slot, excluded.slot)
