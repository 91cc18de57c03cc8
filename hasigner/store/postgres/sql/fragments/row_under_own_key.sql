left join lateral (
  select d.status, d.message_hash from validator_duties d where {whole_key} limit 1) d on true
