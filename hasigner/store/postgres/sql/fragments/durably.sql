-- Raises synchronous_commit to at least `on` until the end of this transaction, and never lowers it: `remote_apply`
-- stays. A commit whose wait for replication was cancelled says so by a warning only, so warnings must reach the client.
-- The third setting says that this program itself asks what was released.
-- The statement takes its rows from here too, so that this is done before there is anything to commit.
durably as materialized (
  select set_config('synchronous_commit',
                    case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then 'on'
                         else current_setting('synchronous_commit') end, true),
         set_config('client_min_messages', 'warning', true), {asks_released})
