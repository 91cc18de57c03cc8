-- Makes the table of what operators have set for keys. It is not a migration: a program that does not know it goes on working.
create table if not exists ha_signer_key_switches (
  address text not null primary key,
  is_enabled integer not null,
  changed_by text not null,
  changed_at text not null) strict
