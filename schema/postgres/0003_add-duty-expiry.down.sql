-- Back to version 2. The index idx_validator_duties_expiry belongs to the column and goes with it.

alter table validator_duties drop column if exists expires_at;

update schema_version set version = 2 where version = 3;
