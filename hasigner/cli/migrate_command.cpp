#include <algorithm>
#include <filesystem>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/confirmation.hpp"
#include "hasigner/cli/database.hpp"
#include "hasigner/cli/files.hpp"
#include "hasigner/cli/help.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/factory/database_url.hpp"
#include "hasigner/store/postgres/migrator.hpp"
#include "hasigner/store/sqlite/schema.hpp"

namespace hasigner::cli {

namespace {

using postgres::MigrationError;
using postgres::MigrationErrorKind;
using postgres::Migrator;
using postgres::SchemaStatus;

/// What takes this database back to before version 1: the table of duties goes with it.
constexpr std::string_view kFirstMigration = "1_initial-schema";

struct MigrateOptions {
  std::optional<std::string> to;
  std::vector<std::string> grant_to;
  Consent consent = Consent::kAsk;
  bool verbose = false;
  Output output = Output::kText;
};

[[noreturn]] void fail(const MigrationError& error) {
  switch (error.kind) {
    case MigrationErrorKind::kUnavailable: throw CommandError(ExitCode::kUnavailable, error.message);
    case MigrationErrorKind::kBusy: throw CommandError(ExitCode::kUnavailable, error.message, "busy");
    case MigrationErrorKind::kNotThisDatabase: throw CommandError(ExitCode::kUsage, error.message, "incompatible");
    case MigrationErrorKind::kNodesAtWork: throw CommandError(ExitCode::kUsage, error.message, "consent");
    case MigrationErrorKind::kFailed: throw CommandError(ExitCode::kFailure, error.message);
    case MigrationErrorKind::kInDoubt: throw CommandError(ExitCode::kLockLostOrInDoubt, error.message);
  }
  throw CommandError(ExitCode::kFailure, error.message);
}

template <class T>
T succeeded(std::expected<T, MigrationError> result) {
  if (!result) fail(result.error());
  return std::move(*result);
}

/// Prints which database, and where its URL came from: it may come from three variables and flags.
void print_database(const Settings& settings, std::ostream& err) {
  err << "database: " << settings.shown(SettingId::kDatabaseUrl) << " ("
      << settings.value(SettingId::kDatabaseUrl).given_as << ")\n"
      << std::flush;
}

DatabaseUrl url_of(const Settings& settings) {
  return accepted(DatabaseUrl::parse(settings.required(SettingId::kDatabaseUrl)));
}

Migrator migrator_of(const Settings& settings) {
  return accepted(Migrator::create(settings.required(SettingId::kDatabaseUrl)));
}

std::string version_text(const std::optional<int>& version) {
  return version ? "version " + std::to_string(*version) : "no tables";
}

// ---- up

std::optional<int> target_of(const MigrateOptions& options) {
  if (!options.to) return std::nullopt;
  const auto version = Slot::parse(*options.to);
  const auto newest = static_cast<std::uint64_t>(Migrator::newest_version());
  if (version && version->value() >= 1 && version->value() <= newest) return static_cast<int>(version->value());
  throw CommandError(InvalidInput{"--to", printable(*options.to), "a version from 1 to " + std::to_string(newest)});
}

ExitCode up_sqlite(const MigrateOptions& options, Context& context, const DatabaseUrl& url) {
  if (options.to)
    throw CommandError(ExitCode::kUsage, "--to is for PostgreSQL: a SQLite file always has the version of the program");
  if (!options.grant_to.empty())
    throw CommandError(ExitCode::kUsage,
                       "--grant is for PostgreSQL: a SQLite file has no roles, but an owner and a mode");
  std::error_code error;
  const bool was_there = std::filesystem::exists(url.path, error) && std::filesystem::file_size(url.path, error) > 0;
  const Database database(context.settings, MissingFile::kMake);  // opening migrates
  context.console.out << (was_there ? "No migrations to apply - schema is up to date\n"
                                    : "Applied migrations: sqlite_initial\n");
  return ExitCode::kSuccess;
}

void print_report(const postgres::MigrationReport& report, std::ostream& out) {
  if (report.names.empty()) {
    out << "No migrations to apply - schema is up to date\n";
  } else {
    out << "Applied migrations: " << joined(report.names) << '\n';
  }
  if (report.own_objects_made) out << "Made the ha_signer tables: cluster id, node registry, watermarks\n";
}

ExitCode up(const MigrateOptions& options, Context& context) {
  const auto target = target_of(options);
  const DatabaseUrl url = url_of(context.settings);
  if (options.verbose) print_database(context.settings, context.console.err);
  if (url.kind != DatabaseUrl::Kind::kPostgres) return up_sqlite(options, context, url);

  Migrator migrator = migrator_of(context.settings);
  if (options.verbose) {
    const SchemaStatus status = succeeded(migrator.status());
    context.console.err << "found: " << version_text(status.version) << "; missing of the ha_signer objects: "
                        << (status.own_missing.empty() ? "nothing" : joined(status.own_missing)) << '\n'
                        << std::flush;
  }
  postgres::UpRequest request{.to = target, .grant_to = options.grant_to};
  if (options.consent == Consent::kGiven) request.while_nodes_work = postgres::WhileNodesWork::kMigrate;
  auto result = migrator.up(request);
  if (!result && result.error().kind == MigrationErrorKind::kNodesAtWork && context.console.can_ask) {
    require_consent(context.console, Consent::kAsk, result.error().message);
    request.while_nodes_work = postgres::WhileNodesWork::kMigrate;
    result = migrator.up(request);
  }
  print_report(succeeded(std::move(result)), context.console.out);
  if (!options.grant_to.empty()) {
    context.console.out << "Granted what a signer needs to " << printable(joined(options.grant_to), 1000) << '\n';
  }
  return ExitCode::kSuccess;
}

// ---- down

ExitCode down(const MigrateOptions& options, Context& context) {
  if (url_of(context.settings).kind != DatabaseUrl::Kind::kPostgres) {
    throw CommandError(ExitCode::kUsage, "a SQLite file has no earlier version");
  }
  if (options.verbose) print_database(context.settings, context.console.err);
  Migrator migrator = migrator_of(context.settings);
  const SchemaStatus status = succeeded(migrator.status());
  if (options.verbose) context.console.err << "found: " << version_text(status.version) << '\n' << std::flush;
  const bool drops_duties = !status.applied.empty() && status.applied.back() == kFirstMigration;
  // Scripts of the published command run without a question; a person is asked.
  if (drops_duties && context.console.can_ask) {
    require_consent(context.console, options.consent,
                    "this drops the table of duties with all signatures; watermarks keep what was signed protected");
  }
  const auto last = status.applied.empty() ? std::nullopt : std::optional(status.applied.back());
  const auto report = succeeded(migrator.down(last));
  context.console.out << (report.names.empty() ? "No migrations to rollback"
                                               : "Rolled back migrations: " + joined(report.names))
                      << '\n';
  return ExitCode::kSuccess;
}

// ---- status

using Json = nlohmann::ordered_json;

void print_status(const SchemaStatus& status, const Settings& settings, std::ostream& out) {
  const auto line = [&out](const std::string& label, const std::string& text) {
    out << label << std::string(26 - label.size(), ' ') << text << '\n';
  };
  line("Database", settings.shown(SettingId::kDatabaseUrl));
  line("Shared tables", version_text(status.version));
  line("Applied migrations", status.applied.empty() ? "none" : joined(status.applied));
  line("Pending migrations", status.pending.empty() ? "none" : joined(status.pending));
  line("Missing ha_signer objects", status.own_missing.empty() ? "none"
                                    : status.version           ? joined(status.own_missing)
                                                               : "all");
  line("Roles of signers",
       status.signer_roles.empty() ? "none but the owner" : printable(joined(status.signer_roles), 1000));
  line("Foreign nodes at work", status.nodes_at_work.empty() ? "none" : printable(joined(status.nodes_at_work), 1000));
  if (!status.pending.empty() || !status.own_missing.empty()) out << "Next: ha-signer migrate up\n";
}

ExitCode status_sqlite(const MigrateOptions& options, Context& context) {
  const Database database(context.settings, MissingFile::kRefuse);
  const auto version = sqlite::schema_version();
  if (options.output == Output::kJson) {
    const Json object = {{"database", database.shown_url()}, {"version", version}, {"pending", Json::array()}};
    print_json(context.console.out, object);
  } else {
    context.console.out << "Database                  " << database.shown_url()
                        << "\nTables                    version " << version
                        << ", the newest; brought up to date on opening\n";
  }
  return ExitCode::kSuccess;
}

ExitCode show_status(const MigrateOptions& options, Context& context) {
  if (url_of(context.settings).kind != DatabaseUrl::Kind::kPostgres) return status_sqlite(options, context);
  Migrator migrator = migrator_of(context.settings);
  const SchemaStatus status = succeeded(migrator.status());
  if (options.output != Output::kJson) {
    print_status(status, context.settings, context.console.out);
    return ExitCode::kSuccess;
  }
  const Json object = {{"database", context.settings.shown(SettingId::kDatabaseUrl)},
                       {"version", status.version ? Json(*status.version) : Json(nullptr)},
                       {"applied", status.applied},
                       {"pending", status.pending},
                       {"own_missing", status.own_missing},
                       {"signer_roles", status.signer_roles},
                       {"foreign_nodes_at_work", status.nodes_at_work}};
  print_json(context.console.out, object);
  return ExitCode::kSuccess;
}

// ---- create

struct CreateOptions {
  std::string name;
  std::string folder = "schema/postgres";
};

/// Also a part of a file's name and of the published tool's list.
void check_name(const std::string& name) {
  const auto is_plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  if (!name.empty() && name.size() <= 60 && name.front() != '-' && std::ranges::all_of(name, is_plain)) return;
  throw CommandError(
      InvalidInput{"NAME", printable(name), "1 to 60 lower-case letters, digits and dashes, such as add-expiry"});
}

int next_version(const std::string& folder) {
  constexpr std::size_t kDigits = 4;
  int highest = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string name = file.path().filename();
    const auto number = Slot::parse(name.substr(0, name.find('_')));
    if (name.find('_') == kDigits && number) highest = std::max(highest, static_cast<int>(number->value()));
  }
  return highest + 1;
}

ExitCode create(const CreateOptions& options, Context& context) {
  check_name(options.name);
  std::error_code error;
  if (!std::filesystem::is_directory(options.folder, error)) {
    throw CommandError(InvalidInput{"--dir", printable(options.folder, 200), "the folder of the migrations"});
  }
  const int version = next_version(options.folder);
  const std::string number = std::to_string(version);
  const std::string stem =
      options.folder + "/" + std::string(number.size() < 4 ? 4 - number.size() : 0, '0') + number + "_" + options.name;
  const std::string before = std::to_string(version - 1);
  write_new_file(stem + ".up.sql",
                 "-- Version " + number +
                     ": what for.\n--\n-- The runner opens the transaction, and writes this migration's name into "
                     "public.pgmigrations.\n\n\nupdate schema_version set version = " +
                     number + " where version = " + before + ";\n");
  write_new_file(
      stem + ".down.sql",
      "-- Back to version " + before +
          ": name what is lost, and why protection is not lowered.\n\n\nupdate schema_version set version = " + before +
          " where version = " + number + ";\n");
  context.console.out << "Created " << stem << ".up.sql and " << stem << ".down.sql\n";
  return ExitCode::kSuccess;
}

// ---- the commands

Command step_command(const std::string& name, const std::string& summary,
                     std::function<ExitCode(const MigrateOptions&, Context&)> run,
                     std::function<void(CLI::App&, MigrateOptions&)> add_options) {
  return {.name = name,
          .summary = summary,
          .settings = {SettingId::kDatabaseUrl},
          .database_url_of_migrations = true,
          .define = [run = std::move(run), add_options = std::move(add_options)](CLI::App& app) -> Action {
            auto options = std::make_shared<MigrateOptions>();
            add_options(app, *options);
            return [run, options](Context& context) { return run(*options, context); };
          }};
}

Command up_command() {
  Command command = step_command("up", "Bring the tables up to date", up, [](CLI::App& app, MigrateOptions& options) {
    app.add_option("--to", options.to,
                   "Stop at this version, for nodes of the published package that demand it: 1, 2 or 3")
        ->type_name("N");
    app.add_option(
           "--grant", options.grant_to,
           "Give this role what a signer needs, on the shared tables and on this program's own; repeat it for each "
           "role")
        ->type_name("ROLE");
    add_yes_flag(app, options.consent,
                 "Go to the newest version although nodes that would refuse it have signed lately");
    app.add_flag("--verbose", options.verbose, "Print what is found and done");
  });
  command.description =
      "Makes the tables that are shared with nodes of the published package (@aztec/validator-ha-signer), then this "
      "program's own. Several runs at "
      "once, of either tool, are safe. npm release 4.1.2 of the package works with version 1 only.\n\n"
      "Signers that connect as another role than the owner of the tables need rights: name it with --grant, once. A "
      "role "
      "that was named before gets the rights on what a later release adds.";
  command.examples = {
      {"A new database for nodes of this program", "ha-signer migrate up"},
      {"The same, for signers that connect as the role ha_signer", "ha-signer migrate up --grant ha_signer"},
      {"A database shared with nodes of npm release 4.1.2", "ha-signer migrate up --to 1"}};
  return command;
}

Command create_command() {
  return {.name = "create",
          .summary = "Write an empty pair of migration files (for developers)",
          .define = [](CLI::App& app) -> Action {
            auto options = std::make_shared<CreateOptions>();
            app.add_option("NAME", options->name, "What it does, such as add-expiry")->required();
            app.add_option("--dir", options->folder, "Folder of the migrations; schema/postgres if not given")
                ->type_name("DIR");
            return [options](Context& context) { return create(*options, context); };
          }};
}

}  // namespace

Command migrate_command() {
  const auto verbose = [](CLI::App& app, MigrateOptions& options) {
    app.add_flag("--verbose", options.verbose, "Print what is found and done");
  };
  Command down_command =
      step_command("down", "Revert the last migration", down, [verbose](CLI::App& app, MigrateOptions& options) {
        verbose(app, options);
        add_yes_flag(app, options.consent);
      });
  down_command.description = "The ha_signer tables stay: watermarks still protect what was signed.";
  Command status_command =
      step_command("status", "Show the version of the tables and what is missing", show_status,
                   [](CLI::App& app, MigrateOptions& options) { add_json_flag(app, options.output); });
  return {.name = "migrate",
          .group = kSetupGroup,
          .summary = "Prepare a database, or bring it up to date",
          .description =
              "The URL comes from --database-url, else from DATABASE_URL, else from VALIDATOR_HA_DATABASE_URL, else "
              "from the settings file. "
              "Every command that opens a SQLite file brings it up to date.",
          .aliases = {"migrate-ha-db"},
          .subcommands = {up_command(), std::move(down_command), std::move(status_command), create_command()}};
}

}  // namespace hasigner::cli
