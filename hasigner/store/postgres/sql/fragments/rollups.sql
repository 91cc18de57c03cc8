-- Jumps from rollup to rollup in the primary key, so that the rows of the own rollup, nearly all, are not read. Stands
-- after `with`.
recursive rollups (rollup) as (
  (select d.rollup_address from validator_duties d order by d.rollup_address limit 1)
  union all
  select (select d.rollup_address from validator_duties d
          where d.rollup_address > r.rollup order by d.rollup_address limit 1)
  from rollups r where r.rollup is not null)
