-- Counts what remove_expired.sql would delete without a limit. From version 3 of the tables.
--
-- Rows: one, the count
select count(*) from validator_duties d where d.status = 'signed' and d.expires_at <= {statement_time_utc}
