-- The time of rows of ours, whatever time zone the session has.
(clock_timestamp() at time zone 'UTC')
