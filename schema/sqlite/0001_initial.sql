-- The tables of a SQLite store: the same names and columns as version 3 of the PostgreSQL tables, so that what is known
-- about one can be read in the other. Times are UTC text, 'YYYY-MM-DD HH:MM:SS.ffffff', whose order is that of time.
--
-- The runner holds the write lock, and sets application_id and user_version in the same transaction.

create table schema_version (
  version    integer not null constraint schema_version_pkey primary key,
  applied_at text    not null default (strftime('%Y-%m-%d %H:%M:%f000', 'now'))
) strict;

create table validator_duties (
  rollup_address                text    not null check (length(rollup_address) <= 42),
  validator_address             text    not null check (length(validator_address) <= 42),
  slot                          integer not null,
  block_number                  integer not null,
  block_index_within_checkpoint integer not null default 0,
  duty_type                     text    not null,
  status                        text    not null,
  message_hash                  text    not null check (length(message_hash) <= 66),
  signature                     text    check (length(signature) <= 132),
  node_id                       text    not null check (length(node_id) <= 255),
  lock_token                    text    not null check (length(lock_token) <= 64),
  started_at                    text    not null default (strftime('%Y-%m-%d %H:%M:%f000', 'now')),
  completed_at                  text,
  error_message                 text,
  checkpoint_number             integer not null default 0,
  expires_at                    text,

  -- In this order the duties of one slot stand together: a batch touches a few pages of the index, however large it has
  -- grown. A lookup always has all five.
  constraint validator_duties_pkey
    primary key (rollup_address, slot, duty_type, validator_address, block_index_within_checkpoint),
  constraint validator_duties_duty_type_check
    check (duty_type in ('BLOCK_PROPOSAL', 'CHECKPOINT_PROPOSAL', 'ATTESTATION', 'ATTESTATIONS_AND_SIGNERS',
                         'GOVERNANCE_VOTE', 'SLASHING_VOTE')),
  constraint validator_duties_status_check
    check (status in ('signing', 'signed')),
  constraint validator_duties_check
    check (completed_at is null or completed_at >= started_at)
) strict;

create index idx_validator_duties_status on validator_duties (status, started_at);
create index idx_validator_duties_node on validator_duties (node_id, started_at);
create index idx_validator_duties_expiry on validator_duties (expires_at) where expires_at is not null;

insert into schema_version (version) values (3);

-- The version of everything that follows: one row.
create table ha_signer_schema (
  version    integer not null,
  applied_at text    not null default (strftime('%Y-%m-%d %H:%M:%f000', 'now'))
) strict;
create unique index ha_signer_schema_one_row on ha_signer_schema ((true));
insert into ha_signer_schema (version) values (1);

-- Which cluster this file is: one row, made once.
create table ha_signer_cluster (
  cluster_id text not null,
  constraint ha_signer_cluster_id_check check (length(cluster_id) = 32 and cluster_id not glob '*[^0-9a-f]*')
) strict;
create unique index ha_signer_cluster_one_row on ha_signer_cluster ((true));
insert into ha_signer_cluster (cluster_id) values (lower(hex(randomblob(16))));

-- The node registry. Who is alive is not written here: it holds the lock on byte lock_number of the file beside this one.
create table ha_signer_nodes (
  lock_number   integer primary key,
  node_id       text not null unique check (length(node_id) <= 255),
  incarnation   text not null,             -- of the process that holds the node id now
  former        text not null default '',  -- earlier incarnations of this node id, the newest last, with commas between
  registered_at text not null,
  heartbeat_at  text not null,
  lease_until   text not null,
  witnessed_at  text,

  constraint ha_signer_nodes_incarnation_check check (length(incarnation) = 16 and incarnation not glob '*[^0-9a-f]*')
) strict;

-- Slot bounds: nothing at or below low_slot is signed, nothing above high_slot; null means no bound. low_slot may pass
-- high_slot: the trigger below must never be the reason why a row cannot be deleted.
create table ha_signer_watermarks (
  rollup_address    text not null check (length(rollup_address) <= 42),
  validator_address text not null check (length(validator_address) <= 42),
  duty_type         text not null,
  low_slot          integer,
  high_slot         integer,
  updated_at        text not null,

  constraint ha_signer_watermarks_pkey primary key (rollup_address, validator_address, duty_type),
  constraint ha_signer_watermarks_rollup_address_check check (rollup_address = lower(rollup_address)),
  constraint ha_signer_watermarks_validator_address_check check (validator_address = lower(validator_address)),
  constraint ha_signer_watermarks_low_slot_check check (low_slot >= 0),
  constraint ha_signer_watermarks_high_slot_check check (high_slot >= 0)
) strict, without rowid;

-- Finds, at the cost of an almost empty index, rows that another program wrote with upper-case digits in an address.
create index ha_signer_letter_case on validator_duties (slot)
  where rollup_address <> lower(rollup_address) or validator_address <> lower(validator_address);

-- A signed row that is deleted, by any program, leaves a watermark in the same transaction. A slot below zero bounds nothing.
create trigger ha_signer_raise_watermarks after delete on validator_duties
when old.status = 'signed' and old.slot >= 0
begin
  insert into ha_signer_watermarks (rollup_address, validator_address, duty_type, low_slot, updated_at)
  values (lower(old.rollup_address), lower(old.validator_address), old.duty_type, old.slot,
          strftime('%Y-%m-%d %H:%M:%f000', 'now'))
  on conflict (rollup_address, validator_address, duty_type) do update
    set low_slot = excluded.low_slot, updated_at = excluded.updated_at
    where low_slot is null or low_slot < excluded.low_slot;
end;
