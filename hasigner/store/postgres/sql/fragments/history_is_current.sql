-- $10 timeline that is known, 8 hex digits. A former primary that a failover has left behind lacks what was signed.
(select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) collate "C" >= $10::text collate "C")
