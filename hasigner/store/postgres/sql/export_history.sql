-- Reads all duties and all watermarks by one snapshot.
--
-- Rows: DutyColumn, then the columns of watermarks.sql; one of the two parts is null
select {duty_columns}, null, null, null, null::bigint, null::bigint, null from validator_duties d
union all
select null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, {watermark_columns}
from ha_signer_watermarks w
