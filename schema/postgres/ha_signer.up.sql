-- Our own objects beside the shared tables, all named ha_signer_…: the cluster's identity, the registry of nodes, and the
-- watermarks with the trigger that raises them. The published package neither needs nor minds them.
--
-- Whoever made the shared tables, at whatever version, this may be run again at any time: it adds what is missing, puts
-- back what the package's way down took along (trigger and index), and keeps every watermark. Where nothing is missing
-- it locks no shared table.
--
-- Run it as one transaction, as the owner of validator_duties or a superuser. Making the index for the first time reads
-- the whole table and holds writers off meanwhile.

-- Everything stands in the schema where validator_duties stands; the search path points there until the transaction ends.
do $home$
declare
  duties           regclass;
  home             regnamespace;  -- of validator_duties
  watermarks_found regnamespace;
begin
  -- The published package's migration tool holds this lock while it works, and so does our runner (who may take it twice).
  perform pg_advisory_xact_lock(7241865325823964);
  perform set_config('client_min_messages', 'warning', true);

  duties := to_regclass('validator_duties');
  select relnamespace into home
  from pg_catalog.pg_class where oid = duties and relkind = 'r' and relpersistence = 'p';
  select relnamespace into watermarks_found
  from pg_catalog.pg_class where oid = to_regclass('ha_signer_watermarks');

  if duties is null then
    raise exception 'table validator_duties is not on the search path (%)', current_setting('search_path')
      using hint = 'Create the shared tables first: ha-signer migrate up.';
  elsif home is null then
    raise exception 'validator_duties is not a plain permanent table: a signer must not rely on it';
  elsif watermarks_found <> home then
    -- Starting afresh beside watermarks that are elsewhere would forget what was signed.
    raise exception 'ha_signer_watermarks is in schema %, but validator_duties is in schema %', watermarks_found, home
      using hint = 'Correct the search path, or move the ha_signer tables: alter table … set schema ….';
  end if;

  perform set_config('search_path', format('%s, pg_temp', home), true);
end
$home$;

-- The version of everything in this file: one row.
create table if not exists ha_signer_schema (
  version    integer     not null,
  applied_at timestamptz not null default now()
);
create unique index if not exists ha_signer_schema_one_row on ha_signer_schema ((true));

do $version$
begin
  if exists (select from ha_signer_schema where version > 1) then
    raise exception 'the ha_signer objects have version %, this program knows version 1',
      (select version from ha_signer_schema)
      using hint = 'Use the newer program.';
  end if;
end
$version$;

insert into ha_signer_schema (version) values (1) on conflict do nothing;

-- Which cluster this database is: one row, made once. A signer that finds another id on reconnecting stops.
create table if not exists ha_signer_cluster (
  cluster_id varchar(32) not null,
  constraint ha_signer_cluster_id_check check (cluster_id ~ '^[0-9a-f]{32}$')
);
create unique index if not exists ha_signer_cluster_one_row on ha_signer_cluster ((true));

insert into ha_signer_cluster (cluster_id)
values (replace(gen_random_uuid()::text, '-', ''))
on conflict do nothing;

-- The node registry. Times are by this server's clock.
create table if not exists ha_signer_nodes (
  node_id       varchar(255)  not null,
  incarnation   varchar(16)   not null,               -- of the process that holds the node id now
  former        varchar(16)[] not null default '{}',  -- earlier incarnations of this node id, the newest last
  registered_at timestamptz   not null,
  heartbeat_at  timestamptz   not null,
  lease_until   timestamptz   not null,
  witnessed_at  timestamptz,

  constraint ha_signer_nodes_pkey primary key (node_id),
  constraint ha_signer_nodes_incarnation_check check (incarnation ~ '^[0-9a-f]{16}$')
);

-- Slot bounds: nothing at or below low_slot is signed, nothing above high_slot; null means no bound. low_slot may pass
-- high_slot: the trigger below must never be the reason why a row cannot be deleted.
create table if not exists ha_signer_watermarks (
  rollup_address    varchar(42) not null,
  validator_address varchar(42) not null,
  duty_type         varchar(30) not null,
  low_slot          bigint,
  high_slot         bigint,
  updated_at        timestamptz not null,

  constraint ha_signer_watermarks_pkey primary key (rollup_address, validator_address, duty_type),
  constraint ha_signer_watermarks_rollup_address_check check (rollup_address = lower(rollup_address collate "C")),
  constraint ha_signer_watermarks_validator_address_check check (validator_address = lower(validator_address collate "C")),
  constraint ha_signer_watermarks_low_slot_check check (low_slot >= 0),
  constraint ha_signer_watermarks_high_slot_check check (high_slot >= 0)
);

-- Finds, at the cost of an almost empty index, rows that another client wrote with upper-case digits in an address.
-- Asked for first: "create index if not exists" waits for every writer of the table before it looks. Every write of a row
-- evaluates the condition; lower() in the collation "C" takes a fifth of the time that it takes in others.
do $index$
begin
  if not exists (
    select from pg_catalog.pg_index
    where indrelid = 'validator_duties'::regclass and indexrelid = to_regclass('ha_signer_upper_case')
  ) then
    create index ha_signer_upper_case on validator_duties (slot)
      where rollup_address <> lower(rollup_address collate "C")
         or validator_address <> lower(validator_address collate "C");
  end if;
  -- Its name before there was a release.
  if to_regclass('ha_signer_letter_case') is not null then
    drop index ha_signer_letter_case;
  end if;
end
$index$;

-- The functions run with their owner's rights, so that whoever may delete a duty raises the watermark without any right on
-- our tables. Therefore they trust no search path: system names resolve in pg_catalog, tables are written with their schema.
do $functions$
declare
  home    constant name := current_schema();
  -- Takes: what to check first, the schema, where the rows are. Groups are written in the byte order of their keys, so
  -- that two deletions at once wait for each other instead of deadlocking. A slot below zero bounds nothing.
  raising constant text := $body$
begin%s
  insert into %I.ha_signer_watermarks as w
    (rollup_address, validator_address, duty_type, low_slot, high_slot, updated_at)
  select lower(d.rollup_address collate "C"), lower(d.validator_address collate "C"), d.duty_type, max(d.slot), null, now()
  from %s d
  where d.status = 'signed' and d.slot >= 0
  group by 1, 2, 3
  order by 1, 2, d.duty_type collate "C"
  on conflict (rollup_address, validator_address, duty_type) do update
    set low_slot = greatest(w.low_slot, excluded.low_slot), updated_at = excluded.updated_at
    where w.low_slot is null or w.low_slot < excluded.low_slot;
  return null;
end
$body$;
  -- Truncating removes rows that an older snapshot does not show: they would vanish without a watermark.
  fresh_snapshot constant text := $body$
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    raise exception 'validator_duties can only be truncated in a READ COMMITTED transaction';
  end if;$body$;
begin
  execute format(
    'create or replace function ha_signer_raise_watermarks() returns trigger
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format(raising, '', home, 'deleted'));

  execute format(
    'create or replace function ha_signer_raise_watermarks_on_truncate() returns trigger
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format(raising, fresh_snapshot, home, format('%I.validator_duties', home)));

  -- Holding off every writer of duties before bounds change means that whatever was being claimed or recorded has ended by
  -- then, and whatever comes after sees them.
  execute format(
    'create or replace function ha_signer_hold_off_writers() returns boolean
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format($body$
begin
  lock table %I.validator_duties in share row exclusive mode;
  return true;
end
$body$, home));

  -- Sets the bounds that are asked for to exactly the given values, null for none, and leaves the others what they are at
  -- that moment. Lower protection than there is can be ruled out: it is then not applied.
  drop function if exists ha_signer_set_watermark(text, text, text, bigint, bigint);
  execute format(
    'create or replace function ha_signer_set_watermark(rollup text, validator text, duty_type text, low bigint, high bigint,
         set_low boolean default true, set_high boolean default true, may_allow_more boolean default true,
         out applied boolean, out low_before bigint, out high_before bigint, out low_after bigint, out high_after bigint)
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format($body$
begin
  if rollup is null or lower(rollup collate "C") !~ '^0x[0-9a-f]{40}$' then
    raise exception 'rollup must be 0x and 40 hex digits, not %%', coalesce(quote_literal(rollup), 'null')
      using errcode = 'invalid_parameter_value';
  elsif validator is null or lower(validator collate "C") !~ '^0x[0-9a-f]{40}$' then
    raise exception 'validator must be 0x and 40 hex digits, not %%', coalesce(quote_literal(validator), 'null')
      using errcode = 'invalid_parameter_value';
  elsif duty_type is null or duty_type not in ('BLOCK_PROPOSAL', 'CHECKPOINT_PROPOSAL', 'ATTESTATION',
      'ATTESTATIONS_AND_SIGNERS', 'GOVERNANCE_VOTE', 'SLASHING_VOTE') then
    raise exception 'duty_type must be a protected duty type, not %%', coalesce(quote_literal(duty_type), 'null')
      using errcode = 'invalid_parameter_value';
  elsif low < 0 or high < 0 then
    raise exception 'low and high must not be negative, not %% and %%', low, high
      using errcode = 'invalid_parameter_value';
  end if;

  lock table %1$I.validator_duties in share row exclusive mode;

  select w.low_slot, w.high_slot into low_before, high_before
  from %1$I.ha_signer_watermarks w
  where w.rollup_address = lower(rollup collate "C") and w.validator_address = lower(validator collate "C")
    and w.duty_type = ha_signer_set_watermark.duty_type
  for update;
  low_after := case when set_low then low else low_before end;
  high_after := case when set_high then high else high_before end;
  applied := may_allow_more or not (
    low_before is not null and (low_after is null or low_after < low_before)
    or high_before is not null and (high_after is null or high_after > high_before));
  if not applied then
    low_after := low_before;
    high_after := high_before;
    return;
  end if;

  insert into %1$I.ha_signer_watermarks
    (rollup_address, validator_address, duty_type, low_slot, high_slot, updated_at)
  values (lower(rollup collate "C"), lower(validator collate "C"), duty_type, low_after, high_after, now())
  on conflict on constraint ha_signer_watermarks_pkey do update
    set low_slot = excluded.low_slot, high_slot = excluded.high_slot, updated_at = excluded.updated_at;
end
$body$, home));
end
$functions$;

-- Triggers need no right to call their function. Setting watermarks is for the owner, and for whom the owner grants it.
revoke all on function ha_signer_raise_watermarks() from public;
revoke all on function ha_signer_raise_watermarks_on_truncate() from public;
revoke all on function ha_signer_hold_off_writers() from public;
revoke all on function ha_signer_set_watermark(text, text, text, bigint, bigint, boolean, boolean, boolean) from public;

-- "always": also in sessions that replay changes with ordinary triggers switched off. Made only where missing or switched
-- off, because making a trigger waits for every writer of the table.
do $triggers$
declare
  wanted record;
begin
  for wanted in
    select *
    from (values
      ('ha_signer_raise_watermarks', 'after delete on validator_duties referencing old table as deleted'),
      ('ha_signer_raise_watermarks_on_truncate', 'before truncate on validator_duties')
    ) as t (name, fires)
  loop
    if not exists (
      select from pg_catalog.pg_trigger
      where tgrelid = 'validator_duties'::regclass and tgname = wanted.name
        and tgfoid = format('%I()', wanted.name)::regprocedure and tgenabled = 'A'
    ) then
      execute format('create or replace trigger %I %s for each statement execute function %I()',
                     wanted.name, wanted.fires, wanted.name);
      execute format('alter table validator_duties enable always trigger %I', wanted.name);
    end if;
  end loop;
end
$triggers$;

-- All of it belongs to the owner of validator_duties, whoever runs this; and a role that may insert duties may do what a
-- signer needs: read the cluster's id and the watermarks, and keep its place in the registry.
do $rights$
declare
  duties  constant regclass := 'validator_duties';
  owner   constant oid := (select relowner from pg_catalog.pg_class where oid = duties);
  ours    record;
  grantee text;
begin
  for ours in
    select format('table %s', oid::regclass) as what
    from pg_catalog.pg_class
    where oid = any (array['ha_signer_schema', 'ha_signer_cluster', 'ha_signer_nodes', 'ha_signer_watermarks']::regclass[])
      and relowner <> owner
    union all
    select format('function %s', oid::regprocedure)
    from pg_catalog.pg_proc
    where oid = any (array['ha_signer_raise_watermarks()', 'ha_signer_raise_watermarks_on_truncate()',
                           'ha_signer_hold_off_writers()',
                           'ha_signer_set_watermark(text, text, text, bigint, bigint, boolean, boolean, boolean)'
                          ]::regprocedure[])
      and proowner <> owner
  loop
    execute format('alter %s owner to %s', ours.what, owner::regrole);
  end loop;

  for grantee in
    select distinct case acl.grantee when 0 then 'public' else acl.grantee::regrole::text end
    from pg_catalog.pg_class c, lateral aclexplode(c.relacl) acl
    where c.oid = duties and acl.privilege_type = 'INSERT' and acl.grantee <> owner
  loop
    execute format('grant select on ha_signer_schema, ha_signer_cluster, ha_signer_watermarks to %s', grantee);
    execute format('grant select, insert, update, delete on ha_signer_nodes to %s', grantee);
  end loop;
end
$rights$;
