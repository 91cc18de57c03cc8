-- Lists the watermarks.
--
-- Rows: rollup, validator, duty type, low, high, updated at
select {watermark_columns} from ha_signer_watermarks w
order by w.rollup_address, w.validator_address, w.duty_type
