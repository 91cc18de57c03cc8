-- Version 3: each duty has a deadline after which a node of that version deletes it; null means never.
--
-- Duties recorded before get 30 days from now, all the same: adding a column evaluates its default once, without
-- rewriting the table. The published package does this too, so it does not matter which of us migrated.

alter table validator_duties
  add column if not exists expires_at timestamp default (current_timestamp + interval '30 days');

create index if not exists idx_validator_duties_expiry on validator_duties (expires_at) where expires_at is not null;

update schema_version set version = 3 where version = 2;
