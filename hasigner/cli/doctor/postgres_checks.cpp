#include "hasigner/cli/doctor/postgres_checks.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "hasigner/cli/doctor/connection_refusal.hpp"
#include "hasigner/cli/duty_fields.hpp"
#include "hasigner/cli/exit_code.hpp"
#include "hasigner/duty/assert.hpp"
#include "hasigner/factory/runtime.hpp"
#include "hasigner/protection/system_clock.hpp"
#include "hasigner/store/postgres/examination.hpp"
#include "hasigner/store/postgres/migrator.hpp"
#include "hasigner/store/postgres/session_check.hpp"
#include "hasigner/store/postgres/sql_errors.hpp"
#include "hasigner/store/postgres/sql_texts.hpp"

namespace hasigner::cli::doctor {

namespace {

using postgres::DatabasePart;
using postgres::Examination;
using postgres::SqlRows;
using postgres::SqlTexts;
using Words = std::vector<std::string>;

constexpr std::string_view kMigrate = "run as the owner of the tables: ha-signer migrate up";
/// On which the tests run.
constexpr int kOldestTested = 14;
constexpr int kNewestTested = 18;
constexpr int kRoundTrips = 9;
/// Beyond this, times in logs of several machines cannot be compared any more.
constexpr milliseconds kClockWarning{2'000};
/// Beyond this, a node that asks for the slot of its own clock asks for another one than the chain's.
constexpr milliseconds kClockFailure{60'000};
constexpr milliseconds kAnswerTimeout{10'000};
constexpr std::size_t kRowsLookedAt = 20'000;
/// Longer than nodes need to compare their journals where nothing is wrong.
constexpr int kLooksAtRounds = 10;
constexpr milliseconds kBetweenLooks{500};

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

std::string text(const SqlRows& rows, std::size_t row, std::size_t column) {
  return rows.rows.at(row).at(column).value_or("");
}

std::int64_t number(const std::string& digits) {
  std::int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

const SignerConfig& default_times() {
  static const SignerConfig kTimes{.node_id = NodeId::parse("unnamed").value(), .rollup = {}};
  return kTimes;
}

/// `0.4 ms`
std::string shown_ms(std::chrono::microseconds time) {
  const auto tenths = (time.count() + 50) / 100;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " ms";
}

struct RoundTrip {
  std::chrono::microseconds took{};
  milliseconds ahead{};  ///< how much the server's clock is ahead of this machine's
};

/// The store as `serve` opens it, or why it does not open.
struct OpenedAsServed {
  explicit OpenedAsServed(StoreSettings settings) : clock(std::make_shared<SystemClock>(runtime.executor())) {
    settings.pool.max = 1;
    settings.pool.min = 0;
    try {
      opened = runtime.run(open_store(std::move(settings), runtime.executor(), clock));
    } catch (const StartupError& error) {
      refusal = error;
    }
  }
  ~OpenedAsServed() {
    if (opened) runtime.run(opened->store->close());
    opened.reset();
    clock.reset();
  }
  OpenedAsServed(const OpenedAsServed&) = delete;
  OpenedAsServed& operator=(const OpenedAsServed&) = delete;

  Runtime runtime;
  std::shared_ptr<Clock> clock;
  std::optional<OpenedStore> opened;
  std::optional<StartupError> refusal;
};

/// What the checks look at. Each question is asked when a check needs it.
class Deployment {
 public:
  Deployment(const Settings& settings_in, StoreSettings store_in, Examination examination_in, Group& group_in)
      : settings(settings_in), store(std::move(store_in)), examination(std::move(examination_in)), group(group_in) {}

  /// Ends the check where the server does not answer.
  [[nodiscard]] SqlRows ask(std::string SqlTexts::*statement) {
    return ask(postgres::sql_texts(postgres::kNewestSchemaVersion).*statement);
  }
  [[nodiscard]] SqlRows ask(std::string_view statement) {
    auto rows = examination.ask(statement);
    if (rows) return std::move(*rows);
    const auto& error = rows.error();
    if (error.sqlstate == postgres::kInsufficientPrivilege) {
      throw Ended{skipped("the role " + role_.value_or("of the URL") + " lacks a right (" + error.message +
                          "), which the check rights tells")};
    }
    if (error.sqlstate == "42P01") throw Ended{skipped("the tables are not all there", std::string(kMigrate))};
    if (error.sqlstate == "42703") throw Ended{skipped(error.message + ", which the check structure tells")};
    throw Ended{unavailable("the server did not answer: " + error.message, "look at the server's log")};
  }

  [[nodiscard]] const SqlRows& server() {
    if (!server_) {
      server_ = ask(&SqlTexts::deployment_server);
      role_ = text(*server_, 0, 3);
    }
    return *server_;
  }
  [[nodiscard]] std::string role() {
    (void)server();
    return *role_;
  }
  [[nodiscard]] bool is_superuser() { return text(server(), 0, 4) == "t"; }

  [[nodiscard]] std::string setting(std::string_view name) {
    if (!settings_of_session_) settings_of_session_ = ask(&SqlTexts::deployment_settings);
    for (const auto& row : settings_of_session_->rows) {
      if (row.at(0) == name) return row.at(1).value_or("");
    }
    throw Ended{skipped("the server does not show its setting " + std::string(name))};
  }

  [[nodiscard]] const SqlRows& database() {
    if (!database_) database_ = ask(postgres::database_check_statement().text);
    return *database_;
  }

  [[nodiscard]] const SqlRows& owners() {
    if (!owners_) owners_ = ask(&SqlTexts::deployment_owners);
    return *owners_;
  }
  [[nodiscard]] const SqlRows& nodes() {
    if (!nodes_) nodes_ = ask(&SqlTexts::nodes);
    return *nodes_;
  }
  /// Of the published package.
  [[nodiscard]] const Words& foreign_nodes() {
    if (!foreign_nodes_) {
      foreign_nodes_.emplace();
      for (const auto& row : ask(&SqlTexts::foreign_nodes_at_work).rows)
        foreign_nodes_->push_back(row.at(0).value_or(""));
    }
    return *foreign_nodes_;
  }

  [[nodiscard]] const std::vector<RoundTrip>& round_trips() {
    while (round_trips_.size() < kRoundTrips) {
      using std::chrono::system_clock;
      const auto begin = std::chrono::steady_clock::now();
      const auto sent = system_clock::now();
      const auto answer = ask(&SqlTexts::deployment_clock);
      const auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
      const milliseconds server(number(text(answer, 0, 0)));
      const auto here = std::chrono::floor<milliseconds>(sent.time_since_epoch() + took / 2);
      round_trips_.push_back({took, server - here});
    }
    return round_trips_;
  }

  [[nodiscard]] OpenedAsServed& as_served() {
    if (!as_served_) as_served_ = std::make_unique<OpenedAsServed>(store);
    return *as_served_;
  }

  const Settings& settings;
  const StoreSettings store;
  Examination examination;
  Group& group;

 private:
  std::optional<std::string> role_;
  std::optional<SqlRows> server_, settings_of_session_, database_, owners_, nodes_;
  std::optional<Words> foreign_nodes_;
  std::vector<RoundTrip> round_trips_;
  std::unique_ptr<OpenedAsServed> as_served_;
};

// ---- the servers

Finding check_servers(Deployment& deployment) {
  Words failures;
  const auto& servers = deployment.examination.servers();
  for (const auto& server : servers) {
    if (server.failure) failures.push_back(server.failure->message);
  }
  if (failures.empty()) return ok(count_of(servers.size(), "server") + " of the URL answered");
  const bool too_old =
      std::ranges::any_of(servers, [](const auto& one) { return one.failure && one.failure->incompatible; });
  const std::string said = listed(failures, failures.size());
  if (too_old) return failure(said, "use a database on PostgreSQL 14 or newer");
  if (failures.size() < servers.size()) {
    return warning(said, "bring that server back, or correct its address in the URL: a failover needs it");
  }
  const auto& where = deployment.examination.where();
  const std::string& given_as = deployment.settings.value(SettingId::kDatabaseUrl).given_as;
  std::string mend = mend_of_refusal(said, {where.parameter("user"), where.parameter("dbname"), given_as});
  if (mend.empty()) {
    mend = "correct " + given_as +
           ", or at the server: that it runs, its listen_addresses, pg_hba.conf, the role and its password, the "
           "database";
  }
  // Asking again may help where one of them is only away.
  const bool all_refuse = std::ranges::all_of(servers, [](const auto& one) { return one.failure->permanent; });
  return all_refuse ? failure(said, mend) : unavailable(said, mend);
}

Finding check_primary(Deployment& deployment) {
  std::vector<const postgres::ExaminedServer*> primaries;
  Words standbys;
  for (const auto& server : deployment.examination.servers()) {
    if (server.failure) continue;
    if (server.in_recovery) standbys.push_back(server.name);
    const bool is_known =
        std::ranges::any_of(primaries, [&](const auto* known) { return known->started_at == server.started_at; });
    if (!server.in_recovery && !is_known) primaries.push_back(&server);
  }
  if (primaries.empty()) {
    return failure("no server of the URL is a primary: " + listed(standbys) + " is a standby in recovery",
                   "name the primary in the URL, several hosts with target_session_attrs=read-write, or promote the "
                   "standby that has every commit");
  }
  if (primaries.size() > 1) {
    return failure(
        "several servers of the URL take writes: " + primaries[0]->name + " and " + primaries[1]->name +
            ", so there are two memories of what was signed",
        "stop the one that lacks commits and make it a standby of the other (docs/operating.md, Three sites)");
  }
  return ok(primaries[0]->name + " is the primary" + (standbys.empty() ? "" : "; standbys: " + listed(standbys)));
}

Finding check_version(Deployment& deployment) {
  const auto& server = deployment.server();
  const std::string name = text(server, 0, 0);
  const std::string shown = name.substr(0, name.find(" on "));
  for (const std::string_view other : {"CockroachDB", "-YB-", "Greenplum", "Redshift"}) {
    if (!name.contains(other)) continue;
    return failure(
        "the server is not PostgreSQL, but says " + shown + ": its locks and commits were not tried",
        "use a server of PostgreSQL " + std::to_string(kOldestTested) + " to " + std::to_string(kNewestTested));
  }
  if (!name.starts_with("PostgreSQL ")) {
    return warning(
        "the server calls itself " + shown + ": signing was not tried on it",
        "use a server of PostgreSQL " + std::to_string(kOldestTested) + " to " + std::to_string(kNewestTested));
  }
  if (number(text(server, 0, 1)) > kNewestTested) {
    return warning(shown + " is newer than the releases that signing was tried on",
                   "use PostgreSQL " + std::to_string(kOldestTested) + " to " + std::to_string(kNewestTested) +
                       ", or a newer ha-signer");
  }
  if (text(server, 0, 2) == "t" && !deployment.store.storage_replicates) {
    return failure(shown + " is Amazon Aurora, whose storage replicates below PostgreSQL",
                   "set HA_SIGNER_STORAGE_REPLICATES=true (docs/operating.md, Managed databases)");
  }
  return ok(shown);
}

Finding check_encryption(Deployment& deployment) {
  const auto& server = deployment.server();
  if (text(server, 0, 8) == "t") return ok("the connection does not leave this machine");
  if (text(server, 0, 7) != "t") {
    return warning(
        "the connection is not encrypted: a reader of the network sees the rows, and can change them",
        "set ssl = on at the server, hostssl in pg_hba.conf, and sslmode=verify-full&sslrootcert=FILE in the URL");
  }
  const std::string mode = deployment.examination.where().parameter("sslmode");
  if (mode == "verify-full") return ok("encrypted, and the server's certificate is verified");
  return warning("encrypted, but the server's certificate is not verified against its name (sslmode=" +
                     (mode.empty() ? "prefer" : mode) + "), so another server could answer in its place",
                 "write sslmode=verify-full&sslrootcert=FILE into the URL");
}

Finding check_pooler(Deployment& deployment) {
  if (!deployment.examination.behind_pooler()) return ok("no pooler stands between this node and the server");
  const auto& refusal = deployment.as_served().refusal;
  if (refusal && std::string_view(refusal->what()).contains(postgres::kPoolerKeepsNoSessions)) {
    return failure("a pooler in transaction or statement mode stands between this node and the server",
                   "set pool_mode = session in PgBouncer, or connect to the server itself");
  }
  return warning("a pooler that keeps sessions stands between this node and the server",
                 "connect to the server itself where you can: a pooler is one more thing that can fail, and its "
                 "mode must stay session");
}

// ---- the tables

/// What is set so for a role in a database takes the place of what the server, the database and the role have.
std::string altered_role(Deployment& deployment) {
  return "alter role " + deployment.role() + " in database " + text(deployment.server(), 0, 5);
}

/// The statement that gives the sessions of a signer this setting. Nothing but the URL is stronger.
std::string set_for_signer(Deployment& deployment, const std::string& name, const std::string& value) {
  if (lower_case(deployment.examination.where().parameter("options")).contains(name)) {
    return "take " + name + " out of options= in " + deployment.settings.value(SettingId::kDatabaseUrl).given_as;
  }
  return altered_role(deployment) + " set " + name + " = " + value;
}

Finding check_search_path(Deployment& deployment) {
  const std::string path = text(deployment.server(), 0, 6);
  const auto at = path.find("pg_catalog");
  if (at == std::string::npos || at == 0) return ok("the search path is " + path);
  return failure(
      "the search path is " + path + ": functions of the schemas before pg_catalog take the place of PostgreSQL's own",
      set_for_signer(deployment, "search_path", "SCHEMA, without pg_catalog"));
}

void replace(std::string& text, std::string_view from, std::string_view to) {
  if (const auto at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
}

/// With the role's name where the sentence leaves it open.
Finding refused_part(Deployment& deployment, const std::string& refusal) {
  Finding finding = refused(refusal, kMigrate);
  replace(finding.mend, "alter role ROLE", altered_role(deployment));
  replace(finding.mend, "ROLE", deployment.role());
  return finding;
}

Finding check_part(Deployment& deployment, DatabasePart part, const std::string& well) {
  const auto refusal = postgres::refuse_part(deployment.database(), part);
  return refusal ? refused_part(deployment, *refusal) : ok(well);
}

/// Ends a check of tables that are not there.
void require_tables(Deployment& deployment) {
  if (deployment.owners().rows.empty()) throw Ended{skipped("there are no tables")};
}

Finding check_tables(Deployment& deployment) {
  return check_part(deployment, DatabasePart::kTable,
                    "validator_duties is one plain permanent table on the search path, and shows every row");
}

std::string drop_of(const std::vector<std::optional<std::string>>& object) {
  const std::string kind = object.at(0).value_or("");
  const std::string name = object.at(1).value_or("");
  const std::string table = object.at(2).value_or("");
  if (kind == "row-level security") return "alter table " + table + " disable row level security";
  if (kind == "unique index") return "drop index " + name;
  if (kind == "foreign key" || kind == "constraint") return "alter table " + table + " drop constraint " + name;
  return "drop " + kind + " " + name + " on " + table;
}

Finding check_objects(Deployment& deployment) {
  require_tables(deployment);
  Words found;
  std::string mend = "run as the owner of the tables: ";
  bool changes_rows = false;
  const auto objects = deployment.ask(&SqlTexts::deployment_objects);
  for (const auto& row : objects.rows) {
    const std::string name = row.at(1).value_or("");
    found.push_back(row.at(0).value_or("") + (name.empty() ? "" : " " + name) + " on " + row.at(2).value_or(""));
    mend += (found.size() == 1 ? "" : "; ") + drop_of(row);
    changes_rows = changes_rows || row.at(3) == "t";
  }
  if (found.empty())
    return ok("the tables have no triggers, rules, policies or constraints but those that migrations make");
  if (changes_rows) return failure(listed(found) + " can change or hide what is written", mend);
  return warning(listed(found) + " runs with every write, and its errors make signing fail", mend);
}

Finding check_schema(Deployment& deployment) {
  if (deployment.group.failed({"tables"})) return skipped("the check tables failed");
  const auto& database = deployment.database();
  for (const auto part : {DatabasePart::kShape, DatabasePart::kOwnObjects}) {
    if (const auto refusal = postgres::refuse_part(database, part)) return refused_part(deployment, *refusal);
  }
  // A session is content with less: with what an older program has made.
  Words missing;
  for (const auto& row : deployment.ask(&SqlTexts::schema_missing).rows) missing.push_back(row.at(0).value_or(""));
  if (!missing.empty()) {
    return warning(
        "of what ha-signer adds beside the shared tables, this is missing, not valid, or does not fire in every "
        "session: " +
            listed(missing, missing.size()),
        std::string(kMigrate));
  }
  return ok("version " + std::to_string(postgres::schema_version_in(database)) +
            " of the shared tables, with what ha-signer adds");
}

Finding check_structure(Deployment& deployment) {
  require_tables(deployment);
  Words harmful, slow, statements;
  bool has_no_statement = false;
  for (const auto& row : deployment.ask(&SqlTexts::deployment_structure).rows) {
    (row.at(2) == "t" ? harmful : slow).push_back(row.at(0).value_or(""));
    if (row.at(1)) statements.push_back(*row.at(1));
    has_no_statement = has_no_statement || !row.at(1);
  }
  std::string mend = has_no_statement ? "restore the tables as ha-signer migrate up made them" : "";
  if (!statements.empty()) {
    mend += (mend.empty() ? "" : "; ") + std::string("run as the owner of the tables: ");
    for (std::size_t i = 0; i < statements.size(); ++i) mend += (i == 0 ? "" : "; ") + statements[i];
  }
  if (!harmful.empty()) return failure(listed(harmful), mend);
  if (!slow.empty()) return warning(listed(slow) + ", so statements become slower with every row", mend);
  return ok("tables, columns, keys and indexes are those that migrations make");
}

Finding check_migrations(Deployment& deployment) {
  using postgres::MigrationErrorKind;
  if (const auto* failed = deployment.group.failed({"primary", "read_only", "tables", "schema"})) {
    return skipped("the check " + failed->check + " failed");
  }
  auto migrator = postgres::Migrator::create(deployment.store.database_url);
  if (!migrator) return failure(migrator.error().message(), "correct the URL");
  const auto status = migrator->status();
  if (!status) {
    const auto& error = status.error();
    const bool lacks_right = error.message.contains("permission denied");
    if (lacks_right) {
      return skipped("the role " + deployment.role() + " may not read the list of migrations",
                     "run as the owner of the tables: ha-signer migrate status");
    }
    if (error.kind == MigrationErrorKind::kNotThisDatabase) return refused(error.message, kMigrate);
    return unavailable(error.message, "run doctor again when no migration is at work");
  }
  if (!status->own_missing.empty()) return failure(listed(status->own_missing) + " is missing", std::string(kMigrate));
  if (status->pending.empty()) return ok("every migration that this program knows was applied");
  return ok(listed(status->pending) + " is not applied; signing works without it");
}

Finding check_owner(Deployment& deployment) {
  require_tables(deployment);
  const auto& owners = deployment.owners();
  const std::string role = deployment.role();
  if (owners.rows.size() > 1) {
    Words found;
    for (const auto& row : owners.rows) found.push_back(row.at(0).value_or("") + " owns " + row.at(1).value_or(""));
    return failure("the tables have several owners: " + listed(found) +
                       ": the triggers that raise watermarks may lack rights on the tables of the others",
                   "run as a superuser: alter table TABLE owner to OWNER, then as the owner: ha-signer migrate up");
  }
  const std::string owner = text(owners, 0, 0);
  const std::string other =
      "create a role that owns nothing (create role ha_signer login password …), run as the owner of the tables "
      "ha-signer migrate up --grant ha_signer, and name that role in the URL";
  if (deployment.is_superuser()) {
    return warning("the role " + role + " is a superuser: with its password everything can be changed, watermarks too",
                   other);
  }
  if (text(owners, 0, 2) == "t") {
    return warning(
        "the role " + role + " owns the tables: with its password they can be dropped, and watermarks be lowered",
        other);
  }
  return ok("the tables belong to " + owner + ", and " + role + " only uses them");
}

/// The statements that change a role's rights, one for each object.
std::string statements(std::string_view verb, std::string_view preposition, const std::map<std::string, Words>& rights,
                       const std::string& role) {
  std::string sql;
  for (const auto& [object, privileges] : rights) {
    sql += (sql.empty() ? "" : "; ") + std::string(verb) + " " + listed(privileges, privileges.size()) + " on " +
           object + " " + std::string(preposition) + " " + role;
  }
  return sql;
}

std::string shown_rights(const std::map<std::string, Words>& rights) {
  std::string shown;
  for (const auto& [object, privileges] : rights) {
    shown += (shown.empty() ? "" : "; ") + listed(privileges, privileges.size()) + " on " + object;
  }
  return shown;
}

Finding check_rights(Deployment& deployment) {
  require_tables(deployment);
  std::map<std::string, Words> missing, excessive;
  std::map<std::string, std::map<std::string, Words>> excessive_of;  // to whom they were granted
  const std::string role = deployment.role();
  const auto rights = deployment.ask(&SqlTexts::deployment_rights);
  for (const auto& row : rights.rows) {
    const std::string object = row.at(0).value_or("") + " " + row.at(1).value_or("");
    const std::string privilege = row.at(2).value_or("");
    const bool needed = row.at(3) == "t";
    const bool granted = row.at(4) == "t";
    if (needed && !granted) missing[object].push_back(privilege);
    if (needed || !granted) continue;
    excessive[object].push_back(privilege);
    excessive_of[row.at(5).value_or(role)][object].push_back(privilege);
  }
  if (!missing.empty()) {
    return failure("the role " + role + " lacks " + shown_rights(missing),
                   "run as the owner of the tables: ha-signer migrate up --grant " + role +
                       ", or as a superuser: " + statements("grant", "to", missing, role));
  }
  const Finding* const owner = deployment.group.findings.empty() ? nullptr : &deployment.group.findings.back();
  const bool owns = owner && owner->check == "owner" && owner->verdict == Verdict::kWarning;
  if (!excessive.empty() && !owns) {
    std::string mend = "run as the owner: ";
    for (const auto& [grantees, of_grantees] : excessive_of) {
      mend += (mend.ends_with(": ") ? "" : "; ") + statements("revoke", "from", of_grantees, grantees);
    }
    return warning("the role " + role + " has more rights than a signer needs: " + shown_rights(excessive), mend);
  }
  return ok("the role " + role + " has the rights that a signer needs");
}

// ---- settings of the server

Finding check_isolation(Deployment& deployment) {
  const std::string level = deployment.setting("default_transaction_isolation");
  if (level == "read committed") return ok("transactions begin as read committed");
  return warning("default_transaction_isolation is " + level +
                     "; this program sets its own, but nodes of the published package and people with psql get errors",
                 set_for_signer(deployment, "default_transaction_isolation", "'read committed'"));
}

Finding check_read_only(Deployment& deployment) {
  if (deployment.setting("default_transaction_read_only") != "on") return ok("transactions may write");
  return failure(
      "default_transaction_read_only is on, so nothing can be signed",
      // It may count for every role in this database, the superuser's too.
      "begin read write; " + set_for_signer(deployment, "default_transaction_read_only", "off") + "; commit");
}

Finding check_time_zone(Deployment& deployment) {
  const std::string zone = deployment.setting("TimeZone");
  const bool is_utc = zone == "UTC" || zone == "Etc/UTC" || zone == "GMT" || zone == "Etc/GMT";
  if (is_utc) return ok("the time zone is " + zone);
  if (!deployment.foreign_nodes().empty()) {
    return warning(
        "the time zone is " + zone + ", and nodes of the published package write times in it, without the zone",
        "alter role ROLE set timezone = 'UTC', for the role of each such node");
  }
  return ok("the time zone is " + zone + "; this program writes UTC whatever it is");
}

std::string in_configuration(const std::string& assignment) {
  return "run as a superuser: alter system set " + assignment +
         "; select pg_reload_conf(). Where it does not help, the line in postgresql.conf or the server's command line "
         "has it";
}

Finding check_fsync(Deployment& deployment) {
  if (deployment.setting("fsync") == "on") return ok("fsync is on");
  return failure("fsync is off: after a crash of the server's machine, signatures that were confirmed may be forgotten",
                 in_configuration("fsync = on"));
}

Finding check_full_page_writes(Deployment& deployment) {
  if (deployment.setting("full_page_writes") == "on") return ok("full_page_writes is on");
  return warning(
      "full_page_writes is off: a crash during a write can damage the tables, unless the file system "
      "writes whole pages (ZFS)",
      in_configuration("full_page_writes = on"));
}

Finding check_synchronous_commit(Deployment& deployment) {
  const std::string value = deployment.setting("synchronous_commit");
  if (value == "on" || value == "remote_apply") return ok("synchronous_commit is " + value);
  return warning("synchronous_commit is " + value +
                     "; this program raises it for what it confirms, nodes of the published package do not",
                 set_for_signer(deployment, "synchronous_commit", "on"));
}

// ---- as serve opens it

Finding check_session(Deployment& deployment) {
  if (const auto* failed = deployment.group.failed({"primary", "pooler", "tables", "schema", "rights", "read_only"})) {
    return skipped("the check " + failed->check + " failed");
  }
  const auto& served = deployment.as_served();
  if (!served.refusal) return ok("the database opens as serve opens it");
  if (served.refusal->kind() == StartupError::Kind::kUnavailable) {
    return unavailable(served.refusal->what(), "look at the server's log");
  }
  return refused(served.refusal->what(), "correct it, then run doctor again");
}

Finding check_standbys(Deployment& deployment) {
  if (deployment.store.storage_replicates) {
    return ok("the storage below PostgreSQL replicates, as HA_SIGNER_STORAGE_REPLICATES says");
  }
  if (const auto* failed =
          deployment.group.failed({"primary", "pooler", "tables", "schema", "rights", "read_only", "session"})) {
    return skipped("the check " + failed->check + " failed");
  }
  auto& served = deployment.as_served();
  const auto deadline = std::chrono::steady_clock::now() + kAnswerTimeout;
  const auto answer = served.runtime.run(served.opened->history->replication(deadline));
  if (!answer) return unavailable(answer.error().reason, "look at the server's log");
  HASIGNER_ASSERT(answer->has_value());
  const Replication& replication = **answer;
  if (replication.needed == 0) {
    return warning(
        "commits wait for no standby, so a failover or a lost disk can forget what was signed",
        "with standbys: alter system set synchronous_standby_names = 'ANY 1 (STANDBY, STANDBY)' on every server; "
        "where the storage replicates: HA_SIGNER_STORAGE_REPLICATES=true; a single server: a watermark after "
        "each restore (docs/operating.md)");
  }
  const std::string wait = "commits wait for " + count_of(replication.needed, "standby server") + " (" +
                           replication.synchronous_standbys + ")";
  if (!replication.connected) {
    return skipped(wait + ", but whether they are connected is not shown to the role " + deployment.role(),
                   "run as a superuser: grant pg_read_all_stats to " + deployment.role());
  }
  if (*replication.connected < replication.needed) {
    return failure(
        wait + ", but " + std::to_string(*replication.connected) +
            " can confirm now: every signature would wait without end",
        "bring a standby back, and do not take its name out of synchronous_standby_names (docs/operating.md, "
        "Three sites)");
  }
  return ok(wait + ", and " + std::to_string(*replication.connected) + " can confirm now");
}

// ---- capacity and time

Finding check_connections(Deployment& deployment) {
  const auto counts = deployment.ask(&SqlTexts::deployment_connections);
  if (counts.rows.empty()) return skipped("the server does not show its limits to this role");
  std::int64_t limit = number(text(counts, 0, 0));
  std::string whose = "max_connections = " + text(counts, 0, 4) + " without those that are reserved";
  std::string mend = "max_connections at the server";
  for (const auto& [column, name, statement] :
       {std::tuple(2, "connection limit of the role ", "alter role "),
        std::tuple(3, "connection limit of the database ", "alter database ")}) {
    const std::string other = text(counts, 0, static_cast<std::size_t>(column));
    if (other.empty() || number(other) >= limit) continue;
    const std::string object = column == 2 ? deployment.role() : text(deployment.server(), 0, 5);
    limit = number(other);
    whose = name + object;
    mend = "the limit (" + std::string(statement) + object + " connection limit N)";
  }
  // One more for requests of people.
  const auto own = static_cast<std::int64_t>(deployment.store.pool.max) + 1;
  std::int64_t nodes = 1;
  const auto own_id = deployment.settings.value(SettingId::kNodeId).text;
  for (const auto& row : deployment.nodes().rows) nodes += row.at(3) == "t" && row.at(0) != own_id ? 1 : 0;
  const std::string wanted = std::to_string(nodes) + " x " + std::to_string(own) + " connections";
  const std::string there = "there are " + std::to_string(limit) + " (" + whose + ")";
  mend = "lower VALIDATOR_HA_POOL_MAX, or raise " + mend + " to " + std::to_string(nodes * own + 10) + " or more";
  if (own > limit)
    return failure("this node alone may open " + std::to_string(own) + " connections, but " + there, mend);
  if (nodes * own > limit) return warning("the nodes together may open " + wanted + ", but " + there, mend);
  return ok(wanted + " at most for the nodes, and " + there + "; " + text(counts, 0, 1) + " in use");
}

Finding check_latency(Deployment& deployment) {
  auto trips = deployment.round_trips();
  std::ranges::sort(trips, {}, &RoundTrip::took);
  const auto median = trips[trips.size() / 2].took;
  const auto longest = trips.back().took;
  const std::string said = "a round trip to the database takes " + shown_ms(median) + " (longest of " +
                           std::to_string(trips.size()) + ": " + shown_ms(longest) + ")";
  const std::string mend = "run the node nearer to the primary, in its region";
  const auto lease = default_times().lease;
  if (median >= lease / 2) {
    return failure(
        said + ": a node's lease of " + std::to_string(lease.count()) + " ms would run out between two heartbeats",
        mend);
  }
  const auto attempt = deployment.settings.duration(SettingId::kAttemptTimeoutMs);
  if (4 * median >= attempt) {
    return failure(said + ", and " + deployment.settings.value(SettingId::kAttemptTimeoutMs).given_as + " of " +
                       std::to_string(attempt.count()) + " ms ends an attempt before it is recorded",
                   "raise VALIDATOR_HA_ATTEMPT_TIMEOUT_MS, or " + mend);
  }
  const auto wait = deployment.settings.duration(SettingId::kSigningTimeoutMs);
  if (4 * median >= wait) {
    return warning(said + ": another node's signature may come later than VALIDATOR_HA_SIGNING_TIMEOUT_MS = " +
                       std::to_string(wait.count()) + " ms",
                   "raise VALIDATOR_HA_SIGNING_TIMEOUT_MS, or " + mend);
  }
  if (median >= default_times().heartbeat_interval / 2) {
    return warning(said + ": every signature takes at least two", mend);
  }
  return ok(said);
}

Finding check_clock(Deployment& deployment) {
  const auto& trips = deployment.round_trips();
  const auto& quickest = *std::ranges::min_element(trips, {}, &RoundTrip::took);
  const auto off = milliseconds(std::abs(quickest.ahead.count()));
  const std::string said = "the server's clock is " + std::to_string(off.count()) + " ms " +
                           (quickest.ahead.count() >= 0 ? "ahead of" : "behind") + " this machine's";
  const std::string mend = "run a time service (chrony, systemd-timesyncd) on both machines";
  // Half a round trip is not known.
  const auto certain = off - quickest.took / 2;
  if (certain >= kClockFailure)
    return failure(said + ": one of the two asks for wrong slots and misjudges certificates", mend);
  if (certain >= kClockWarning) return warning(said + ": times in logs do not match", mend);
  return ok("the clocks of the server and of this machine agree within " +
            std::to_string((off + std::chrono::ceil<milliseconds>(quickest.took)).count()) + " ms");
}

// ---- nodes

Finding check_node_id(Deployment& deployment, StoreFacts& facts) {
  const auto& setting = deployment.settings.value(SettingId::kNodeId);
  if (setting.text.empty()) return skipped("no node id is set", "set VALIDATOR_HA_NODE_ID");
  const std::string node = printable(setting.text, 255);
  if (std::ranges::find(deployment.foreign_nodes(), setting.text) != deployment.foreign_nodes().end()) {
    return failure("a node of the published package signs under the id " + node,
                   "give each node an id of its own: another VALIDATOR_HA_NODE_ID");
  }
  for (const auto& row : deployment.nodes().rows) {
    if (row.at(0) != setting.text) continue;
    facts.this_node_is_alive = row.at(3) == "t";
    if (!facts.this_node_is_alive) return ok(node + " has been here, and does not run now");
    return warning(
        "a process runs under the id " + node + " (last heartbeat " + without_fraction(row.at(2).value_or("")) +
            " UTC)",
        "none needed if it is this node's own service; otherwise give this node another VALIDATOR_HA_NODE_ID");
  }
  return ok("no other node has the id " + node);
}

Finding check_nodes(Deployment& deployment) {
  Words alive, others;
  const auto own_id = deployment.settings.value(SettingId::kNodeId).text;
  for (const auto& row : deployment.nodes().rows) {
    if (row.at(0) == own_id) continue;
    (row.at(3) == "t" ? alive : others).push_back(row.at(0).value_or(""));
  }
  std::string said = alive.empty() ? "no other node runs now" : "other nodes that run now: " + listed(alive);
  if (!others.empty()) said += "; that do not: " + listed(others);
  const auto& foreign = deployment.foreign_nodes();
  if (foreign.empty()) return ok(said);
  return warning(said + "; nodes of the published package have signed within two days (" + listed(foreign) +
                     "), which do not obey watermarks",
                 "replace them (docs/migrating.md), and stop them before a watermark is set");
}

/// Nodes that run, by what they do about their journals.
struct JournalRound {
  Words asking;   ///< for the round that not all have completed
  Words behind;   ///< have not completed the latest round
  Words without;  ///< keep none
  std::size_t keeping = 0;
};

JournalRound latest_round(Deployment& deployment) {
  JournalRound round;
  const auto journaled = deployment.ask(&SqlTexts::journaled_nodes);
  std::int64_t latest = 0;
  for (const auto& row : journaled.rows) latest = std::max(latest, number(row.at(4).value_or("")));
  std::set<std::string> keeping;
  for (const auto& row : journaled.rows) {
    const bool lives = row.at(2) == "t" && row.at(3) == "t";
    if (!lives) continue;
    const auto& node = *keeping.insert(printable(row.at(0).value_or(""), 255)).first;
    if (number(row.at(5).value_or("")) < latest) round.behind.push_back(node);
    if (latest > 0 && number(row.at(4).value_or("")) == latest) round.asking.push_back(node);
  }
  round.keeping = keeping.size();
  for (const auto& row : deployment.nodes().rows) {
    const auto node = printable(row.at(0).value_or(""), 255);
    if (row.at(3) == "t" && !keeping.contains(node)) round.without.push_back(node);
  }
  return round;
}

Finding check_failover_guard(Deployment& deployment) {
  require_tables(deployment);
  Words missing;
  for (const auto& row : deployment.ask(&SqlTexts::schema_missing).rows) {
    const auto what = row.at(0).value_or("");
    if (what.contains("ha_signer_nodes") || what.contains("ha_signer_forbid_up_to")) missing.push_back(what);
  }
  if (!missing.empty()) {
    return warning("after a failover nodes would not wait until all have written back what the database has lost: " +
                       listed(missing) + " is missing",
                   std::string(kMigrate));
  }
  auto round = latest_round(deployment);
  for (int looks = 1; looks < kLooksAtRounds && !round.behind.empty(); ++looks) {
    std::this_thread::sleep_for(kBetweenLooks);
    round = latest_round(deployment);
  }
  if (!round.behind.empty()) {
    const auto who = listed(round.behind);
    return failure(
        "nodes wait until all that run have compared their journals with the database, and sign nothing meanwhile" +
            (round.asking.empty() ? "" : " (asked for by " + listed(round.asking) + ")") + "; not done by: " + who,
        "look at /readyz and the log of " + who +
            ": mostly its journal cannot be written. What to do if it cannot be mended: docs/operating.md, After a "
            "failover nodes wait for each other");
  }
  if (!round.without.empty()) {
    return warning("nodes that run and keep no journal: " + listed(round.without) +
                       "; what they have signed is not waited for after a failover, and may be lost with the database",
                   "upgrade them, and set DATA_DIRECTORY and HA_SIGNER_JOURNAL=true there");
  }
  if (round.keeping == 0) return ok("the tables have what nodes need to wait for each other after a failover");
  return ok("no node waits for another; " + count_of(round.keeping, "node") + " with a journal would after a failover");
}

Finding check_versions(Deployment& deployment) {
  Words others;
  const auto sessions = deployment.ask(&SqlTexts::deployment_sessions);
  for (const auto& row : sessions.rows) {
    const std::string program = row.at(0).value_or("");
    if (program == "ha-signer " HASIGNER_VERSION) continue;
    const bool has_version = program.starts_with("ha-signer ");
    others.push_back((has_version ? program : program + " of an unknown version") + " (" +
                     count_of(static_cast<std::size_t>(number(row.at(1).value_or(""))), "connection") + ")");
  }
  if (others.empty()) return ok("every connected ha-signer is version " HASIGNER_VERSION ", as this one");
  return warning("other versions are connected: " + listed(others) + "; this one is " HASIGNER_VERSION,
                 "finish the upgrade: stop, replace and start one node after the other");
}

/// What the newest rows and the watermarks say of the validators of the rollup.
std::optional<KnownValidators> learn_validators(const Settings& settings, OpenedAsServed& served) {
  const auto rollup = EthAddress::parse(settings.value(SettingId::kRollup).text);
  if (!rollup || !served.opened) return std::nullopt;
  const auto deadline = std::chrono::steady_clock::now() + kAnswerTimeout;
  const DutyFilter filter{.rollup = *rollup, .limit = kRowsLookedAt};
  const auto duties = served.runtime.run(served.opened->history->duties(filter, deadline));
  const auto watermarks = served.runtime.run(served.opened->history->watermarks(deadline));
  if (!duties || !watermarks) return std::nullopt;
  KnownValidators known;
  for (const auto& duty : *duties) known[lower_case(duty.validator)].insert(duty.node_id);
  for (const auto& entry : *watermarks) {
    if (lower_case(entry.rollup) == rollup->to_string()) known[lower_case(entry.validator)];
  }
  return known;
}

bool session_is_well(const Group& group) {
  return std::ranges::any_of(group.findings, [](const Finding& finding) {
    return finding.check == "session" && finding.verdict == Verdict::kOk;
  });
}

struct PostgresCheck {
  std::string_view name;
  Finding (*check)(Deployment&);
};

/// In the order in which they are told. Later ones may ask what earlier ones have found.
constexpr std::array kChecks = {
    PostgresCheck{"primary", check_primary},
    PostgresCheck{"version", check_version},
    PostgresCheck{"encryption", check_encryption},
    PostgresCheck{"pooler", check_pooler},
    PostgresCheck{"search_path", check_search_path},
    PostgresCheck{"read_only", check_read_only},
    PostgresCheck{"tables", check_tables},
    PostgresCheck{"objects", check_objects},
    PostgresCheck{"schema", check_schema},
    PostgresCheck{"structure", check_structure},
    PostgresCheck{"migrations", check_migrations},
    PostgresCheck{"owner", check_owner},
    PostgresCheck{"rights", check_rights},
    PostgresCheck{"isolation", check_isolation},
    PostgresCheck{"time_zone", check_time_zone},
    PostgresCheck{"fsync", check_fsync},
    PostgresCheck{"full_page_writes", check_full_page_writes},
    PostgresCheck{"synchronous_commit", check_synchronous_commit},
    PostgresCheck{"session", check_session},
    PostgresCheck{"standbys", check_standbys},
    PostgresCheck{"connections", check_connections},
    PostgresCheck{"latency", check_latency},
    PostgresCheck{"clock", check_clock},
    PostgresCheck{"nodes", check_nodes},
    PostgresCheck{"failover_guard", check_failover_guard},
    PostgresCheck{"versions", check_versions},
};

}  // namespace

Group check_postgres(const Settings& settings, const StoreSettings& store, StoreFacts& facts) {
  Group group{.title = "PostgreSQL, " + settings.shown(SettingId::kDatabaseUrl), .findings = {}};
  facts.is_shared = true;
  auto examination = Examination::open(store.database_url);
  if (!examination) {
    group.run("servers", [&] {
      return failure(examination.error().message(), "correct " + settings.value(SettingId::kDatabaseUrl).given_as);
    });
    for (const auto& [name, check] : kChecks) group.skip({name}, "the URL is not one");
    return group;
  }
  Deployment deployment(settings, store, std::move(*examination), group);
  group.run("servers", [&] { return check_servers(deployment); });
  const bool connected = deployment.examination.is_connected();
  for (const auto& [name, check] : kChecks) {
    if (connected) {
      group.run(name, [&] { return check(deployment); });
    } else {
      group.skip({name}, "no server answered");
    }
    if (name != "clock") continue;
    if (connected) {
      group.run("node_id", [&] { return check_node_id(deployment, facts); });
    } else {
      group.skip({"node_id"}, "no server answered");
    }
  }
  if (session_is_well(group)) facts.known_validators = learn_validators(settings, deployment.as_served());
  return group;
}

std::optional<KnownValidators> validators_in(const Settings& settings, const StoreSettings& store) {
  OpenedAsServed served(store);
  return learn_validators(settings, served);
}

}  // namespace hasigner::cli::doctor
