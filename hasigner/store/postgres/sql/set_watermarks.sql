-- Sets watermarks, in one transaction and under one lock.
--
-- $1 rollup; $2 validator, or every, $3 duty type (arrays); $4 low, $5 high, $6 lock time-out in ms, $7 whether low is to be
-- set, $8 whether high is to be set, $9 whether more duties may be allowed than before
-- Rows: for each, in order: whether it was applied; low and high before; low and high after
with lock_timeout as materialized (select set_config('lock_timeout', $6::text, true)), {durably}
select (o.outcome).applied, (o.outcome).low_before, (o.outcome).high_before, (o.outcome).low_after, (o.outcome).high_after
from (
  select k.ord, ha_signer_set_watermark($1::text, k.validator, k.duty_type, $4::bigint, $5::bigint, $7::boolean, $8::boolean,
                                        $9::boolean) as outcome
  from lock_timeout cross join durably
  cross join unnest($2::text[], $3::text[]) with ordinality as k (validator, duty_type, ord) offset 0) o
order by o.ord
