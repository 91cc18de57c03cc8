#include "hasigner/store/postgres/session_check.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "hasigner/store/postgres/sql_texts.hpp"

namespace hasigner::postgres {

namespace {

constexpr std::string_view kMigrate = "; run: ha-signer migrate up --database-url URL";

constexpr std::string_view kPrimaryKey =
    "rollup_address,validator_address,slot,duty_type,block_index_within_checkpoint";
constexpr std::string_view kColumns =
    "rollup_address,validator_address,slot,block_number,block_index_within_checkpoint,duty_type,status,message_hash,"
    "signature,node_id,"
    "lock_token,started_at,completed_at";

enum Column : std::size_t {
  kInRecovery,
  kSchemas,
  kTables,
  kIsPlain,
  kColumnsThere,
  kKeyColumns,
  kRowSecurity,
  kSchemaVersion,
  kMissing,
  kOwnVersion,
  kClusterId,
  kSystemId,
  kTimeline,
  kTableOid,
  kClaimsSigned,
  kColumnCount,
};

// Tables that may be missing cannot be named in a statement, and it must be one statement; query_to_xml() names them
// only where they are there. Objects of ours in another schema than validator_duties are not the ones that the trigger
// writes to.
constexpr std::string_view kText = R"sql(
with there as (
  select to_regclass('validator_duties') as duties, to_regclass('schema_version') as version,
         to_regclass('ha_signer_schema') as own, to_regclass('ha_signer_cluster') as cluster),
tables as (
  select n.nspname, c.relkind = 'r' and c.relpersistence = 'p' and not exists (
           select from pg_catalog.pg_inherits i where c.oid in (i.inhparent, i.inhrelid)) as is_plain
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relname = 'validator_duties' and n.nspname = any (current_schemas(true))),
missing as (
  select o.name from there, unnest(array['ha_signer_schema', 'ha_signer_cluster', 'ha_signer_nodes', 'ha_signer_watermarks',
                                         'ha_signer_upper_case']) as o (name)
  where not exists (
    select from pg_catalog.pg_class c, pg_catalog.pg_class d
    where c.oid = to_regclass(o.name) and d.oid = there.duties and c.relnamespace = d.relnamespace)
  union all
  select 'the trigger ' || o.name from there, unnest(array['ha_signer_raise_watermarks',
                                                          'ha_signer_raise_watermarks_on_truncate']) as o (name)
  where not exists (
    select from pg_catalog.pg_trigger t
    where t.tgrelid = there.duties and t.tgname = o.name and t.tgenabled in ('O', 'A')))
select
  pg_is_in_recovery() as is_in_recovery,
  (select string_agg(nspname, ', ' order by nspname) from tables) as schemas,
  (select count(*) from tables) as tables,
  (select bool_and(is_plain) from tables) as is_plain,
  (select string_agg(attname, ',' order by attnum) from pg_catalog.pg_attribute
   where attrelid = there.duties and attnum > 0 and not attisdropped) as columns,
  (select string_agg(a.attname, ',' order by k.place)
   from pg_catalog.pg_index i cross join unnest(i.indkey) with ordinality as k (attnum, place)
   join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
   where i.indrelid = there.duties and i.indisprimary) as key_columns,
  row_security_active(there.duties) as row_security,
  case when there.version is not null then
    substring(query_to_xml('select max(version) as found from schema_version', true, true, '')::text
              from '<found>([0-9]+)</found>') end as schema_version,
  (select string_agg(name, ', ' order by name) from missing) as missing,
  case when there.own is not null then
    substring(query_to_xml('select max(version) as found from ha_signer_schema', true, true, '')::text
              from '<found>([0-9]+)</found>') end as own_version,
  case when there.cluster is not null then
    substring(query_to_xml('select max(cluster_id) as found from ha_signer_cluster', true, true, '')::text
              from '<found>([0-9a-f]+)</found>') end as cluster_id,
  (select system_identifier from pg_control_system()) as system_id,
  case when not pg_is_in_recovery() then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end as timeline,
  there.duties::oid as table_oid,
  exists (
    select from pg_catalog.pg_proc p join pg_catalog.pg_class d on d.relnamespace = p.pronamespace
    where d.oid = there.duties and has_function_privilege(p.oid, 'execute')
      and p.oid = to_regprocedure('ha_signer_claim_signed(text[], text[], bigint[], text[], int[], bigint[], bigint[], '
                                  'text[], text[], text[], text, int, text, oid, text, int)')) as claims_signed
from there)sql";

constexpr int kOwnSchemaVersion = 1;

/// The one row of the answer.
struct Found {
  const std::vector<std::optional<std::string>>& row;

  [[nodiscard]] std::string text(Column column) const { return row[column].value_or(""); }
  [[nodiscard]] bool is(Column column) const { return row[column] == "t"; }
  [[nodiscard]] int number(Column column) const {
    const std::string digits = text(column);
    int value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
  }
  [[nodiscard]] bool has_column(std::string_view name) const {
    return ("," + text(kColumnsThere) + ",").find("," + std::string(name) + ",") != std::string::npos;
  }
};

using Refusal = std::optional<std::string>;

Refusal refuse_table(const Found& found) {
  if (found.text(kTables) == "0") {
    return "the database has no table validator_duties on its search path" + std::string(kMigrate);
  }
  if (found.text(kTables) != "1") {
    return "several tables are named validator_duties on the search path, in the schemas " + found.text(kSchemas) +
           "; set the role's or the database's search_path so that it has one of them";
  }
  if (!found.is(kIsPlain)) {
    return "validator_duties in schema " + found.text(kSchemas) +
           " is not a plain permanent table (it is a view, or temporary, unlogged, inherited or partitioned), so what "
           "is signed could get "
           "lost; use a database in which `ha-signer migrate up --database-url URL` made it";
  }
  if (found.is(kRowSecurity)) {
    return "row security on validator_duties hides rows from this role; connect as the table's owner, or as a role "
           "with BYPASSRLS";
  }
  return std::nullopt;
}

Refusal refuse_shape(const Found& found) {
  if (!found.has_column("rollup_address")) {
    return "validator_duties has no column rollup_address: the database was made by the 4.0.0 nightly of the published "
           "package, which "
           "numbers its schema like later ones; save the table, drop validator_duties, schema_version and "
           "pgmigrations, and run: "
           "ha-signer migrate up --database-url URL";
  }
  const int version = found.number(kSchemaVersion);
  if (version == 0) return "the table schema_version is missing or empty" + std::string(kMigrate);
  if (version > kNewestSchemaVersion) {
    return "the database has schema version " + std::to_string(version) + ", this program knows " +
           std::to_string(kOldestSchemaVersion) + " to " + std::to_string(kNewestSchemaVersion) +
           "; use a newer ha-signer, or run: ha-signer migrate down --database-url URL";
  }
  std::string wanted(kColumns);
  if (version >= 2) wanted += ",checkpoint_number";
  if (version >= 3) wanted += ",expires_at";
  for (std::size_t begin = 0; begin < wanted.size();) {
    const std::size_t end = std::min(wanted.find(',', begin), wanted.size());
    const std::string name = wanted.substr(begin, end - begin);
    if (!found.has_column(name)) {
      return "schema_version says " + std::to_string(version) + ", but validator_duties has no column " + name +
             "; restore the database, or save its rows and make it anew with: ha-signer migrate up --database-url URL";
    }
    begin = end + 1;
  }
  if (found.text(kKeyColumns) != kPrimaryKey) {
    return "the primary key of validator_duties is (" + found.text(kKeyColumns) + ") and not (" +
           std::string(kPrimaryKey) + "), so it does not keep a duty from being signed twice; restore it";
  }
  return std::nullopt;
}

Refusal refuse_own_objects(const Found& found) {
  const std::string missing = found.text(kMissing);
  if (!missing.empty()) {
    return "the database lacks what ha-signer adds beside the shared tables (" + missing + ")" + std::string(kMigrate);
  }
  const int own = found.number(kOwnVersion);
  if (own > kOwnSchemaVersion) {
    return "the ha_signer tables have version " + std::to_string(own) + ", this program knows " +
           std::to_string(kOwnSchemaVersion) + "; use a newer ha-signer";
  }
  if (own < kOwnSchemaVersion) return "the ha_signer tables have no version" + std::string(kMigrate);
  if (found.text(kClusterId).empty()) return "the table ha_signer_cluster is empty" + std::string(kMigrate);
  return std::nullopt;
}

std::uint64_t timeline_of(const std::string& hex) {
  std::uint64_t timeline = 0;
  std::from_chars(hex.data(), hex.data() + hex.size(), timeline, 16);
  return timeline;
}

/// Compares with what the sessions before have found.
Refusal refuse_change(const Found& found, const StoreEpoch& epoch, const KnownDatabase& known) {
  if (!known.epoch) return std::nullopt;
  if (known.epoch->cluster_id != epoch.cluster_id) {
    return "another database answers than at start: its cluster id is " + epoch.cluster_id + " and was " +
           known.epoch->cluster_id + "; correct the URL, or restart this node if the change is meant";
  }
  if (known.table_oid != found.text(kTableOid)) {
    return "the table validator_duties was dropped and made again while this node was at work: its oid is " +
           found.text(kTableOid) + " and was " + known.table_oid +
           ", so it may lack what was signed; bring the signed duties back (ha-signer import), then restart this node";
  }
  const auto newest = known.newest_timelines.find(epoch.system_id);
  if (newest != known.newest_timelines.end() && epoch.timeline < newest->second) {
    return "the server is on timeline " + std::to_string(epoch.timeline) +
           ", but this node has already worked on "
           "timeline " +
           std::to_string(newest->second) +
           ": it is a former primary that a failover has left behind, "
           "and lacks what was signed since; stop it or make it a standby of the new primary, or restart this node if "
           "the database was put back on purpose";
  }
  return std::nullopt;
}

}  // namespace

std::string timeline_text(std::uint64_t timeline) {
  std::string text(8, '0');
  for (std::size_t i = text.size(); i-- > 0; timeline /= 16) text[i] = "0123456789ABCDEF"[timeline % 16];
  return text;
}

SqlStatement session_check_statement() {
  return {kText, {}};
}

std::optional<std::string> refuse_session(const SqlRows& rows, KnownDatabase& known) {
  if (rows.rows.size() != 1 || rows.rows[0].size() != kColumnCount)
    return "the server's answer to the check of a session has another shape";
  const Found found{rows.rows[0]};
  if (found.is(kInRecovery)) {
    return "the server is a standby in recovery and cannot be written to; name the primary in the URL, or several "
           "hosts with "
           "target_session_attrs=read-write";
  }
  for (const auto refuse : {refuse_table, refuse_shape, refuse_own_objects}) {
    if (auto refusal = refuse(found)) return refusal;
  }
  StoreEpoch epoch{found.text(kClusterId), found.text(kSystemId), timeline_of(found.text(kTimeline))};
  if (auto refusal = refuse_change(found, epoch, known)) return refusal;
  known.table_oid = found.text(kTableOid);
  known.schema_version = found.number(kSchemaVersion);
  known.claims_signed = found.is(kClaimsSigned);
  if (!known.epoch || *known.epoch != epoch) known.epoch = std::make_shared<const StoreEpoch>(std::move(epoch));
  return std::nullopt;
}

SessionCheck session_check(std::shared_ptr<KnownDatabase> known) {
  auto judge = [known = std::move(known)](const SqlRows& rows) -> SessionVerdict {
    if (auto refusal = refuse_session(rows, *known)) return {.refusal = std::move(refusal)};
    const StoreEpoch& epoch = *known->epoch;
    const bool is_first = known->newest_timelines.empty();
    const bool is_other_server = !is_first && known->last_system_id != epoch.system_id;
    std::uint64_t& newest = known->newest_timelines[epoch.system_id];
    const bool is_newer = newest < epoch.timeline;
    newest = epoch.timeline;
    known->last_system_id = epoch.system_id;
    return {.refusal = std::nullopt, .outdates_others = !is_first && (is_other_server || is_newer)};
  };
  return {session_check_statement(), std::move(judge)};
}

}  // namespace hasigner::postgres
