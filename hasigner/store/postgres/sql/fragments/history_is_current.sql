-- $10 timeline that is known, 8 hex digits; empty where the server does not tell it. A former primary that a failover has
-- left behind lacks what was signed.
(select case when $10::text = '' then true
             else substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) collate "C" >= $10::text collate "C" end)
