-- As remove_released.sql, without a limit.
--
-- $1 age in ms
select count(*) from ha_signer_released r
where r.released_at <= statement_timestamp() - $1::bigint * interval '1 millisecond'
