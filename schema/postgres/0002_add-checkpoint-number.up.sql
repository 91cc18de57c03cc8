-- Version 2: duties carry their checkpoint number; 0 where the type has none, and for every duty recorded before.

alter table validator_duties add column if not exists checkpoint_number bigint not null default 0;

-- applied_at keeps the time of the first installation, as the published package leaves it; pgmigrations says when this came.
update schema_version set version = 2 where version = 1;
