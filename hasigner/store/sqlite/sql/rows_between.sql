-- Finds what a search for recent rows of foreign nodes asks of each row.
--
-- ?1 rowid before the first, ?2 rowid of the last, ?3 time after which a row is recent
select rowid, node_id, lock_token, started_at > ?3, status = 'signed' from validator_duties
where rowid > ?1 and rowid <= ?2 order by rowid
