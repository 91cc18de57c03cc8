-- Version 1 of the tables shared with the npm package @aztec/validator-ha-signer: what its release 4.1.2 demands exactly.
-- A database made by this file and one made by that package give the same `pg_dump --schema-only`, so names, order and
-- types here are facts to match and not ours to improve.
--
-- The runner opens the transaction, and writes this migration's name into public.pgmigrations.
--
-- "if not exists": the package also lets a program create these tables without its migration tool. Such a database has
-- no list of migrations yet; running this then only completes it.

create table if not exists schema_version (
  version    integer   constraint schema_version_pkey primary key,
  applied_at timestamp not null default current_timestamp
);

create table if not exists validator_duties (
  rollup_address                varchar(42)  not null,
  validator_address             varchar(42)  not null,
  slot                          bigint       not null,
  block_number                  bigint       not null,
  block_index_within_checkpoint integer      not null default 0,
  duty_type                     varchar(30)  not null,
  status                        varchar(20)  not null,
  message_hash                  varchar(66)  not null,
  signature                     varchar(132),
  node_id                       varchar(255) not null,
  lock_token                    varchar(64)  not null,
  started_at                    timestamp    not null default current_timestamp,
  completed_at                  timestamp,
  error_message                 text,

  constraint validator_duties_pkey
    primary key (rollup_address, validator_address, slot, duty_type, block_index_within_checkpoint),
  constraint validator_duties_duty_type_check
    check (duty_type in ('BLOCK_PROPOSAL', 'CHECKPOINT_PROPOSAL', 'ATTESTATION', 'ATTESTATIONS_AND_SIGNERS',
                         'GOVERNANCE_VOTE', 'SLASHING_VOTE')),
  constraint validator_duties_status_check
    check (status in ('signing', 'signed')),
  constraint validator_duties_check
    check (completed_at is null or completed_at >= started_at)
);

create index if not exists idx_validator_duties_status on validator_duties (status, started_at);
create index if not exists idx_validator_duties_node on validator_duties (node_id, started_at);

-- One row, ever: the migrations that follow raise it in place. A row that is there already may say a higher version.
insert into schema_version (version)
select 1 where not exists (select from schema_version);
