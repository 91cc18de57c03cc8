#include "hasigner/store/postgres/session_check.hpp"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "hasigner/store/postgres/advice.hpp"
#include "hasigner/store/postgres/sql_errors.hpp"
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

/// Columns of the one row of sql/session_check.sql.
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
  kTableOid,
  kReleasedOid,
  kServerStarted,
  kClaimsSigned,
  kHasRounds,
  kSystemId,
  kTimeline,
  kColumnCount,
};

constexpr int kOwnSchemaVersion = 1;

/// The one row of the answer.
struct Found {
  const std::vector<std::optional<std::string>>& row;

  [[nodiscard]] std::string text(Column column) const { return row[column].value_or(""); }
  [[nodiscard]] bool is(Column column) const { return row[column] == "t"; }
  [[nodiscard]] int number(Column column) const {
    const std::string digits = text(column);
    int value = 0;
    const auto* const end = digits.data() + digits.size();
    const auto [rest, error] = std::from_chars(digits.data(), end, value);
    return error == std::errc() && rest == end ? value : 0;
  }
  [[nodiscard]] bool has_column(std::string_view name) const {
    return ("," + text(kColumnsThere) + ",").find("," + std::string(name) + ",") != std::string::npos;
  }
};

using Refusal = std::optional<std::string>;

Refusal refuse_table(const Found& found) {
  if (found.text(kTables) == "0") {
    if (const auto schemas = found.text(kSchemas); !schemas.empty()) return advice_about_hidden_tables(schemas);
    if (!found.text(kSchemaVersion).empty()) {
      return "the table validator_duties is gone: " + advice_about_dropped_tables();
    }
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
  if (version < kOldestSchemaVersion) {
    return "the table schema_version is missing or empty, or has no version" + std::string(kMigrate);
  }
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
  if (known.released_oid != found.text(kReleasedOid)) {
    return "the table ha_signer_released was dropped and made again while this node was at work: its oid is " +
           found.text(kReleasedOid) + " and was " + known.released_oid +
           ", so it may lack what was released on the claims of other nodes; set the low watermarks to the newest "
           "slots "
           "(ha-signer watermark set), then restart this node";
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

Refusal refuse_recovery(const Found& found) {
  if (!found.is(kInRecovery)) return std::nullopt;
  return "the server is a standby in recovery and cannot be written to; name the primary in the URL, or several hosts "
         "with target_session_attrs=read-write";
}

/// Without its timeline a former primary that comes back cannot be told from the server that has taken its place.
Refusal refuse_without_timeline(const SqlError& why, WithoutTimeline without_timeline) {
  // A right can be granted; and without it, the statements that ask for the timeline would not run either.
  if (why.sqlstate == kInsufficientPrivilege) {
    return "the role may not ask which server answers, so that a former primary could not be told apart (" +
           why.message +
           "); run as a superuser: grant execute on function pg_control_system(), pg_current_wal_lsn(), "
           "pg_walfile_name(pg_lsn) to the role";
  }
  if (without_timeline == WithoutTimeline::kStorageReplicates) return std::nullopt;
  return "the server does not tell its timeline, so that a former primary could not be told apart (" + why.message +
         "); Amazon Aurora is such a server while wal_level is not logical: where storage replicates below PostgreSQL, "
         "so "
         "that a failover loses no commit, set storage_replicates (docs/operating.md, Managed "
         "databases)";
}

Refusal refuse_found(const Found& found) {
  for (const auto refuse : {refuse_recovery, refuse_table, refuse_shape, refuse_own_objects}) {
    if (auto refusal = refuse(found)) return refusal;
  }
  return std::nullopt;
}

bool has_shape(const SqlRows& rows) {
  return rows.rows.size() == 1 && rows.rows[0].size() == kColumnCount;
}

constexpr const char* kOtherShape = "the server's answer to the check of a session has another shape";

/// Compares with what another store has found.
Refusal refuse_beside(const Found& found, const StoreEpoch& epoch, const KnownDatabase* leader) {
  if (!leader || !leader->epoch) return std::nullopt;
  if (auto refusal = refuse_change(found, epoch, *leader)) return refusal;
  if (leader->epoch->system_id == epoch.system_id) return std::nullopt;
  return "the server is not the one that this node signs with (its system identifier is " + epoch.system_id +
         " and not " + leader->epoch->system_id + ")";
}

/// Writes what it finds into `known`.
Refusal refuse_session(const Found& found, KnownDatabase& known, const KnownDatabase* leader) {
  StoreEpoch epoch{found.text(kClusterId), found.text(kSystemId), timeline_of(found.text(kTimeline)),
                   found.text(kServerStarted), found.text(kTableOid) + "." + found.text(kReleasedOid)};
  if (auto refusal = refuse_change(found, epoch, known)) return refusal;
  if (auto refusal = refuse_beside(found, epoch, leader)) return refusal;
  known.table_oid = found.text(kTableOid);
  known.released_oid = found.text(kReleasedOid);
  known.schema_version = found.number(kSchemaVersion);
  known.claims_signed = found.is(kClaimsSigned);
  known.has_rounds = found.is(kHasRounds);
  if (!known.epoch || *known.epoch != epoch) known.epoch = std::make_shared<const StoreEpoch>(std::move(epoch));
  return std::nullopt;
}

/// Remembers the server of the session that was judged.
SessionVerdict outdating(SessionVerdict verdict, KnownDatabase& known) {
  if (verdict.refusal) return verdict;
  const StoreEpoch& epoch = *known.epoch;
  const bool is_first = known.newest_timelines.empty();
  const bool is_other_server =
      !is_first && (known.last_system_id != epoch.system_id || known.last_server_started != epoch.server_started);
  std::uint64_t& newest = known.newest_timelines[epoch.system_id];
  const bool is_newer = newest < epoch.timeline;
  newest = epoch.timeline;
  known.last_system_id = epoch.system_id;
  known.last_server_started = epoch.server_started;
  return {.refusal = std::nullopt, .outdates_others = !is_first && (is_other_server || is_newer)};
}

}  // namespace

std::string timeline_text(std::uint64_t timeline) {
  if (timeline == 0) return "";
  std::string text(8, '0');
  for (std::size_t i = text.size(); i-- > 0; timeline /= 16) text[i] = "0123456789ABCDEF"[timeline % 16];
  return text;
}

SqlStatement database_check_statement() {
  return {sql_texts(kNewestSchemaVersion).session_check_without_timeline, {}};
}

std::optional<std::string> refuse_database(const SqlRows& rows) {
  if (!has_shape(rows)) return kOtherShape;
  return refuse_found(Found{rows.rows[0]});
}

std::optional<std::string> refuse_part(const SqlRows& rows, DatabasePart part) {
  if (!has_shape(rows)) return kOtherShape;
  const Found found{rows.rows[0]};
  switch (part) {
    case DatabasePart::kRecovery: return refuse_recovery(found);
    case DatabasePart::kTable: return refuse_table(found);
    case DatabasePart::kShape: return refuse_shape(found);
    case DatabasePart::kOwnObjects: return refuse_own_objects(found);
  }
  return std::nullopt;
}

bool shows_table(const SqlRows& rows) {
  return has_shape(rows) && Found{rows.rows[0]}.text(kTables) != "0";
}

int schema_version_in(const SqlRows& rows) {
  return has_shape(rows) ? Found{rows.rows[0]}.number(kSchemaVersion) : 0;
}

SessionCheck look_again(std::shared_ptr<KnownDatabase> known, WithoutTimeline without_timeline,
                        std::shared_ptr<const KnownDatabase> leader) {
  auto statement = [known] {
    const SqlTexts& texts = sql_texts(kNewestSchemaVersion);
    return SqlStatement{known->tells_timeline ? texts.session_check : texts.session_check_without_timeline, {}};
  };
  auto judge = [known, without_timeline, leader](const SqlRows& rows) -> SessionVerdict {
    if (auto refusal = refuse_database(rows)) return {.refusal = std::move(refusal)};
    const Found found{rows.rows[0]};
    if (known->tells_timeline && timeline_of(found.text(kTimeline)) == 0) {
      const SqlError nothing{SqlErrorKind::kServer, {}, "its functions return nothing"};
      if (auto refusal = refuse_without_timeline(nothing, without_timeline)) return {.refusal = std::move(refusal)};
    }
    return {.refusal = refuse_session(found, *known, leader.get())};
  };
  auto judge_lesser = [known, without_timeline, leader](const SqlRows& rows, const SqlError& why) -> SessionVerdict {
    if (auto refusal = refuse_database(rows)) return {.refusal = std::move(refusal)};
    if (auto refusal = refuse_without_timeline(why, without_timeline)) return {.refusal = std::move(refusal)};
    known->tells_timeline = false;
    return {.refusal = refuse_session(Found{rows.rows[0]}, *known, leader.get())};
  };
  auto refuse_rest = [without_timeline](const SqlError& why) { return refuse_without_timeline(why, without_timeline); };
  return {.statement = std::move(statement),
          .judge = std::move(judge),
          .lesser_statement = database_check_statement(),
          .judge_lesser = std::move(judge_lesser),
          .rest_statement = {sql_texts(kNewestSchemaVersion).session_timeline, {}},
          .refuse_rest = std::move(refuse_rest)};
}

SessionCheck session_check(std::shared_ptr<KnownDatabase> known, WithoutTimeline without_timeline,
                           std::shared_ptr<const KnownDatabase> leader) {
  SessionCheck check = look_again(known, without_timeline, std::move(leader));
  check.judge = [known, judge = std::move(check.judge)](const SqlRows& rows) { return outdating(judge(rows), *known); };
  check.judge_lesser = [known, judge = std::move(check.judge_lesser)](const SqlRows& rows, const SqlError& why) {
    return outdating(judge(rows, why), *known);
  };
  return check;
}

}  // namespace hasigner::postgres
