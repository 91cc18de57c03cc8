-- Sets the watermarks of one duty type of a validator.
--
-- $1 rollup, $2 validator, $3 duty type, $4 low, $5 high, $6 lock time-out in ms, $7 whether low is to be set,
-- $8 whether high is to be set, $9 whether more duties may be allowed than before
-- Rows: one: whether it was applied; low and high before; low and high after
with lock_timeout as materialized (select set_config('lock_timeout', $6::text, true)), {durably}
select (o.outcome).applied, (o.outcome).low_before, (o.outcome).high_before, (o.outcome).low_after, (o.outcome).high_after
from (
  select ha_signer_set_watermark($1::text, $2::text, $3::text, $4::bigint, $5::bigint, $7::boolean, $8::boolean,
                                 $9::boolean) as outcome
  from lock_timeout, durably offset 0) o
