-- Back to version 1. The checkpoint numbers are lost; they are not part of what protects a duty.

alter table validator_duties drop column if exists checkpoint_number;

update schema_version set version = 1 where version = 2;
