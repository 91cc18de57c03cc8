-- Puts a new session into the state that the store relies on, whatever settings the role or the database has.
--
-- Rows: one, which is not looked at
--
-- The session may wait in the pool between the slots. The statements pin their plans, so what could tempt the planner
-- away from them is off.
select set_config('default_transaction_isolation', 'read committed', false) as isolation,
       set_config('timezone', 'UTC', false) as timezone,
       set_config('datestyle', 'ISO, YMD', false) as datestyle,
       set_config('client_encoding', 'UTF8', false) as encoding,
       set_config('standard_conforming_strings', 'on', false) as strings,
       set_config('client_min_messages', 'warning', false) as messages,
       set_config('idle_in_transaction_session_timeout', '10s', false) as idle_in_transaction,
       set_config('idle_session_timeout', '0', false) as idle_session,
       set_config('tcp_keepalives_idle', '10', false) as keepalives_idle,
       set_config('tcp_keepalives_interval', '5', false) as keepalives_interval,
       set_config('tcp_keepalives_count', '3', false) as keepalives_count,
       set_config('tcp_user_timeout', '10s', false) as user_timeout,
       set_config('enable_seqscan', 'off', false) as seqscan,
       set_config('enable_hashjoin', 'off', false) as hashjoin,
       set_config('enable_mergejoin', 'off', false) as mergejoin,
       set_config('enable_bitmapscan', 'off', false) as bitmapscan,
       set_config('jit', 'off', false) as jit,
       set_config('plan_cache_mode', 'force_generic_plan', false) as plans
