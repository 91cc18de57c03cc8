-- Makes the tables of a journal, in a file of their own.
--
-- Addresses, hashes and signatures are bytes: select hex(validator_address) shows them. In the order of rollup and
-- slot, so that new entries stand together, and the oldest ones too.
create table if not exists journal_entries (
  rollup_address blob not null,
  slot integer not null,
  validator_address blob not null,
  duty_type text not null,
  block_index_within_checkpoint integer not null,
  message_hash blob not null,
  signature blob,
  handed_out_token text,
  written_at integer not null,
  primary key (rollup_address, slot, validator_address, duty_type, block_index_within_checkpoint)
) strict, without rowid;
create table if not exists journal_forgotten (
  rollup_address blob primary key,
  slot integer not null) strict, without rowid;
create table if not exists journal_history (
  only_row integer primary key check (only_row = 1),
  history text not null) strict;
create table if not exists journal_trial (
  only_row integer primary key check (only_row = 1),
  tried_at integer not null) strict;
