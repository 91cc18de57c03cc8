-- ?1 rowid
delete from validator_duties where rowid = ?1
