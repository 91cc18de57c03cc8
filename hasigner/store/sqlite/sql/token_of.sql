-- Finds the lock token of a row.
--
-- ?1 rowid
select lock_token from validator_duties where rowid = ?1
