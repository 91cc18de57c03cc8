-- Reads the server's clock.
--
-- Rows: one: Unix time in milliseconds
select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as unix_ms
