#include "hasigner/store/postgres/migrator.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/redirect_error.hpp>
#include <charconv>
#include <random>
#include <span>
#include <string_view>
#include <thread>

#include "hasigner/store/postgres/advice.hpp"
#include "hasigner/store/postgres/blocking_wait.hpp"
#include "hasigner/store/postgres/connection_string.hpp"
#include "hasigner/store/postgres/libpq_connection.hpp"
#include "hasigner/store/postgres/schema_files.hpp"
#include "hasigner/store/postgres/sql_errors.hpp"
#include "hasigner/store/postgres/sql_texts.hpp"
#include "hasigner/store/postgres/sql_values.hpp"

namespace hasigner::postgres {

namespace {

using std::chrono::steady_clock;
using Failed = std::unexpected<MigrationError>;
template <class T>
using Outcome = std::expected<T, MigrationError>;

/// While a migration waits for a table, every query behind it waits too. So it waits briefly, and tries again.
constexpr milliseconds kTableLockTimeout{1000};
constexpr milliseconds kLockRetryPause{250};
constexpr milliseconds kQuestionTimeout{60'000};
constexpr std::string_view kInvalidSchemaName = "3F000";

/// Of version 1, without which a table of that name is something else.
constexpr std::array<std::string_view, 13> kDutyColumnNames{"rollup_address",
                                                            "validator_address",
                                                            "slot",
                                                            "block_number",
                                                            "block_index_within_checkpoint",
                                                            "duty_type",
                                                            "status",
                                                            "message_hash",
                                                            "signature",
                                                            "node_id",
                                                            "lock_token",
                                                            "started_at",
                                                            "completed_at"};

struct Relation {
  std::string name;
  std::string schema;
  char kind = 'r';
  char persistence = 'p';
};

/// Everything that decides whether a database can be migrated, and what is to be done.
struct SchemaFacts {
  std::vector<Relation> relations;  ///< of the shared tables' names, in any schema of the path
  std::vector<std::string> duty_columns;
  std::vector<std::string> version_columns;  ///< with their types
  std::vector<int> versions;                 ///< rows of schema_version, the highest first
  std::string schemas_elsewhere;             ///< that have validator_duties, but are not on the path
  bool has_list = false;                     ///< pgmigrations
  std::vector<std::string> applied;          ///< the list, in its order
  std::optional<int> own_version;
  std::vector<std::string> own_missing;
};

Failed fail(MigrationErrorKind kind, std::string message) {
  return Failed(MigrationError{kind, std::move(message)});
}
Failed not_this(std::string message) {
  return fail(MigrationErrorKind::kNotThisDatabase, std::move(message));
}

template <class Range, class Value>
bool contains(const Range& range, const Value& value) {
  return std::ranges::find(range, value) != std::ranges::end(range);
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::size_t count(const SchemaFacts& facts, std::string_view name) {
  return static_cast<std::size_t>(std::ranges::count(facts.relations, name, &Relation::name));
}

std::string kind_of(const Relation& relation) {
  if (relation.persistence == 'u') return "an unlogged table, which loses its rows in a crash";
  if (relation.persistence == 't') return "a temporary table";
  switch (relation.kind) {
    case 'v': return "a view";
    case 'm': return "a materialized view";
    case 'f': return "a foreign table";
    case 'p': return "a partitioned table";
    default: return "not a table";
  }
}

int to_number(std::string_view text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::optional<int> version_of(const SchemaFacts& facts) {
  return facts.versions.empty() ? std::nullopt : std::optional(facts.versions.front());
}

// ---- what may be migrated: pure

Outcome<void> judge_relations(const SchemaFacts& facts) {
  if (count(facts, "validator_duties") == 0 && !facts.schemas_elsewhere.empty()) {
    return not_this(advice_about_hidden_tables(facts.schemas_elsewhere));
  }
  for (const std::string_view name : {std::string_view("validator_duties"), std::string_view("schema_version")}) {
    if (count(facts, name) > 1) {
      std::vector<std::string> schemas;
      for (const auto& relation : facts.relations) {
        if (relation.name == name) schemas.push_back(relation.schema);
      }
      return not_this("there are several tables " + std::string(name) + " on the search path (schemas " +
                      joined(schemas) + "): set the search path so that it shows one of them");
    }
  }
  for (const auto& relation : facts.relations) {
    if (relation.kind != 'r' || relation.persistence != 'p') {
      return not_this(relation.schema + "." + relation.name + " is " + kind_of(relation) +
                      ": a signer must not rely on it");
    }
  }
  return {};
}

Outcome<void> judge_columns(const SchemaFacts& facts) {
  const bool has_duties = count(facts, "validator_duties") == 1;
  const bool has_version = count(facts, "schema_version") == 1;
  if (has_version && (!contains(facts.version_columns, "version integer") ||
                      !contains(facts.version_columns, "applied_at timestamp without time zone"))) {
    return not_this("the table schema_version belongs to something else (its columns: " +
                    joined(facts.version_columns) + "): use a database of its own for the signers");
  }
  if (!has_duties) return {};
  std::vector<std::string> missing;
  for (const auto column : kDutyColumnNames) {
    if (!contains(facts.duty_columns, column)) missing.emplace_back(column);
  }
  if (missing.empty()) return {};
  if (missing.size() == 1 && missing.front() == "rollup_address") {
    return not_this(
        "this database was made by the 4.0.0 nightly of @aztec/validator-ha-signer: it calls itself version 1, but "
        "validator_duties has no column rollup_address, so its rows belong to no rollup. Use a new database");
  }
  return not_this("the table validator_duties belongs to something else (it has no column " + joined(missing) + ")");
}

Outcome<void> judge_version(const SchemaFacts& facts) {
  const int newest = Migrator::newest_version();
  const auto version = version_of(facts);
  if (version && *version > newest) {
    return not_this("the database has version " + std::to_string(*version) + ", this program knows up to version " +
                    std::to_string(newest) + ": use the newer program");
  }
  if (facts.own_version > 1) {
    return not_this("the ha_signer tables have version " + std::to_string(*facts.own_version) +
                    ", this program knows version 1: use the newer program");
  }
  if (facts.versions.size() > 1 || (version && *version < 1)) {
    return not_this("the table schema_version holds " + std::to_string(facts.versions.size()) + " rows, the highest " +
                    std::to_string(*version) + ": it must hold one row, the version");
  }
  const bool has_duties = count(facts, "validator_duties") == 1;
  const auto list = facts.has_list ? MigrationList::kThere : MigrationList::kGone;
  if (version && !has_duties) {
    return not_this("schema_version says " + std::to_string(*version) +
                    ", but there is no table validator_duties: " + advice_about_dropped_tables(list));
  }
  // A way down empties the list and leaves it there.
  if (facts.own_version && !has_duties && !facts.has_list) {
    return not_this("the ha_signer tables are there, but neither validator_duties nor the list of migrations: " +
                    advice_about_dropped_tables(list));
  }
  const bool lacks_column = (version >= 2 && !contains(facts.duty_columns, "checkpoint_number")) ||
                            (version >= 3 && !contains(facts.duty_columns, "expires_at"));
  if (lacks_column) {
    return not_this("schema_version says " + std::to_string(*version) +
                    ", but validator_duties lacks the columns of that version");
  }
  return {};
}

Outcome<void> judge_list(const SchemaFacts& facts) {
  const auto known = shared_migrations();
  for (std::size_t i = 0; i < facts.applied.size(); ++i) {
    const auto found = std::ranges::find(known, facts.applied[i], &Migration::name);
    if (found == known.end()) {
      return not_this(
          "pgmigrations lists the migration " + printable(facts.applied[i]) +
          ", which this program does not know: a newer program, or another one, has migrated this database");
    }
    if (found != known.begin() + static_cast<std::ptrdiff_t>(i)) {
      return not_this("pgmigrations does not list the migrations in their order (" + joined(facts.applied) + ")");
    }
  }
  const int listed = static_cast<int>(facts.applied.size());
  const int version = version_of(facts).value_or(0);
  if (listed <= version) return {};
  const std::string lists = "pgmigrations lists " + facts.applied.back() + ", but ";
  if (version > 0) return not_this(lists + "schema_version says " + std::to_string(version));
  if (count(facts, "validator_duties") == 0) {
    return not_this(lists + "there is no table schema_version: " + advice_about_dropped_tables());
  }
  const bool has_version = count(facts, "schema_version") == 1;
  const std::string table =
      has_version ? ""
                  : "create table schema_version (version integer primary key, applied_at timestamp not null default "
                    "current_timestamp); ";
  return not_this(lists + (has_version ? "schema_version is empty" : "there is no table schema_version") +
                  ". The duties are there; run as their owner: " + table +
                  "insert into schema_version (version) values (" + std::to_string(listed) + ")");
}

Outcome<void> judge(const SchemaFacts& facts) {
  for (const auto one : {judge_relations, judge_columns, judge_version, judge_list}) {
    if (auto verdict = one(facts); !verdict) return verdict;
  }
  return {};
}

std::vector<const Migration*> pending(const SchemaFacts& facts, int to) {
  std::vector<const Migration*> steps;
  for (const auto& migration : shared_migrations()) {
    if (migration.version <= to && !contains(facts.applied, migration.name)) steps.push_back(&migration);
  }
  return steps;
}

// ---- what the database is asked

/// The statements that the migrator uses are the same for all versions of the shared tables.
const SqlTexts& texts() {
  return sql_texts(kNewestSchemaVersion);
}

}  // namespace

struct Migrator::Config {
  std::shared_ptr<const ConnectionString> where;
  MigratorOptions options;
};

/// One connection, used blockingly.
class Migrator::Session {
 public:
  static Outcome<std::unique_ptr<Session>> open(const Config& config) {
    auto session = std::unique_ptr<Session>(new Session(config));
    std::string why;
    for (const auto& server : config.where->servers()) {
      auto opened = session->wait(LibpqConnection::open(session->io_.get_executor(), config.where, server, kLimits,
                                                        steady_clock::now() + config.where->connect_timeout(),
                                                        std::make_shared<ConnectProgress>()));
      if (opened) {
        session->connection_ = std::move(*opened);
        auto role = session->ask(texts().schema_role);
        if (!role) return Failed(std::move(role.error()));
        session->role_ = role->rows.at(0).at(0).value_or("");
        return session;
      }
      why += (why.empty() ? "" : "; ") + opened.error().message;
    }
    return fail(MigrationErrorKind::kUnavailable, std::move(why));
  }

  /// The rows of the last statement.
  Outcome<SqlRows> ask(std::string_view script, milliseconds limit = kQuestionTimeout) {
    SqlReply reply = wait(connection_->run_script(std::string(script), steady_clock::now() + limit));
    if (!reply) return Failed(error_of(reply.error()));
    return reply->empty() ? SqlRows{} : std::move(reply->back());
  }

  /// Runs scripts as one transaction, and again while others hold locks on what it needs.
  Outcome<void> commit(const std::vector<std::string_view>& scripts) {
    return again_while_busy([&] { return in_transaction("begin", [&] { return run_all(scripts); }); });
  }

  /// Until the session ends. The published tool takes the same lock.
  Outcome<void> lock() {
    const auto end_of_wait = steady_clock::now() + config_.options.lock_wait;
    while (true) {
      auto taken = ask(texts().schema_lock);
      if (!taken) return Failed(std::move(taken.error()));
      if (taken->rows.at(0).at(0) == "t") return {};
      if (steady_clock::now() >= end_of_wait) {
        return fail(MigrationErrorKind::kBusy,
                    "another migration of this database is at work, of this program or of the published one");
      }
      std::this_thread::sleep_for(kLockRetryPause);
    }
  }

  /// All of one snapshot, also while another process migrates: facts of two moments are not those of any database.
  Outcome<SchemaFacts> facts() {
    return again_while_busy([&] {
      return in_transaction("begin isolation level repeatable read, read only", [&] { return read_facts(); });
    });
  }
  Outcome<std::vector<std::string>> nodes_at_work(const SchemaFacts& facts);

 private:
  static constexpr StatementLimits kLimits{milliseconds::zero(), kTableLockTimeout};

  explicit Session(const Config& config) : config_(config) {}

  template <class T>
  T wait(asio::awaitable<T> work) {
    return wait_for(io_, std::move(work));
  }

  [[nodiscard]] MigrationError error_of(const SqlError& error) const {
    switch (error.kind) {
      case SqlErrorKind::kNotSent: return {MigrationErrorKind::kUnavailable, error.message};
      case SqlErrorKind::kLost: return {MigrationErrorKind::kInDoubt, "the connection broke: " + error.message};
      case SqlErrorKind::kServer:
      case SqlErrorKind::kIncompatible: break;
    }
    const bool is_busy = error.sqlstate == "55P03" || error.sqlstate == "40P01";
    if (is_busy) return {MigrationErrorKind::kBusy, error.message};
    std::string advice;
    if (error.sqlstate == kInsufficientPrivilege) advice = "; " + advice_about_rights(error.message, role_);
    if (error.sqlstate == kInvalidSchemaName) {
      advice =
          "; the search path must begin with a schema that is there and in which the role may create tables, and the "
          "list of migrations is in public; run: create schema SCHEMA authorization " +
          role_ + ", or, for one that is there: grant usage, create on schema SCHEMA to " + role_;
    }
    return {MigrationErrorKind::kFailed, error.message + advice};
  }

  template <class Try>
  auto again_while_busy(Try try_once) -> decltype(try_once()) {
    const auto end_of_wait = steady_clock::now() + config_.options.lock_wait;
    while (true) {
      auto done = try_once();
      const bool again = !done && done.error().kind == MigrationErrorKind::kBusy && steady_clock::now() < end_of_wait;
      if (!again) return done;
      std::this_thread::sleep_for(kLockRetryPause);
    }
  }

  template <class Work>
  auto in_transaction(std::string_view begin, Work work) -> decltype(work()) {
    if (auto begun = ask(begin); !begun) return Failed(std::move(begun.error()));
    auto done = work();
    if (done) {
      if (auto committed = ask("commit", config_.options.work_limit); !committed) {
        done = Failed(std::move(committed.error()));
      }
    }
    if (!done && connection_->usable()) (void)ask("rollback");
    return done;
  }

  Outcome<void> run_all(const std::vector<std::string_view>& scripts) {
    for (const auto script : scripts) {
      if (auto done = ask(script, config_.options.work_limit); !done) return Failed(std::move(done.error()));
    }
    return {};
  }

  /// Rows of a table that is there in the snapshot. Another migration may have dropped it since: kBusy.
  Outcome<SqlRows> ask_table(std::string_view question) {
    SqlReply reply = wait(connection_->run_script(std::string(question), steady_clock::now() + kQuestionTimeout));
    if (reply) return std::move(reply->back());
    if (reply.error().sqlstate != kUndefinedTable) return Failed(error_of(reply.error()));
    return fail(MigrationErrorKind::kBusy, "another migration is at work: " + reply.error().message);
  }

  Outcome<SchemaFacts> read_facts();

  const Config& config_;
  asio::io_context io_{1};
  std::unique_ptr<LibpqConnection> connection_;
  std::string role_;
};

namespace {

std::vector<std::string> first_column(const SqlRows& rows) {
  std::vector<std::string> values;
  for (const auto& row : rows.rows) values.push_back(row.at(0).value_or(""));
  return values;
}

}  // namespace

Outcome<SchemaFacts> Migrator::Session::read_facts() {
  SchemaFacts facts;
  auto relations = ask(texts().schema_tables);
  if (!relations) return Failed(std::move(relations.error()));
  for (const auto& row : relations->rows) {
    facts.relations.push_back({row.at(0).value(), row.at(1).value(), row.at(2).value().at(0), row.at(3).value().at(0)});
  }
  auto columns = ask(texts().schema_columns);
  if (!columns) return Failed(std::move(columns.error()));
  for (const auto& row : columns->rows) {
    if (row.at(0) == "validator_duties") facts.duty_columns.push_back(row.at(1).value());
    if (row.at(0) == "schema_version") facts.version_columns.push_back(row.at(1).value() + " " + row.at(2).value());
  }
  if (contains(facts.version_columns, "version integer")) {
    auto versions = ask_table(texts().schema_versions);
    if (!versions) return Failed(std::move(versions.error()));
    for (const auto& version : first_column(*versions)) facts.versions.push_back(to_number(version));
  }
  auto others = ask(texts().schema_other_tables);
  if (!others) return Failed(std::move(others.error()));
  facts.has_list = others->rows.at(0).at(0) == "t";
  if (facts.has_list) {
    auto applied = ask_table(texts().schema_list);
    if (!applied) return Failed(std::move(applied.error()));
    facts.applied = first_column(*applied);
  }
  facts.schemas_elsewhere = others->rows.at(0).at(2).value_or("");
  if (others->rows.at(0).at(1) == "t") {
    auto own = ask_table(texts().schema_own_version);
    if (!own) return Failed(std::move(own.error()));
    if (const auto& version = own->rows.at(0).at(0)) facts.own_version = to_number(*version);
  }
  auto missing = ask(texts().schema_missing);
  if (!missing) return Failed(std::move(missing.error()));
  facts.own_missing = first_column(*missing);
  return facts;
}

Outcome<std::vector<std::string>> Migrator::Session::nodes_at_work(const SchemaFacts& facts) {
  if (!version_of(facts)) return std::vector<std::string>();
  const bool has_registry = !contains(facts.own_missing, "table ha_signer_nodes");
  auto nodes = ask(has_registry ? texts().foreign_nodes_at_work : texts().nodes_at_work);
  if (!nodes) return Failed(std::move(nodes.error()));
  return first_column(*nodes);
}

Migrator::Migrator(std::unique_ptr<Config> config) : config_(std::move(config)) {}
Migrator::Migrator(Migrator&&) noexcept = default;
Migrator& Migrator::operator=(Migrator&&) noexcept = default;
Migrator::~Migrator() = default;

Parsed<Migrator> Migrator::create(std::string url, MigratorOptions options) {
  auto where = ConnectionString::parse(url);
  if (!where) return std::unexpected(std::move(where.error()));
  auto config = std::make_unique<Config>(Config{std::make_shared<const ConnectionString>(std::move(*where)), options});
  return Migrator(std::move(config));
}

int Migrator::newest_version() {
  return shared_migrations().back().version;
}

std::expected<SchemaStatus, MigrationError> Migrator::status() {
  auto session = Session::open(*config_);
  if (!session) return Failed(std::move(session.error()));
  auto facts = (*session)->facts();
  if (!facts) return Failed(std::move(facts.error()));
  if (auto verdict = judge(*facts); !verdict) return Failed(std::move(verdict.error()));
  auto nodes = (*session)->nodes_at_work(*facts);
  if (!nodes) return Failed(std::move(nodes.error()));
  std::vector<std::string> roles;
  if (!contains(facts->own_missing, "table ha_signer_nodes")) {
    auto found = (*session)->ask(texts().schema_signer_roles);
    if (!found) return Failed(std::move(found.error()));
    roles = first_column(*found);
  }
  SchemaStatus status{version_of(*facts), facts->applied, {}, facts->own_missing, std::move(roles), std::move(*nodes)};
  for (const auto* migration : pending(*facts, newest_version())) status.pending.emplace_back(migration->name);
  return status;
}

namespace {

std::string set_grant_to(const std::vector<std::string>& roles) {
  ArrayText array;
  for (const auto& role : roles) array.add_quoted(role);
  return with_literals(texts().schema_grant_to, {array.finish()});
}

std::string nodes_would_refuse(int from, int to, const std::vector<std::string>& nodes) {
  return "nodes that demand version " + std::to_string(from) + " have signed within the last two days (" +
         joined(nodes) + ") and would refuse version " + std::to_string(to) + ": keep their version with --to " +
         std::to_string(from) + ", or go on with --yes once they are updated or stopped";
}

}  // namespace

Migrator::Result Migrator::up(UpRequest request) {
  const auto& to = request.to;
  const int target = to.value_or(newest_version());
  if (target < 1 || target > newest_version()) {
    return fail(MigrationErrorKind::kFailed, "there is no version " + std::to_string(target) +
                                                 ": the versions are 1 to " + std::to_string(newest_version()));
  }
  auto session = Session::open(*config_);
  if (!session) return Failed(std::move(session.error()));
  if (auto locked = (*session)->lock(); !locked) return Failed(std::move(locked.error()));
  auto facts = (*session)->facts();
  if (!facts) return Failed(std::move(facts.error()));
  if (auto verdict = judge(*facts); !verdict) return Failed(std::move(verdict.error()));

  const auto version = version_of(*facts);
  if (!to && request.while_nodes_work == WhileNodesWork::kRefuse && version && *version < target) {
    auto nodes = (*session)->nodes_at_work(*facts);
    if (!nodes) return Failed(std::move(nodes.error()));
    if (!nodes->empty()) return fail(MigrationErrorKind::kNodesAtWork, nodes_would_refuse(*version, target, *nodes));
  }

  if (!facts->has_list) {
    if (auto made = (*session)->commit({migration_list()}); !made) return Failed(std::move(made.error()));
  }
  MigrationReport report;
  for (const auto* migration : pending(*facts, target)) {
    const std::string listed = with_literals(texts().schema_add_to_list, {migration->name});
    auto done = (*session)->commit({migration->up, listed});
    if (!done) return fail(done.error().kind, std::string(migration->name) + ": " + done.error().message);
    report.names.emplace_back(migration->name);
  }
  const std::string grants = set_grant_to(request.grant_to);
  auto own = (*session)->commit({grants, own_schema()});
  if (!own) return fail(own.error().kind, "the ha_signer tables: " + own.error().message);
  report.own_objects_made = !facts->own_missing.empty();
  return report;
}

Migrator::Result Migrator::down(const std::optional<std::string>& expected) {
  auto session = Session::open(*config_);
  if (!session) return Failed(std::move(session.error()));
  if (auto locked = (*session)->lock(); !locked) return Failed(std::move(locked.error()));
  auto facts = (*session)->facts();
  if (!facts) return Failed(std::move(facts.error()));
  if (auto verdict = judge(*facts); !verdict) return Failed(std::move(verdict.error()));
  if (facts->applied.empty()) return MigrationReport{};
  if (expected && *expected != facts->applied.back()) {
    return fail(MigrationErrorKind::kNotThisDatabase, "the last migration of the list is " + facts->applied.back() +
                                                          " now and was " + *expected +
                                                          ": another run has changed it meanwhile; look again");
  }

  const auto migration = std::ranges::find(shared_migrations(), facts->applied.back(), &Migration::name);
  const std::string name(migration->name);
  const std::string unlisted = with_literals(texts().schema_remove_from_list, {name});
  auto done = (*session)->commit({migration->down, unlisted});
  if (!done) return fail(done.error().kind, name + ": " + done.error().message);
  return MigrationReport{.names = {name}};
}

}  // namespace hasigner::postgres
