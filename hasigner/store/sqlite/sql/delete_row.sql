-- Deletes a row, for the clean-up.
--
-- ?1 rowid
delete from validator_duties where rowid = ?1
