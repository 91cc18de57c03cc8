#include <algorithm>
#include <memory>
#include <ostream>
#include <sstream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/database.hpp"
#include "hasigner/cli/duty_fields.hpp"
#include "hasigner/cli/files.hpp"
#include "hasigner/cli/history_file.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/slot_checks.hpp"
#include "hasigner/store/lmdb/node_folder.hpp"
#include "hasigner/store/rows/highest_slots.hpp"
#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::cli {

namespace {

constexpr std::size_t kLargestHistory = std::size_t{1} << 30;
constexpr std::size_t kConflictsShown = 20;

std::string count_of(std::size_t count, const std::string& noun) {
  const bool is_plural = count != 1;
  if (!is_plural) return "1 " + noun;
  return std::to_string(count) + " " + (noun.ends_with('y') ? noun.substr(0, noun.size() - 1) + "ies" : noun + "s");
}

// ---- export

/// The id of this database, which the store knows once it has answered.
std::string cluster_id(Database& database) {
  const DutyKey no_duty;
  (void)database.wait_for(database.store().look({no_duty}, Database::within(kLookTimeout)));
  const auto epoch = database.store().epoch();
  return epoch ? epoch->cluster_id : "";
}

/// What import would refuse.
std::vector<std::string> take_out_refused(HistorySnapshot& snapshot, SlotChecks& slots) {
  auto sentences = take_out_unreadable(snapshot);
  std::ranges::move(slots.take_out_implausible(snapshot), std::back_inserter(sentences));
  return sentences;
}

struct ExportOptions {
  std::optional<std::string> output;
  bool partial = false;  ///< without what import would refuse
};

/// What is kept out of a file is not protected where the file is imported, so the operator must ask for it.
void refuse_incomplete(std::size_t entries) {
  throw CommandError(ExitCode::kFailure,
                     "nothing was exported: import would refuse " + count_of(entries, "entry") +
                         ", named above. If the slots are right, see to this machine's clock, --genesis-time and "
                         "--slots-ahead. --partial writes the file without them; what they protect is not in it then");
}

void tell_of_disabled_keys(Database& database, std::ostream& err) {
  std::vector<KeySwitch> switches;
  try {
    switches = database.wait_for(database.history().key_switches(Database::within(kLookTimeout)));
  } catch (const CommandError& error) {
    err << "note: which keys operators have disabled is not in the file, and could not be read: " << error.what()
        << '\n';
  }
  for (const auto& one : switches) {
    if (one.is_enabled) continue;
    err << "note: the key " << printable(one.address) << " is disabled here, and the file does not say so: run "
        << "ha-signer keys disable " << printable(one.address) << " for the new database before its nodes start\n";
  }
}

ExitCode export_history(const ExportOptions& options, Context& context) {
  Database database(context.settings, MissingFile::kRefuse);
  HistoryFile file;
  file.cluster_id = cluster_id(database);
  file.exported_at =
      iso_time(utc_text(std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now())));
  file.exported_by = "ha-signer " HASIGNER_VERSION;
  file.snapshot = database.wait_for(database.history().export_history(Database::within(kBulkTimeout)));
  SlotChecks slots(slot_rules(context.settings), database);
  const auto kept_out = take_out_refused(file.snapshot, slots);
  const std::string_view fate = options.partial ? "kept out: " : "not importable: ";
  for (const auto& sentence : kept_out) context.console.err << fate << sentence << '\n';
  if (!kept_out.empty() && !options.partial) refuse_incomplete(kept_out.size());
  if (options.output) {
    std::ostringstream text;
    write_history(text, file);
    write_private_file(*options.output, text.view());
  } else {
    write_history(context.console.out, file);
  }
  const auto signing = std::ranges::count(file.snapshot.duties, std::string("signing"), &DutyEntry::status);
  context.console.err << "exported " << count_of(file.snapshot.duties.size(), "duty") << " (" << signing
                      << " still signing) and " << count_of(file.snapshot.watermarks.size(), "watermark") << " of "
                      << database.shown_url() << '\n';
  if (!kept_out.empty()) context.console.err << "not complete: " << count_of(kept_out.size(), "entry") << " kept out\n";
  tell_of_disabled_keys(database, context.console.err);
  return ExitCode::kSuccess;
}

// ---- import

[[noreturn]] void refuse_conflicts(const std::vector<std::string>& conflicts, std::ostream& err) {
  for (std::size_t i = 0; i < std::min(conflicts.size(), kConflictsShown); ++i)
    err << "conflict: " << conflicts[i] << '\n';
  if (conflicts.size() > kConflictsShown) err << "and " << conflicts.size() - kConflictsShown << " more\n";
  throw CommandError(ExitCode::kSlashingProtection,
                     count_of(conflicts.size(), "conflict") +
                         " with what this database has on record; nothing was imported. One of the two "
                         "histories has signed other data: find out which one before you sign with either",
                     "conflict");
}

[[noreturn]] void refuse_slots(const std::vector<std::string>& complaints, std::ostream& err) {
  for (std::size_t i = 0; i < std::min(complaints.size(), kConflictsShown); ++i)
    err << "implausible: " << complaints[i] << '\n';
  if (complaints.size() > kConflictsShown) err << "and " << complaints.size() - kConflictsShown << " more\n";
  throw CommandError(ExitCode::kUsage, count_of(complaints.size(), "slot") +
                                           " that cannot have begun; nothing was imported. As a low watermark each "
                                           "would silence its validator: remove these entries if they are wrong, or "
                                           "give --slots-ahead if they are right");
}

struct ImportOptions {
  std::string path;       ///< of a file that export wrote; or
  std::string node_path;  ///< the folder of a published node's own store
  bool keep_watermarks = false;
  Output output = Output::kText;
};

HistorySnapshot history_of_file(const std::string& path) {
  auto file = parse_history(read_file(path, kLargestHistory));
  if (!file) throw CommandError(ExitCode::kUsage, printable(path, 200) + ": " + file.error());
  return std::move(file->snapshot);
}

HistorySnapshot history_of_node(const std::string& path, std::ostream& err) {
  auto history = lmdb::read_history(path);
  if (!history) {
    const bool is_in_use = history.error().kind == lmdb::FolderError::Kind::kInUse;
    throw CommandError(is_in_use ? ExitCode::kUnavailable : ExitCode::kUsage, history.error().sentence);
  }
  if (!history->has_version) {
    err << "note: " << printable(path, 200) << " has no db_version: the node would have begun with an empty history\n";
  }
  return std::move(history->snapshot);
}

HistorySnapshot history_to_import(const ImportOptions& options, std::ostream& err) {
  if (options.path.empty() && options.node_path.empty()) {
    throw CommandError(ExitCode::kUsage, "nothing to import: give FILE, or --lmdb DIR");
  }
  return options.path.empty() ? history_of_node(options.node_path, err) : history_of_file(options.path);
}

ExitCode import_history(const ImportOptions& options, Context& context) {
  HistorySnapshot snapshot = history_to_import(options, context.console.err);
  Database database(context.settings, MissingFile::kMake);
  SlotChecks slots(slot_rules(context.settings), database);
  if (const auto complaints = slots.take_out_implausible(snapshot); !complaints.empty()) {
    refuse_slots(complaints, context.console.err);
  }
  if (!options.keep_watermarks) raise_to_highest_slots(snapshot);
  const std::size_t watermarks = snapshot.watermarks.size();
  const auto outcome =
      database.wait_for(database.history().import_history(std::move(snapshot), Database::within(kBulkTimeout)));
  if (!outcome.conflicts.empty()) refuse_conflicts(outcome.conflicts, context.console.err);
  if (options.output == Output::kJson) {
    const nlohmann::ordered_json object = {
        {"imported", outcome.inserted}, {"already_there", outcome.already_there}, {"watermarks", watermarks}};
    print_json(context.console.out, object);
  } else {
    context.console.out << "imported " << count_of(outcome.inserted, "duty") << " into " << database.shown_url() << "; "
                        << outcome.already_there << " were there already; " << count_of(watermarks, "watermark")
                        << " applied\n";
  }
  return ExitCode::kSuccess;
}

}  // namespace

Command export_command() {
  return {
      .name = "export",
      .group = kMaintenanceGroup,
      .summary = "Write the protection history as JSON: duties and watermarks",
      .description =
          "One snapshot, which includes duties that are still being signed. Where import would refuse an entry it is "
          "named and nothing is written, unless --partial is given. The file holds lock tokens and is readable "
          "by its owner only. "
          "docs/protection-history.md describes its format.",
      .examples = {{"Before moving validators elsewhere (stop their nodes first)",
                    "ha-signer export --output history.json"}},
      .settings = {SettingId::kDatabaseUrl, SettingId::kSlotDurationS, SettingId::kGenesisTime, SettingId::kSlotsAhead},
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<ExportOptions>();
        app.add_option("-o,--output", options->output,
                       "Write to this file, completely or not at all; standard output if not given")
            ->type_name("FILE");
        app.add_flag("--partial", options->partial,
                     "Keep out what import would refuse; the file then does not protect all that this database does");
        return [options](Context& context) { return export_history(*options, context); };
      }};
}

Command import_command() {
  return {
      .name = "import",
      .group = kMaintenanceGroup,
      .summary = "Import a protection history: of export, or of an Aztec node's own store",
      .description =
          "All or nothing, and protection is never lowered: a duty that is on record with other data is a "
          "conflict, which is reported "
          "and refused (exit code 4). It waits until every attempt in flight has ended, at most 10 seconds, and "
          "affects "
          "every later one. The low watermark of each validator and type rises to the highest slot "
          "signed in what is imported; so a slot that cannot have begun is refused. With --lmdb it reads the folder "
          "signing-protection below the data directory "
          "of an "
          "Aztec node 5.x that has stopped, and leaves it as it is.",
      .examples = {{"Into a new database", "ha-signer import history.json --database-url sqlite:signer.db"},
                   {"From a single Aztec node (stop it first)",
                    "ha-signer import --lmdb data/signing-protection --database-url sqlite:signer.db"}},
      .settings = {SettingId::kDatabaseUrl, SettingId::kSlotDurationS, SettingId::kGenesisTime, SettingId::kSlotsAhead},
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<ImportOptions>();
        auto* file = app.add_option("FILE", options->path, "The file; - is standard input")->type_name("FILE");
        app.add_option("--lmdb", options->node_path, "The folder of a stopped Aztec node's own store")
            ->type_name("DIR")
            ->excludes(file);
        app.add_flag("--keep-watermarks", options->keep_watermarks,
                     "Apply only the watermarks of the file, without raising any to the highest signed slot");
        add_json_flag(app, options->output);
        return [options](Context& context) { return import_history(*options, context); };
      }};
}

}  // namespace hasigner::cli
