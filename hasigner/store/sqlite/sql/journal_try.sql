-- Writes something that changes nothing, to see whether a journal can be written.
--
-- ?1 seconds since 1970
insert into journal_trial (only_row, tried_at) values (1, ?1)
on conflict (only_row) do update set tried_at = excluded.tried_at
