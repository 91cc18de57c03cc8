#!/usr/bin/env bash
# Our migrations against the published package's, on a real PostgreSQL that this script starts and stops.
#
# Shows that both tools make the same shared tables, that each understands a database which the other migrated, and that
# our own objects (watermarks above all) do what they promise whichever program deletes a duty.
#
#   PG_BIN              folder of the PostgreSQL programs (default: the newest under /usr/lib/postgresql)
#   HA_SIGNER_BIN       the program whose `migrate` is tested; without it the files of schema/postgres go through psql
#   HASIGNER_TEST_CACHE where the published package is installed once (default: build/test-cache)
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
schema=$root/schema/postgres
PG_BIN=${PG_BIN:-$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)}
cache=${HASIGNER_TEST_CACHE:-$root/build/test-cache}
export PUBLISHED_DIR=$cache/published
# Nothing of the caller's own PostgreSQL settings reaches the tests.
unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGOPTIONS PGTZ PGSERVICE DATABASE_URL VALIDATOR_HA_DATABASE_URL

readonly rollup=0x1111111111111111111111111111111111111111
readonly alice=0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
readonly alice_in_capitals=0xAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
readonly bob=0xbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
readonly published_lock=7241865325823964

# ---- the server

work=$(mktemp -d)
as_server_user() { "$@"; }
if [[ $EUID -eq 0 ]]; then  # PostgreSQL refuses to run as root
  as_server_user() { runuser -u postgres -- "$@"; }
  chown postgres "$work"
  chmod 755 "$work"
fi

clean_up() {
  if [[ -f $work/pg/postmaster.pid ]]; then
    as_server_user "$PG_BIN/pg_ctl" stop --silent --mode=immediate --pgdata="$work/pg" || true
  fi
  rm -rf "$work"
}
trap clean_up EXIT

start_server() {
  as_server_user "$PG_BIN/initdb" --pgdata="$work/pg" --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
    >"$work/initdb.log" 2>&1
  for _ in {1..10}; do
    port=$((20000 + RANDOM))
    if as_server_user "$PG_BIN/pg_ctl" start --silent --wait --pgdata="$work/pg" --log="$work/pg.log" \
      --options="-c port=$port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$work"; then
      return
    fi
  done
  cat "$work/pg.log" >&2
  return 1
}

# ---- the published package

install_published() {  # once for all runs, and again when the pinned versions change
  mkdir -p "$cache"
  exec 9>"$cache/published.lock"
  flock 9
  if ! cmp --silent "$here/package.json" "$PUBLISHED_DIR/installed.json"; then
    rm -rf "$PUBLISHED_DIR"
    mkdir -p "$PUBLISHED_DIR"
    cp "$here/package.json" "$PUBLISHED_DIR/"
    (cd "$PUBLISHED_DIR" && npm install --no-package-lock --ignore-scripts --no-audit --no-fund) >"$work/npm.log" 2>&1 \
      || { cat "$work/npm.log" >&2; return 1; }
    cp "$here/package.json" "$PUBLISHED_DIR/installed.json"
  fi
  exec 9>&-
}

published() { node "$here/published_migrate.mjs" "$@"; }

# ---- helpers

sql() {  # URL STATEMENT...: the rows, columns joined by '|'
  local url=$1 statement
  shift
  local -a commands=()
  for statement; do commands+=(-c "$statement"); done
  "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -v VERBOSITY=verbose "${commands[@]}" "$url"
}

apply() {  # URL FILE [STATEMENT]: one transaction
  "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 --single-transaction -f "$schema/$2" -c "${3:-}" "$1"
}

new_database() {  # [URL OF THE ONE TO COPY]: its URL; checks run in subshells, so the server counts
  local name template=${1:-template1}
  name=db$(sql "$admin" "select nextval('database_number')")
  sql "$admin" "create database $name template ${template##*/}"
  echo "$server/$name"
}

migrations=(1_initial-schema 2_add-checkpoint-number 3_add-duty-expiry)

file_of() { printf '000%s.%s.sql' "$1" "$2"; }

list_of_migrations() {
  sql "$1" "create table if not exists public.pgmigrations (
              id serial primary key, name varchar(255) not null, run_on timestamp not null)"
}

shared_up() {  # URL VERSION: the shared tables alone, by our files
  list_of_migrations "$1"
  local name
  for name in "${migrations[@]:0:$2}"; do
    if [[ $(sql "$1" "select count(*) from public.pgmigrations where name = '$name'") == 0 ]]; then
      # The published tool sorts its list by time, so a name never gets an earlier time than those before it.
      apply "$1" "$(file_of "$name" up)" "insert into public.pgmigrations (name, run_on)
        select '$name', greatest(localtimestamp, max(run_on)) from public.pgmigrations"
    fi
  done
}

ours_up() {  # URL [VERSION]
  if [[ -n ${HA_SIGNER_BIN:-} ]]; then
    "$HA_SIGNER_BIN" migrate up --to "${2:-3}" --yes --database-url "$1"
  else
    shared_up "$1" "${2:-3}"
    apply "$1" ha_signer.up.sql
  fi
}

ours_down() {  # URL: one version
  if [[ -n ${HA_SIGNER_BIN:-} ]]; then
    "$HA_SIGNER_BIN" migrate down --yes --database-url "$1"
  else
    local name
    name=$(sql "$1" "select name from public.pgmigrations order by run_on desc, id desc limit 1")
    apply "$1" "$(file_of "$name" down)" "delete from public.pgmigrations where name = '$name'"
  fi
}

ours_status() {  # URL: names the migrations that are applied
  if [[ -n ${HA_SIGNER_BIN:-} ]]; then
    "$HA_SIGNER_BIN" migrate status --database-url "$1"
  else
    sql "$1" "select name from public.pgmigrations order by run_on, id" "select 'version ' || version from schema_version"
  fi
}

dump() {  # URL: without the two lines that hold a random key
  "$PG_BIN/pg_dump" --schema-only "$1" | sed '/^\\\(un\)\{0,1\}restrict /d'
}

shared_dump() {  # URL: of a copy from which our own objects are removed
  local copy
  copy=$(new_database "$1")
  apply "$copy" ha_signer.down.sql
  dump "$copy"
}

same() {  # EXPECTED FOUND
  diff <(printf '%s\n' "$1") <(printf '%s\n' "$2")
}

fails_with() {  # TEXT COMMAND...: the command fails, and says so
  local text=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "succeeded: $*"
    return 1
  fi
  [[ $output == *"$text"* ]] || { echo "expected: $text"; echo "found: $output"; return 1; }
}

duty() {  # VALIDATOR SLOT [STATUS] [DUTY TYPE]: a statement that inserts it
  printf "insert into validator_duties (rollup_address, validator_address, slot, block_number, block_index_within_checkpoint,
            duty_type, status, message_hash, node_id, lock_token)
          values ('%s', '%s', %s, 0, -1, '%s', '%s', '0x%s', 'n', 't')" \
    "$rollup" "$1" "$2" "${4:-ATTESTATION}" "${3:-signed}" "$(printf '5%.0s' {1..64})"
}

watermarks() {  # URL
  sql "$1" "select validator_address, duty_type, low_slot, high_slot from ha_signer_watermarks order by 1, 2"
}

# A session that stays open: `say` sends, and `hear` waits until all that was said has been executed.
open_session() { coproc SESSION { "$PG_BIN/psql" -X -q -A -t "$1" 2>&1; }; }
say() { printf '%s;\n' "$@" >&"${SESSION[1]}"; }
hear() {
  local line
  printf '\\echo heard\n' >&"${SESSION[1]}"
  while read -r -t 30 line <&"${SESSION[0]}"; do
    if [[ $line == heard ]]; then return 0; fi
    printf '%s\n' "$line"
  done
  echo 'the session does not answer'
  return 1
}
close_session() {
  local pid=$SESSION_PID
  printf '\\q\n' >&"${SESSION[1]}"
  wait "$pid"
}

until_blocked() {  # URL: until some session of this database waits for a lock
  sql "$1" "do \$\$ begin
    for i in 1..3000 loop
      if exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock') then
        return;
      end if;
      perform pg_sleep(0.01), pg_stat_clear_snapshot();
    end loop;
    raise 'no session waits';
  end \$\$"
}

# ---- the shared tables

a_fresh_version_1_is_the_published_one_to_the_byte() {
  local theirs ours
  theirs=$(new_database)
  ours=$(new_database)
  same '["1_initial-schema"]' "$(published up "$theirs")"
  shared_up "$ours" 1
  same "$(dump "$theirs")" "$(dump "$ours")"
  same "$(sql "$theirs" 'select version from schema_version' 'select id, name from pgmigrations')" \
    "$(sql "$ours" 'select version from schema_version' 'select id, name from pgmigrations')"
}

migrating_up_to_1_gives_the_published_tables_beside_our_own_objects() {
  local theirs ours
  theirs=$(new_database)
  ours=$(new_database)
  published up "$theirs"
  ours_up "$ours" 1
  same "$(dump "$theirs")" "$(shared_dump "$ours")"
  [[ -n $(sql "$ours" 'select cluster_id from ha_signer_cluster') ]]
}

the_way_down_from_1_leaves_what_the_published_one_leaves() {
  local theirs ours
  theirs=$(new_database)
  ours=$(new_database)
  published up "$theirs"
  same '["1_initial-schema"]' "$(published down "$theirs")"
  ours_up "$ours" 1
  ours_down "$ours"
  same "$(dump "$theirs")" "$(shared_dump "$ours")"
}

each_version_adds_its_column_at_the_end_and_its_way_down_takes_it_away() {
  local url one two
  url=$(new_database)
  shared_up "$url" 1
  one=$(dump "$url")
  shared_up "$url" 2
  two=$(dump "$url")
  same 'checkpoint_number|bigint|NO|0' "$(sql "$url" "select column_name, data_type, is_nullable, column_default
    from information_schema.columns where table_name = 'validator_duties' order by ordinal_position desc limit 1")"
  same 2 "$(sql "$url" 'select version from schema_version')"
  shared_up "$url" 3
  same "expires_at|timestamp without time zone|YES|(CURRENT_TIMESTAMP + '30 days'::interval)" "$(sql "$url" "select
    column_name, data_type, is_nullable, column_default
    from information_schema.columns where table_name = 'validator_duties' order by ordinal_position desc limit 1")"
  same 'CREATE INDEX idx_validator_duties_expiry ON public.validator_duties USING btree (expires_at) WHERE (expires_at IS NOT NULL)' \
    "$(sql "$url" "select indexdef from pg_indexes where indexname = 'idx_validator_duties_expiry'")"
  same 3 "$(sql "$url" 'select version from schema_version')"
  apply "$url" "$(file_of 3_add-duty-expiry down)"
  same "$two" "$(dump "$url")"
  apply "$url" "$(file_of 2_add-checkpoint-number down)"
  same "$one" "$(dump "$url")"
  same 1 "$(sql "$url" 'select version from schema_version')"
}

duties_recorded_before_version_3_expire_30_days_after_it() {
  local url
  url=$(new_database)
  shared_up "$url" 1
  sql "$url" "$(duty "$alice" 1)"
  shared_up "$url" 3
  same 't|0' "$(sql "$url" "select expires_at between localtimestamp + interval '29 days' and localtimestamp + interval '31 days',
    checkpoint_number from validator_duties")"
}

a_database_set_up_without_a_migration_tool_is_completed() {
  local url
  url=$(new_database)
  shared_up "$url" 3
  sql "$url" 'drop table pgmigrations'
  ours_up "$url" 3
  same 3 "$(sql "$url" 'select version from schema_version')"
}

# ---- crossing over

we_read_and_migrate_a_database_that_the_published_tool_made() {
  local url fresh
  url=$(new_database)
  published up "$url"
  fresh=$(dump "$url")
  same ok "$(published initialize "$url")"
  [[ $(ours_status "$url") == *1_initial-schema* ]]
  ours_up "$url" 1
  same ok "$(published initialize "$url")"
  ours_up "$url" 3
  [[ $(ours_status "$url") == *3_add-duty-expiry* ]]
  same '[]' "$(published up "$url")"
  fails_with 'Definitions of migrations 3_add-duty-expiry have been deleted' published down "$url"
  fails_with 'version 3 is newer than expected (1)' published initialize "$url"
  ours_down "$url"
  fails_with 'version 2 is newer than expected (1)' published initialize "$url"
  ours_down "$url"
  same ok "$(published initialize "$url")"
  same "$fresh" "$(shared_dump "$url")"
  ours_down "$url"
  fails_with 'Database schema not initialized' published initialize "$url"
  same '["1_initial-schema"]' "$(published up "$url")"
}

the_published_tool_reads_and_migrates_a_database_that_we_made() {
  local url made
  url=$(new_database)
  ours_up "$url" 1
  made=$(dump "$url")
  same ok "$(published initialize "$url")"
  same '[]' "$(published up "$url")"
  same "$made" "$(dump "$url")"
  same '["1_initial-schema"]' "$(published down "$url")"
  fails_with 'Database schema not initialized' published initialize "$url"
  same '["1_initial-schema"]' "$(published up "$url")"
  ours_up "$url" 1
  same "$made" "$(dump "$url")"
}

the_order_of_migrations_survives_another_time_zone() {
  local url
  url=$(new_database)
  sql "$url" "alter database ${url##*/} set timezone = 'Asia/Tokyo'"
  published up "$url"
  sql "$url" "alter database ${url##*/} set timezone = 'America/Los_Angeles'"
  ours_up "$url" 3
  same '[]' "$(published up "$url")"
}

the_published_tool_does_not_start_while_ours_is_at_work() {
  local url
  url=$(new_database)
  open_session "$url"
  say 'begin' "select pg_advisory_xact_lock($published_lock)"
  hear
  fails_with 'Another migration is already running' published up "$url"
  close_session
}

our_objects_wait_for_the_published_tool() {
  local url
  url=$(new_database)
  ours_up "$url" 1
  open_session "$url"
  say "select pg_advisory_lock($published_lock)"
  hear
  fails_with 'lock timeout' env PGOPTIONS='-c lock_timeout=100ms' "$PG_BIN/psql" -X -1 -v ON_ERROR_STOP=1 \
    -f "$schema/ha_signer.up.sql" "$url"
  close_session
}

the_program_prints_the_published_lines() {
  [[ -n ${HA_SIGNER_BIN:-} ]] || return "$skipped_without_program"
  local url
  url=$(new_database)
  "$HA_SIGNER_BIN" migrate-ha-db up --to 1 --database-url "$url" | grep -x 'Applied migrations: 1_initial-schema'
  "$HA_SIGNER_BIN" migrate-ha-db up --to 1 --database-url "$url" | grep -x 'No migrations to apply - schema is up to date'
  DATABASE_URL=$url "$HA_SIGNER_BIN" migrate-ha-db up \
    | grep -x 'Applied migrations: 2_add-checkpoint-number, 3_add-duty-expiry'
  "$HA_SIGNER_BIN" migrate-ha-db down --yes --database-url "$url" | grep -x 'Rolled back migrations: 3_add-duty-expiry'
  "$HA_SIGNER_BIN" migrate-ha-db down --yes --database-url "$url" | grep -x 'Rolled back migrations: 2_add-checkpoint-number'
  "$HA_SIGNER_BIN" migrate-ha-db down --yes --database-url "$url" | grep -x 'Rolled back migrations: 1_initial-schema'
  "$HA_SIGNER_BIN" migrate-ha-db down --yes --database-url "$url" | grep -x 'No migrations to rollback'
}

# ---- our own objects

our_objects_can_be_made_at_every_version_and_again() {
  local url version made cluster
  for version in 1 2 3; do
    url=$(new_database)
    shared_up "$url" "$version"
    apply "$url" ha_signer.up.sql
    made=$(dump "$url")
    cluster=$(sql "$url" 'select cluster_id from ha_signer_cluster')
    [[ $cluster =~ ^[0-9a-f]{32}$ ]]
    apply "$url" ha_signer.up.sql
    same "$made" "$(dump "$url")"
    same "$cluster" "$(sql "$url" 'select cluster_id from ha_signer_cluster')"
    same 1 "$(sql "$url" 'select version from ha_signer_schema')"
  done
}

our_objects_can_be_made_by_many_at_once() {
  local url pid
  local -a pids=()
  url=$(new_database)
  shared_up "$url" 3
  for _ in {1..8}; do
    apply "$url" ha_signer.up.sql &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid"; done
  same '1|1' "$(sql "$url" 'select (select count(*) from ha_signer_cluster), (select count(*) from ha_signer_schema)')"
}

making_our_objects_again_locks_no_shared_table() {
  local url
  url=$(new_database)
  ours_up "$url" 3
  open_session "$url"
  say 'begin' 'lock table validator_duties in access exclusive mode'
  hear
  # Rights and columns are read from the catalogue, so even this lock is not met.
  env PGOPTIONS='-c lock_timeout=1s' "$PG_BIN/psql" -X -q -1 -v ON_ERROR_STOP=1 -f "$schema/ha_signer.up.sql" "$url"
  close_session
}

there_is_one_cluster_id_and_one_version() {
  local url
  url=$(new_database)
  ours_up "$url" 1
  fails_with 'ha_signer_cluster_one_row' sql "$url" "insert into ha_signer_cluster values ('$(printf 'c%.0s' {1..32})')"
  fails_with 'ha_signer_schema_one_row' sql "$url" 'insert into ha_signer_schema (version) values (2)'
}

objects_of_a_newer_program_are_not_replaced() {
  local url
  url=$(new_database)
  ours_up "$url" 1
  sql "$url" 'update ha_signer_schema set version = 2'
  fails_with 'the ha_signer objects have version 2' apply "$url" ha_signer.up.sql
}

what_is_not_the_shared_table_is_refused() {
  local url
  url=$(new_database)
  fails_with 'validator_duties is not on the search path' apply "$url" ha_signer.up.sql
  sql "$url" 'create unlogged table validator_duties (slot bigint)'
  fails_with 'not a plain permanent table' apply "$url" ha_signer.up.sql
  sql "$url" 'drop table validator_duties' 'create view validator_duties as select 1 as slot'
  fails_with 'not a plain permanent table' apply "$url" ha_signer.up.sql
}

watermarks_in_another_schema_are_not_forgotten() {
  local url
  url=$(new_database)
  ours_up "$url" 1
  sql "$url" 'create schema elsewhere' 'alter table validator_duties set schema elsewhere' \
    "alter database ${url##*/} set search_path = elsewhere, public"
  fails_with 'ha_signer_watermarks is in schema public, but validator_duties is in schema elsewhere' \
    apply "$url" ha_signer.up.sql
}

deleting_signed_duties_raises_the_low_watermark_to_the_highest_slot_of_each_kind() {
  local url
  url=$(new_database)
  ours_up "$url" 3
  sql "$url" "$(duty "$alice" 7)" "$(duty "$alice" 9)" "$(duty "$alice" 8)" "$(duty "$alice" 50 signing)" \
    "$(duty "$alice" 3 signed GOVERNANCE_VOTE)" "$(duty "$bob" 5)" 'delete from validator_duties'
  same "$alice|ATTESTATION|9|
$alice|GOVERNANCE_VOTE|3|
$bob|ATTESTATION|5|" "$(watermarks "$url")"
}

a_watermark_rises_and_never_falls_by_deleting() {
  local url
  url=$(new_database)
  ours_up "$url" 3
  sql "$url" "select ha_signer_set_watermark('$rollup', '$alice', 'ATTESTATION', null, 90)"
  sql "$url" "$(duty "$alice" 7)" 'delete from validator_duties'
  same "$alice|ATTESTATION|7|90" "$(watermarks "$url")"
  sql "$url" "$(duty "$alice" 6)" 'delete from validator_duties'
  same "$alice|ATTESTATION|7|90" "$(watermarks "$url")"
  sql "$url" "$(duty "$alice" 8)" 'delete from validator_duties'
  same "$alice|ATTESTATION|8|90" "$(watermarks "$url")"
}

a_deletion_that_is_rolled_back_raises_nothing() {
  local url
  url=$(new_database)
  ours_up "$url" 3
  sql "$url" "$(duty "$alice" 7)" 'begin' 'delete from validator_duties' 'rollback'
  same '' "$(watermarks "$url")"
}

letter_case_does_not_split_a_watermark() {
  local url
  url=$(new_database)
  ours_up "$url" 3
  sql "$url" "$(duty "$alice" 7)" "$(duty "$alice_in_capitals" 11)" 'delete from validator_duties'
  same "$alice|ATTESTATION|11|" "$(watermarks "$url")"
}

odd_rows_can_still_be_deleted() {
  local url
  url=$(new_database)
  ours_up "$url" 3
  sql "$url" "$(duty '' 7)" "$(duty 'İſK not an address' 8)" "$(duty "$alice" -5)" 'delete from validator_duties'
  same 0 "$(sql "$url" 'select count(*) from validator_duties')"
  same 0 "$(sql "$url" "select count(*) from ha_signer_watermarks where validator_address = '$alice'")"
}

a_role_with_rights_on_the_duties_alone_raises_watermarks() {
  local url limited
  url=$(new_database)
  ours_up "$url" 3
  limited=${url/postgres@/validator@}
  sql "$url" 'grant select, insert, update, delete, truncate on validator_duties to validator'
  sql "$limited" "$(duty "$alice" 7)" 'delete from validator_duties'
  same "$alice|ATTESTATION|7|" "$(watermarks "$url")"
  sql "$limited" "$(duty "$alice" 8)" 'truncate validator_duties'
  same "$alice|ATTESTATION|8|" "$(watermarks "$url")"
  fails_with 'permission denied for table ha_signer_watermarks' sql "$limited" 'delete from ha_signer_watermarks'
  fails_with 'permission denied for function' sql "$limited" \
    "select ha_signer_set_watermark('$rollup', '$alice', 'ATTESTATION', 0, null)"
}

a_role_that_is_named_may_do_what_a_signer_needs() {
  local url limited
  url=$(new_database)
  shared_up "$url" 3
  limited=${url/postgres@/validator@}
  sql "$url" 'grant select, insert, update, delete on validator_duties to validator'
  apply "$url" ha_signer.up.sql
  fails_with 'permission denied' sql "$limited" 'select from ha_signer_nodes'
  PGOPTIONS='-c ha_signer.grant_to={validator}' apply "$url" ha_signer.up.sql
  sql "$limited" 'select from ha_signer_cluster' 'select from ha_signer_schema' 'select from ha_signer_watermarks' \
    "insert into ha_signer_nodes (node_id, incarnation, registered_at, heartbeat_at, lease_until)
     values ('n', '0123456789abcdef', now(), now(), now())" 'update ha_signer_nodes set heartbeat_at = now()'
  fails_with 'permission denied' sql "$limited" 'update ha_signer_watermarks set low_slot = 0'
  fails_with 'ha_signer_nodes_incarnation_check' sql "$limited" "update ha_signer_nodes set incarnation = '0123456789ABCDEF'"
}

our_objects_belong_to_the_owner_of_the_duties() {
  local url owner
  url=$(new_database)
  sql "$url" 'grant create on schema public to validator'
  owner=${url/postgres@/validator@}
  published up "$owner"
  apply "$url" ha_signer.up.sql
  same validator "$(sql "$url" "
    select distinct owner::regrole from (
      select relowner from pg_class where relname like 'ha\_signer\_%'
      union all select proowner from pg_proc where proname like 'ha\_signer\_%') o (owner)")"
  apply "$owner" ha_signer.up.sql
  sql "$owner" "$(duty "$alice" 7)" 'delete from validator_duties'
  same "$alice|ATTESTATION|7|" "$(watermarks "$url")"
}

no_search_path_misleads_the_trigger() {
  local url
  url=$(new_database)
  sql "$url" 'create schema "Shared Duties"' "alter database ${url##*/} set search_path = \"Shared Duties\""
  shared_up "$url" 3
  apply "$url" ha_signer.up.sql
  apply "$url" ha_signer.up.sql
  sql "$url" "$(duty "$alice" 7)" 'create schema evil' \
    "create function evil.lower(text) returns text language sql as \$\$ select '' \$\$" \
    'create table evil.ha_signer_watermarks (like "Shared Duties".ha_signer_watermarks)' \
    'set search_path = evil, pg_catalog' 'create temp table ha_signer_watermarks (like evil.ha_signer_watermarks)' \
    'delete from "Shared Duties".validator_duties'
  same "$alice|ATTESTATION|7|" "$(watermarks "$url")"
  apply "$url" ha_signer.down.sql
  same 0 "$(sql "$url" "select count(*) from pg_class
    where relname like 'ha\_signer\_%' and relnamespace = '\"Shared Duties\"'::regnamespace")"
}

the_trigger_fires_in_sessions_that_switch_triggers_off() {
  local url
  url=$(new_database)
  ours_up "$url" 3
  sql "$url" "$(duty "$alice" 7)" 'set session_replication_role = replica' 'delete from validator_duties'
  same "$alice|ATTESTATION|7|" "$(watermarks "$url")"
}

a_trigger_that_was_switched_off_is_switched_on_again() {
  local url
  url=$(new_database)
  ours_up "$url" 3
  sql "$url" 'alter table validator_duties disable trigger all'
  apply "$url" ha_signer.up.sql
  sql "$url" "$(duty "$alice" 7)" 'delete from validator_duties'
  same "$alice|ATTESTATION|7|" "$(watermarks "$url")"
}

truncating_raises_watermarks_for_every_row_even_one_committed_while_it_waits() {
  local url pid
  url=$(new_database)
  ours_up "$url" 3
  sql "$url" "$(duty "$alice" 7)" "$(duty "$bob" 50 signing)"
  open_session "$url"
  say 'begin' "$(duty "$alice" 9)"
  hear
  sql "$url" 'truncate validator_duties' &
  pid=$!
  until_blocked "$url"
  say 'commit'
  hear
  wait "$pid"
  close_session
  same "$alice|ATTESTATION|9|" "$(watermarks "$url")"
}

truncating_with_an_old_snapshot_is_refused() {
  local url
  url=$(new_database)
  ours_up "$url" 3
  open_session "$url"
  say 'begin isolation level repeatable read' 'select from validator_duties'
  hear
  sql "$url" "$(duty "$alice" 9)"
  say 'truncate validator_duties'
  [[ $(hear) == *'can only be truncated in a READ COMMITTED transaction'* ]]
  close_session
  same 1 "$(sql "$url" 'select count(*) from validator_duties')"
}

retention_of_the_published_package_raises_watermarks() {
  local url
  url=$(new_database)
  published up "$url"
  ours_up "$url" 1
  same "0x$(printf '5b%.0s' {1..65})" "$(published sign "$url" "$rollup" "$alice" 41)"
  published sign "$url" "$rollup" "$alice" 42
  same 2 "$(published forget "$url")"
  same "$alice|ATTESTATION|42|" "$(watermarks "$url")"
}

our_way_down_and_up_again_forgets_no_signed_duty() {
  local url
  url=$(new_database)
  ours_up "$url" 1
  sql "$url" "$(duty "$alice" 7)"
  ours_down "$url"
  same "$alice|ATTESTATION|7|" "$(watermarks "$url")"
  ours_up "$url" 1
  same "$alice|ATTESTATION|7|" "$(watermarks "$url")"
}

the_published_way_down_and_up_keeps_watermarks_and_gets_its_trigger_back() {
  local url made
  url=$(new_database)
  ours_up "$url" 1
  made=$(dump "$url")
  sql "$url" "$(duty "$alice" 7)" 'delete from validator_duties'
  published down "$url"
  published up "$url"
  ours_up "$url" 1
  same "$made" "$(dump "$url")"
  same "$alice|ATTESTATION|7|" "$(watermarks "$url")"
  sql "$url" "$(duty "$bob" 8)" 'delete from validator_duties'
  same "$alice|ATTESTATION|7|
$bob|ATTESTATION|8|" "$(watermarks "$url")"
}

removing_our_objects_leaves_the_shared_tables_working() {
  local url before
  url=$(new_database)
  published up "$url"
  before=$(dump "$url")
  apply "$url" ha_signer.up.sql
  apply "$url" ha_signer.down.sql
  same "$before" "$(dump "$url")"
  apply "$url" ha_signer.down.sql
  published sign "$url" "$rollup" "$alice" 41
  same 1 "$(published forget "$url")"
}

a_watermark_is_set_to_exactly_what_is_said() {
  local url
  url=$(new_database)
  ours_up "$url" 1
  sql "$url" "select ha_signer_set_watermark('$rollup', '$alice_in_capitals', 'ATTESTATION', 10, 20)"
  same "$alice|ATTESTATION|10|20" "$(watermarks "$url")"
  sql "$url" "select ha_signer_set_watermark('$rollup', '$alice', 'ATTESTATION', 4, null)"
  same "$alice|ATTESTATION|4|" "$(watermarks "$url")"
}

a_wrong_watermark_is_refused_with_the_field_and_the_value() {
  local url
  url=$(new_database)
  ours_up "$url" 1
  fails_with "22023: rollup must be 0x and 40 hex digits, not '0x11'" \
    sql "$url" "select ha_signer_set_watermark('0x11', '$alice', 'ATTESTATION', 1, null)"
  fails_with '22023: validator must be 0x and 40 hex digits, or every, not null' \
    sql "$url" "select ha_signer_set_watermark('$rollup', null, 'ATTESTATION', 1, null)"
  fails_with "22023: duty_type must be a protected duty type, not 'TXS'" \
    sql "$url" "select ha_signer_set_watermark('$rollup', '$alice', 'TXS', 1, null)"
  fails_with '22023: low and high must not be negative, not -1 and <NULL>' \
    sql "$url" "select ha_signer_set_watermark('$rollup', '$alice', 'ATTESTATION', -1, null)"
  same '' "$(watermarks "$url")"
}

setting_a_watermark_lets_no_attempt_in_flight_slip_past() {
  local url set
  url=$(new_database)
  ours_up "$url" 1
  set="select ha_signer_set_watermark('$rollup', '$alice', 'ATTESTATION', 10, null)"
  open_session "$url"
  say 'begin' "$(duty "$alice" 5 signing)"
  hear
  fails_with '55P03' sql "$url" "set lock_timeout = '100ms'" "$set"
  same '' "$(watermarks "$url")"
  say 'commit'
  hear
  sql "$url" "set lock_timeout = '10s'" "$set"
  same "$alice|ATTESTATION|10|" "$(watermarks "$url")"
  say 'begin' "$set"
  hear
  fails_with '55P03' sql "$url" "set lock_timeout = '100ms'" "$(duty "$alice" 6 signing)"
  close_session
}

the_upper_case_index_finds_foreign_rows_by_slot() {
  local url
  url=$(new_database)
  ours_up "$url" 1
  sql "$url" "$(duty "$alice" 5)" "$(duty "$alice_in_capitals" 5)"
  [[ $(sql "$url" 'set enable_seqscan = off' "explain select from validator_duties where slot = 5
    and (rollup_address <> lower(rollup_address collate \"C\")
         or validator_address <> lower(validator_address collate \"C\"))") == *ha_signer_upper_case* ]]
}

# ---- all of it

passed=0
failed=0
readonly skipped_without_program=77
check() {  # FUNCTION: runs it in a shell of its own that ends at the first error
  local result
  set +e
  (set -e; "$1") >"$work/check.log" 2>&1
  result=$?
  set -e
  if [[ $result -eq 0 ]]; then
    passed=$((passed + 1))
    echo "passed: ${1//_/ }"
  elif [[ $result -eq $skipped_without_program ]]; then
    echo "skipped, needs HA_SIGNER_BIN: ${1//_/ }"
  else
    failed=$((failed + 1))
    echo "FAILED: ${1//_/ }"
    sed 's/^/    /' "$work/check.log"
  fi
}

install_published
start_server
server=postgresql://postgres@127.0.0.1:$port
admin=$server/postgres
sql "$admin" 'create sequence database_number' 'create role validator login'

# Every function from the first check on, in the order of this file.
checks=$(sed -n '/^# ---- the shared tables/,/^# ---- all of it/s/^\([a-z0-9_]*\)() {$/\1/p' "$here/published_schema_test.sh")
for name in $checks; do check "$name"; done

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
