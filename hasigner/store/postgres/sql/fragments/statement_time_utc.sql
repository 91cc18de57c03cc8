-- One moment for the whole statement. An index can serve a comparison with it.
(statement_timestamp() at time zone 'UTC')
