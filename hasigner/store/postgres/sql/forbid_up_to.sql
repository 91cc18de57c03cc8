-- Raises low watermarks to a slot where they are lower, in one transaction and under one lock.
--
-- $1 rollup, $2 validator, or every, $3 duty types (array), $4 slot, $5 lock time-out in ms
-- Rows: one
with lock_timeout as materialized (select set_config('lock_timeout', $5::text, true)), {durably}
select ha_signer_forbid_up_to($1::text, $2::text, $3::text[], $4::bigint) is null as done
from lock_timeout cross join durably
