-- Says which rows release.sql would match if no other transaction had them locked. Its parameters are the same.
--
-- Rows: `ord` of what would match
select k.ord
from {batch: {duty_key}, $6::text lock_token}
cross join lateral (select from validator_duties d where {whole_key} and ({row_to_release}) limit 1) d
