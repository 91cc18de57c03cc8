-- Our own objects beside the shared tables, all named ha_signer_*: the cluster's identity, the registry of nodes, what was
-- released on other nodes' claims, and the watermarks with the triggers that raise them. The published package neither
-- needs nor minds them.
--
-- Whatever made the shared tables, at any version, this may be run again at any time: it adds what is missing, puts
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
      using hint = 'Correct the search path, or move the ha_signer tables: alter table NAME set schema SCHEMA.';
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

-- Of nodes that keep a journal of what they have released, so that they can wait for each other where the database has
-- forgotten: which incarnation keeps it (null: none, or the database has all of it), the latest round of comparisons that it
-- asked for, that it completed, that it asked for because something was lost, and the highest slot of each rollup that it has
-- reached. Asked for first: adding a column waits for every reader of the table.
do $journals$
begin
  if not exists (
    select from pg_catalog.pg_attribute
    where attrelid = 'ha_signer_nodes'::regclass and attname = 'journal_slots' and not attisdropped
  ) then
    alter table ha_signer_nodes
      add column journal_incarnation varchar(16),
      add column journal_asked bigint,
      add column journal_completed bigint,
      add column journal_lost bigint,
      add column journal_slots text;
  end if;
end
$journals$;

-- Slot bounds: nothing at or below low_slot is signed, nothing above high_slot; null means no bound. The row whose validator
-- is `every` holds for all validators of the rollup, whether they have a row of their own or not. low_slot may pass
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

-- For each duty the one message that was released on the claim of a node that asks without a signing context, and its
-- signature (null until a remote signer has made it). The primary key decides between the services that race: what stands
-- here was confirmed before its signature left, and no other message of the duty is released. `block_index` is -1 for
-- every type but block proposals, whatever the node wrote; `digest` is what was signed, where it is not the message hash
-- itself (eth_sign puts a prefix before it).
create table if not exists ha_signer_released (
  rollup_address    varchar(42)  not null,
  validator_address varchar(42)  not null,
  slot              bigint       not null,
  duty_type         varchar(30)  not null,
  block_index       integer      not null,
  message_hash      varchar(66)  not null,
  digest            varchar(66)  not null,
  signature         varchar(132),
  node_id           varchar(255) not null,  -- of the service that released it first
  released_at       timestamptz  not null,
  confirmed_at      timestamptz  not null,  -- the latest write: a repetition is confirmed again

  constraint ha_signer_released_pkey primary key (rollup_address, validator_address, slot, duty_type, block_index),
  constraint ha_signer_released_slot_check check (slot >= 0)
);
create index if not exists ha_signer_released_at on ha_signer_released (released_at);

-- Whether services may sign with a key, as operators have set it. Only keys that were ever disabled have a row. It does
-- not protect against double signing: a service that cannot read it keeps to what it has read before.
create table if not exists ha_signer_key_switches (
  address    varchar(42)  not null,
  is_enabled boolean      not null,
  changed_by varchar(300) not null,
  changed_at timestamptz  not null,

  constraint ha_signer_key_switches_pkey primary key (address),
  constraint ha_signer_key_switches_address_check check (address ~ '^0x[0-9a-f]{40}$')
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
  -- Finds, in the same way, rows that another client wrote under a block index which their duty does not have. The collation
  -- keeps every other statement off this index, whatever the statistics say.
  if not exists (
    select from pg_catalog.pg_index
    where indrelid = 'validator_duties'::regclass and indexrelid = to_regclass('ha_signer_foreign_index')
  ) then
    create index ha_signer_foreign_index on validator_duties (slot)
      where duty_type collate "POSIX" <> 'BLOCK_PROPOSAL' and block_index_within_checkpoint <> -1;
  end if;
  -- Finds what a node is having signed by validator and message hash alone. For its collation see above.
  if not exists (
    select from pg_catalog.pg_index
    where indrelid = 'validator_duties'::regclass and indexrelid = to_regclass('ha_signer_being_signed')
  ) then
    create index ha_signer_being_signed on validator_duties (validator_address, message_hash)
      where status collate "POSIX" = 'signing';
  end if;
  -- Its name before there was a release.
  if to_regclass('ha_signer_letter_case') is not null then
    drop index ha_signer_letter_case;
  end if;
end
$index$;

-- The functions run with their owner's rights, so that every role that may delete a duty raises the watermark without any right on
-- our tables. Therefore they trust no search path: system names resolve in pg_catalog, tables are written with their schema.
do $functions$
declare
  home    constant name := current_schema();
  -- Takes: what to check first, the schema, where the rows are, which of them count. Groups are written in the byte order of their keys, so
  -- that two deletions at once wait for each other instead of deadlocking. A slot below zero bounds nothing.
  raising constant text := $body$
begin%s
  insert into %I.ha_signer_watermarks as w
    (rollup_address, validator_address, duty_type, low_slot, high_slot, updated_at)
  select lower(d.rollup_address collate "C"), lower(d.validator_address collate "C"), d.duty_type, max(d.slot), null, now()
  from %s d
  where %s and d.slot >= 0
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
    raise exception '% can only be truncated in a READ COMMITTED transaction', tg_table_name;
  end if;$body$;
begin
  execute format(
    'create or replace function ha_signer_raise_watermarks() returns trigger
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format(raising, '', home, 'deleted', $$d.status = 'signed'$$));

  execute format(
    'create or replace function ha_signer_raise_watermarks_on_truncate() returns trigger
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format(raising, fresh_snapshot, home, format('%I.validator_duties', home), $$d.status = 'signed'$$));

  -- What was released is not forgotten either.
  execute format(
    'create or replace function ha_signer_raise_watermarks_of_released() returns trigger
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format(raising, '', home, 'deleted', 'true'));

  execute format(
    'create or replace function ha_signer_raise_watermarks_of_released_on_truncate() returns trigger
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format(raising, fresh_snapshot, home, format('%I.ha_signer_released', home), 'true'));

  -- What is released must be within the watermarks by a snapshot that is later than the insert: the insert may have waited
  -- for a deletion that raised one. Then the statement fails as a whole, and its repetition sees the watermark.
  execute format(
    'create or replace function ha_signer_check_released() returns trigger
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format($body$
begin
  if exists (
    select from inserted i
    join %I.ha_signer_watermarks w
      on w.rollup_address = i.rollup_address and w.validator_address in (i.validator_address, 'every')
      and w.duty_type = i.duty_type
    where w.low_slot >= i.slot or w.high_slot < i.slot
  ) then
    raise exception 'a watermark has been raised meanwhile' using errcode = 'serialization_failure';
  end if;
  return null;
end
$body$, home));

  -- What was released on a claim binds every program that writes the duty: one that does not ask the table gets an error and
  -- no row. It fires after the row has been written, so its snapshot is later than all waiting for a release that holds the
  -- row. A signed row with the hash of a message that was signed behind a prefix must have its signature, too. By the
  -- error's code older programs know a row that another transaction has locked, and go on with the rest of their batch.
  execute format(
    'create or replace function ha_signer_keep_to_released() returns trigger
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format($body$
declare
  rollup    constant text := lower(new.rollup_address collate "C");
  validator constant text := lower(new.validator_address collate "C");
  written   constant text := lower(new.message_hash collate "C");
  other     record;
begin
  select r.message_hash, r.node_id into other
  from %I.ha_signer_released r
  where r.rollup_address = rollup and r.validator_address = validator and r.slot = new.slot and r.duty_type = new.duty_type
    and r.block_index = case new.duty_type when 'BLOCK_PROPOSAL' then new.block_index_within_checkpoint else -1 end
    and (written not in (r.message_hash, r.digest)
         or new.status = 'signed' and r.message_hash <> r.digest and r.signature is distinct from lower(new.signature));
  if found then
    raise exception 'slashing protection: a signature of another message has been released for %% of validator %% at slot %%',
        new.duty_type, validator, new.slot
      using errcode = 'lock_not_available',
            detail = format('Released: %%s, by ha-signer node %%s. Attempted: %%s.', other.message_hash, other.node_id, written),
            hint = 'Only the released message may be signed for this duty.';
  end if;
  return null;
end
$body$, home));

  -- Holding off every writer of duties before bounds change means that whatever was being claimed, recorded or released has
  -- ended by then, and whatever comes after sees them.
  execute format(
    'create or replace function ha_signer_hold_off_writers() returns boolean
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format($body$
begin
  lock table %1$I.validator_duties, %1$I.ha_signer_released in share row exclusive mode;
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
  elsif validator is null or validator <> 'every' and lower(validator collate "C") !~ '^0x[0-9a-f]{40}$' then
    raise exception 'validator must be 0x and 40 hex digits, or every, not %%', coalesce(quote_literal(validator), 'null')
      using errcode = 'invalid_parameter_value';
  elsif duty_type is null or duty_type not in ('BLOCK_PROPOSAL', 'CHECKPOINT_PROPOSAL', 'ATTESTATION',
      'ATTESTATIONS_AND_SIGNERS', 'GOVERNANCE_VOTE', 'SLASHING_VOTE') then
    raise exception 'duty_type must be a protected duty type, not %%', coalesce(quote_literal(duty_type), 'null')
      using errcode = 'invalid_parameter_value';
  elsif low < 0 or high < 0 then
    raise exception 'low and high must not be negative, not %% and %%', low, high
      using errcode = 'invalid_parameter_value';
  end if;

  lock table %1$I.validator_duties, %1$I.ha_signer_released in share row exclusive mode;

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

  -- Gives slots up: raises low watermarks where they are lower. A signer may do so where it is not known what was signed, and
  -- can allow nothing by it.
  execute format(
    'create or replace function ha_signer_forbid_up_to(rollup text, validator text, duty_types text[], slot bigint)
       returns void
       language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    format($body$
begin
  if slot is null then
    raise exception 'slot must not be null' using errcode = 'invalid_parameter_value';
  end if;
  perform %1$I.ha_signer_set_watermark(rollup, validator, t.duty_type, slot, null, true, false, false)
  from unnest(duty_types) as t (duty_type);
end
$body$, home));
end
$functions$;

-- Claims and records at once: for signatures that are made already. Each element is an index of the arrays. Its row is
-- written as signed unless a row is there, and stands only if, by a snapshot later than the insert, nothing refuses it. A
-- row that must not stand is taken back, in the same transaction, and leaves no trace. Rows: one for each element that is
-- applied; for each other one what the signer's look shows, by a still later snapshot.
--
-- It runs with the caller's rights, as the other statements of a signer do: it may do nothing that its caller may not. And
-- its names are found as theirs are: a session of a signer has made sure that there is one validator_duties.
do $claim_signed$
declare
  -- Arrays are read as scalar subqueries and rows are looked up laterally by the whole key, with an `offset 0` or `limit 1`
  -- that leaves the planner no choice: the plans are the same for every size of batch and of table.
  claims constant text := $sql$
    unnest((select rollups), (select validators), (select slots), (select duty_types), (select block_indexes),
           (select block_numbers), (select checkpoint_numbers), (select message_hashes), (select lock_tokens),
           (select signatures))
      with ordinality as k (rollup, validator, slot, duty_type, block_index, block_number, checkpoint_number, message_hash,
                            lock_token, signature, ord)$sql$;
  same_duty constant text := $sql$
    d.rollup_address = k.rollup and d.validator_address = k.validator and d.slot = k.slot and d.duty_type = k.duty_type$sql$;
  -- In another collation than the index on the status has, which must not be the way to a row.
  is_signed_so constant text := $sql$
    d.lock_token = k.lock_token and lower(d.message_hash collate "C") = k.message_hash
    and d.status collate "C" = 'signed' and lower(d.signature) = k.signature$sql$;
  -- Word for word the condition of the index ha_signer_upper_case.
  in_upper_case constant text := $sql$
    (d.rollup_address <> lower(d.rollup_address collate "C")
     or d.validator_address <> lower(d.validator_address collate "C"))$sql$;
  -- Word for word the condition of the index ha_signer_foreign_index.
  under_foreign_index constant text := $sql$
    d.duty_type collate "POSIX" <> 'BLOCK_PROPOSAL' and d.block_index_within_checkpoint <> -1$sql$;
  released_of_key constant text := $sql$
    r.rollup_address = k.rollup and r.validator_address = k.validator and r.slot = k.slot and r.duty_type = k.duty_type
    and r.block_index = k.block_index$sql$;
  watermark_of_key constant text := $sql$
    w.rollup_address = k.rollup and w.validator_address in (k.validator, 'every') and w.duty_type = k.duty_type$sql$;
  columns_of_row constant text := $sql$
    d.block_index_within_checkpoint, d.status, d.message_hash, d.signature, d.node_id, d.lock_token$sql$;
  -- Takes the columns and values that only newer versions of the shared tables have.
  inserting constant text := $sql$
    with inserting as (
      insert into validator_duties (
        rollup_address, validator_address, slot, duty_type, block_index_within_checkpoint, block_number, message_hash,
        lock_token, node_id, status, signature, started_at, completed_at%s)
      select k.rollup, k.validator, k.slot, k.duty_type, k.block_index, k.block_number, k.message_hash, k.lock_token,
             claiming_node, 'signed', k.signature, claimed_at, claimed_at%s
      from %s
      order by k.ord
      on conflict do nothing
      returning ctid as row_ctid)
    select array_agg(i.row_ctid) into inserted from inserting i;$sql$;
begin
  execute format(
    'create or replace function ha_signer_claim_signed(
         rollups text[], validators text[], slots bigint[], duty_types text[], block_indexes int[], block_numbers bigint[],
         checkpoint_numbers bigint[], message_hashes text[], lock_tokens text[], signatures text[], claiming_node text,
         keep_hours int, lock_timeout_ms text, known_table oid, known_timeline text, tables_version int)
       returns table (
         ord bigint, low_slot bigint, high_slot bigint, block_index_within_checkpoint int, status text, message_hash text,
         signature text, node_id text, lock_token text, holder text, written_rollup text, written_validator text,
         written_slot bigint, written_duty_type text, applied boolean)
       language plpgsql as %L',
    format($body$
#variable_conflict use_column
declare
  claimed_at       constant timestamp := clock_timestamp() at time zone 'UTC';
  this_transaction constant xid := pg_current_xact_id()::xid;
  inserted tid[];     -- rows of this call
  own_rows tid[];     -- of each element the row that may be its own, by ord
  accepted bigint[];  -- elements that are applied
  kept     tid[];     -- their rows
  refused  tid[];
begin
  -- Only there each statement has a snapshot of its own.
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    raise exception 'ha_signer_claim_signed() can only run in a READ COMMITTED transaction';
  end if;

  -- Until the transaction's end. synchronous_commit is raised to at least `on` and never lowered. A commit whose wait for
  -- replication was cancelled says so by a warning only, so that must not be silenced.
  perform set_config('lock_timeout', lock_timeout_ms, true),
          set_config('synchronous_commit',
                     case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then 'on'
                          else current_setting('synchronous_commit') end, true),
          set_config('client_min_messages', 'warning', true),
          set_config('ha_signer.asks_released', 'true', true);

  -- Waits, within the lock time-out, for transactions that are just inserting, changing or deleting the same duty.
  if tables_version >= 3 then%7$s
  elsif tables_version = 2 then%8$s
  else%9$s
  end if;

  -- Rows are inserted in the order of the elements.
  own_rows := inserted;

  -- A repetition finds its rows. It writes them again, though nothing in them changes: only then does its commit wait for
  -- the disk and for replication again. First it locks them, which may wait; the statement that follows sees them as they
  -- are then.
  if coalesce(cardinality(inserted), 0) < cardinality(lock_tokens) then
    if (select d.xmin from validator_duties d where d.ctid = inserted[1]) <> this_transaction then
      raise exception 'ha_signer_claim_signed() cannot run in a subtransaction';
    end if;

    perform 1
    from %1$s
    cross join lateral (
      select from validator_duties d
      where %2$s and d.block_index_within_checkpoint = k.block_index and %3$s and d.xmin <> this_transaction
      limit 1 for update) d;

    if found then
      with repeated as materialized (
        select d.row_ctid
        from %1$s
        cross join lateral (
          select d.ctid as row_ctid from validator_duties d
          where %2$s and d.block_index_within_checkpoint = k.block_index and %3$s and d.xmin <> this_transaction
          limit 1) d
        limit (select null::bigint))
      update validator_duties v set signature = v.signature from repeated r where v.ctid = r.row_ctid;
    end if;

    select array_agg(d.row_ctid order by k.ord) into own_rows
    from %1$s
    left join lateral (
      select d.ctid as row_ctid from validator_duties d
      where %2$s and d.block_index_within_checkpoint = k.block_index limit 1) d on true;
  end if;

  -- Everything is asked by a snapshot that is later than all waiting: the insert may have waited for a deletion that raised
  -- a watermark. What stands was written by this transaction, so its commit waits for it.
  with beside_key as materialized (
    select jsonb_object_agg(concat_ws(' ', lower(d.rollup_address), lower(d.validator_address), d.slot, d.duty_type,
                                      case d.duty_type when 'BLOCK_PROPOSAL' then d.block_index_within_checkpoint end),
                            true) as duties
    from (select distinct s.slot from unnest((select slots)) as s (slot)) s
    cross join lateral (
      select d.rollup_address, d.validator_address, d.slot, d.duty_type, d.block_index_within_checkpoint
      from validator_duties d where d.slot = s.slot and %4$s
      union all
      select d.rollup_address, d.validator_address, d.slot, d.duty_type, d.block_index_within_checkpoint
      from validator_duties d where d.slot = s.slot and %11$s offset 0) d)
  select array_agg(k.ord), array_agg(d.row_ctid) into accepted, kept
  from beside_key b
  cross join %1$s
  cross join lateral (
    select d.ctid as row_ctid from validator_duties d
    where d.ctid = own_rows[k.ord] and %2$s and d.block_index_within_checkpoint = k.block_index and %3$s
      and d.xmin = this_transaction and d.tableoid = known_table offset 0) d
  left join lateral (
    select true as forbids from ha_signer_watermarks w
    where %5$s and (w.low_slot >= k.slot or w.high_slot < k.slot) offset 0) w on true
  left join lateral (
    select true as is_other from ha_signer_released r
    where %10$s and (k.message_hash not in (r.message_hash, r.digest)
                     or r.message_hash <> r.digest and r.signature is distinct from k.signature) offset 0) r on true
  where w.forbids is null and r.is_other is null
    and (b.duties is null or not jsonb_exists(b.duties, concat_ws(' ', k.rollup, k.validator, k.slot, k.duty_type,
                                              case k.duty_type when 'BLOCK_PROPOSAL' then k.block_index end)))
    and length(k.lock_token) = 32
    and substr(k.lock_token, 1, 16) = (
      select n.incarnation from ha_signer_nodes n where n.node_id = claiming_node and n.lease_until > clock_timestamp())
    and (select case when known_timeline = '' then true
                     else substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) collate "C" >= known_timeline collate "C" end);

  if coalesce(cardinality(accepted), 0) < cardinality(lock_tokens) then
    -- A signed row that is deleted raises a watermark, one that is being signed does not.
    refused := array(select i.row_ctid from unnest(inserted) as i (row_ctid) except select s.row_ctid from unnest(kept) as s (row_ctid));
    if cardinality(refused) > 0 then
      -- The limit does not limit, but makes the planner expect so few rows that it goes to each row by itself.
      with unsigned_again as (
        update validator_duties v set status = 'signing', signature = null, completed_at = null
        from (select r.row_ctid from unnest(refused) as r (row_ctid) limit (select null::bigint)) r
        where v.ctid = r.row_ctid
        returning v.ctid as row_ctid)
      select array_agg(t.row_ctid) into refused from unsigned_again t;
      delete from validator_duties v
      using (select r.row_ctid from unnest(refused) as r (row_ctid) limit (select null::bigint)) r
      where v.ctid = r.row_ctid;
    end if;

    return query
    select k.ord, w.low_slot, w.high_slot, d.block_index_within_checkpoint, d.status::text, d.message_hash::text,
           d.signature::text, d.node_id::text, d.lock_token::text,
           case when d.status = 'signing' and length(d.lock_token) = 32 and substr(d.lock_token, 17, 2) = '00' then (
             select case when substr(d.lock_token, 1, 16) = n.incarnation
                           then case when n.lease_until > clock_timestamp() then 'alive' else 'expired' end
                         when substr(d.lock_token, 1, 16) = any (n.former) then 'expired' end
             from ha_signer_nodes n where n.node_id = d.node_id) end,
           null::text, null::text, null::bigint, null::text, false
    from %1$s
    left join lateral (
      select max(w.low_slot) as low_slot, min(w.high_slot) as high_slot from ha_signer_watermarks w where %5$s offset 0) w on true
    left join lateral (
      select %6$s from validator_duties d
      where %2$s and d.block_index_within_checkpoint
        between case k.duty_type when 'BLOCK_PROPOSAL' then k.block_index else -2147483648 end
            and case k.duty_type when 'BLOCK_PROPOSAL' then k.block_index else 2147483647 end
      offset 0) d on true
    where k.ord not in (select s.ord from unnest(accepted) as s (ord))
    union all
    select null, null, null, d.block_index_within_checkpoint, d.status, d.message_hash, d.signature, d.node_id, d.lock_token,
           null, d.rollup_address, d.validator_address, d.slot, d.duty_type, false
    from (select distinct s.slot from unnest((select slots)) as s (slot)) s
    cross join lateral (
      select %6$s, d.rollup_address, d.validator_address, d.slot, d.duty_type
      from validator_duties d where d.slot = s.slot and %4$s offset 0) d
    union all
    select k.ord, null, null, null, 'released', r.message_hash, r.signature, r.node_id, r.digest, null, null, null, null, null,
           false
    from %1$s
    cross join lateral (
      select r.message_hash, r.signature, r.node_id, r.digest from ha_signer_released r where %10$s offset 0) r
    where k.ord not in (select s.ord from unnest(accepted) as s (ord));
  end if;

  return query
  select s.ord, null::bigint, null::bigint, null::int, null::text, null::text, null::text, null::text, null::text,
         null::text, null::text, null::text, null::bigint, null::text, true
  from unnest(accepted) as s (ord);
end
$body$, claims, same_duty, is_signed_so, in_upper_case, watermark_of_key, columns_of_row,
      format(inserting, ', checkpoint_number, expires_at',
             ', k.checkpoint_number, claimed_at + make_interval(hours => keep_hours)', claims),
      format(inserting, ', checkpoint_number', ', k.checkpoint_number', claims),
      format(inserting, '', '', claims), released_of_key, under_foreign_index));
end
$claim_signed$;

-- Triggers need no right to call their function. Setting watermarks is for the owner, and for whom the owner grants it.
revoke all on function ha_signer_raise_watermarks() from public;
revoke all on function ha_signer_raise_watermarks_on_truncate() from public;
revoke all on function ha_signer_raise_watermarks_of_released() from public;
revoke all on function ha_signer_raise_watermarks_of_released_on_truncate() from public;
revoke all on function ha_signer_check_released() from public;
revoke all on function ha_signer_keep_to_released() from public;
revoke all on function ha_signer_hold_off_writers() from public;
revoke all on function ha_signer_set_watermark(text, text, text, bigint, bigint, boolean, boolean, boolean) from public;
revoke all on function ha_signer_forbid_up_to(text, text, text[], bigint) from public;
revoke all on function ha_signer_claim_signed(text[], text[], bigint[], text[], int[], bigint[], bigint[], text[], text[],
                                              text[], text, int, text, oid, text, int) from public;

-- "always": also in sessions that replay changes with ordinary triggers switched off. The one that refuses rows stays off
-- there: what is replayed was judged where it was written, and an error would end the replication. Made only where missing
-- or switched off, because making a trigger waits for every writer of the table.
do $triggers$
declare
  wanted record;
begin
  for wanted in
    select *
    from (values
      ('ha_signer_raise_watermarks', 'validator_duties',
       'after delete on validator_duties referencing old table as deleted for each statement', 'A'),
      ('ha_signer_raise_watermarks_on_truncate', 'validator_duties', 'before truncate on validator_duties for each statement',
       'A'),
      ('ha_signer_keep_to_released', 'validator_duties',
       $$after insert or update on validator_duties for each row
         when (current_setting('ha_signer.asks_released', true) is distinct from 'true')$$, 'O'),
      ('ha_signer_raise_watermarks_of_released', 'ha_signer_released',
       'after delete on ha_signer_released referencing old table as deleted for each statement', 'A'),
      ('ha_signer_raise_watermarks_of_released_on_truncate', 'ha_signer_released',
       'before truncate on ha_signer_released for each statement', 'A'),
      ('ha_signer_check_released', 'ha_signer_released',
       'after insert on ha_signer_released referencing new table as inserted for each statement', 'A')
    ) as t (name, on_table, fires, enabled)
  loop
    if not exists (
      select from pg_catalog.pg_trigger
      where tgrelid = wanted.on_table::regclass and tgname = wanted.name
        and tgfoid = format('%I()', wanted.name)::regprocedure and tgenabled in ('A', wanted.enabled)
    ) then
      execute format('create or replace trigger %I %s execute function %I()',
                     wanted.name, wanted.fires, wanted.name);
      execute format('alter table %I enable %s trigger %I', wanted.on_table,
                     case wanted.enabled when 'A' then 'always' end, wanted.name);
    end if;
  end loop;
end
$triggers$;

-- All of it belongs to the owner of validator_duties, whatever role runs this. A role that the operator names in the setting
-- ha_signer.grant_to (an array of names) gets what a signer needs: to write duties, to read the cluster's id and the
-- watermarks, to keep its place in the registry and what it releases, to claim and record at once, and to give slots up. A role that may write
-- the registry already was made a signer before, so it gets what was added since. Rights on duties alone say nothing: nodes of
-- the published package have them, too.
do $rights$
declare
  duties  constant regclass := 'validator_duties';
  owner   constant oid := (select relowner from pg_catalog.pg_class where oid = duties);
  -- By its name, which is not given to a second one.
  claim_signed constant regprocedure := (
    select p.oid from pg_catalog.pg_proc p join pg_catalog.pg_class c on c.relnamespace = p.pronamespace
    where c.oid = duties and p.proname = 'ha_signer_claim_signed');
  ours    record;
  grantee text;
begin
  for ours in
    select format('table %s', oid::regclass) as what
    from pg_catalog.pg_class
    where oid = any (array['ha_signer_schema', 'ha_signer_cluster', 'ha_signer_nodes', 'ha_signer_watermarks',
                           'ha_signer_released', 'ha_signer_key_switches']::regclass[])
      and relowner <> owner
    union all
    select format('function %s', oid::regprocedure)
    from pg_catalog.pg_proc
    where oid = any (array['ha_signer_raise_watermarks()', 'ha_signer_raise_watermarks_on_truncate()',
                           'ha_signer_raise_watermarks_of_released()',
                           'ha_signer_raise_watermarks_of_released_on_truncate()', 'ha_signer_check_released()',
                           'ha_signer_keep_to_released()', 'ha_signer_hold_off_writers()',
                           'ha_signer_set_watermark(text, text, text, bigint, bigint, boolean, boolean, boolean)',
                           'ha_signer_forbid_up_to(text, text, text[], bigint)',
                           claim_signed]::regprocedure[])
      and proowner <> owner
  loop
    execute format('alter %s owner to %s', ours.what, owner::regrole);
  end loop;

  for grantee in select quote_ident(name) from unnest(current_setting('ha_signer.grant_to', true)::text[]) as r (name)
  loop
    execute format('grant usage on schema %I to %s', current_schema(), grantee);
    execute format('grant select on schema_version to %s', grantee);
    execute format('grant select, insert, update, delete on validator_duties, ha_signer_nodes to %s', grantee);
  end loop;

  for grantee in
    select distinct case acl.grantee when 0 then 'public' else acl.grantee::regrole::text end
    from pg_catalog.pg_class c, lateral aclexplode(c.relacl) acl
    where c.oid = 'ha_signer_nodes'::regclass and acl.privilege_type = 'INSERT' and acl.grantee <> owner
  loop
    execute format('grant select on ha_signer_schema, ha_signer_cluster, ha_signer_watermarks to %s', grantee);
    execute format('grant select, insert, update, delete on ha_signer_nodes to %s', grantee);
    -- What was released is not changed to another message: deleted, it leaves a watermark. The right to change all of it was
    -- given before there was a release.
    execute format('grant select, insert, delete on ha_signer_released to %s', grantee);
    execute format('revoke update on ha_signer_released from %s', grantee);
    execute format('grant update (signature, confirmed_at) on ha_signer_released to %s', grantee);
    execute format('grant select, insert, update on ha_signer_key_switches to %s', grantee);
    execute format('grant execute on function %s to %s', claim_signed, grantee);
    execute format('grant execute on function ha_signer_forbid_up_to(text, text, text[], bigint) to %s', grantee);
  end loop;
end
$rights$;
