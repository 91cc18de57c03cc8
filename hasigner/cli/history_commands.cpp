#include <algorithm>
#include <map>
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
#include "hasigner/store/rows/table_row.hpp"

namespace hasigner::cli {

namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 30;
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

ExitCode export_history(const std::optional<std::string>& output, Context& context) {
  Database database(context.settings, MissingFile::kRefuse);
  HistoryFile file;
  file.cluster_id = cluster_id(database);
  file.exported_at =
      iso_time(utc_text(std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now())));
  file.exported_by = "ha-signer " HASIGNER_VERSION;
  file.snapshot = database.wait_for(database.history().export_history(Database::within(kBulkTimeout)));
  if (output) {
    std::ostringstream text;
    write_history(text, file);
    write_private_file(*output, text.view());
  } else {
    write_history(context.console.out, file);
  }
  const auto signing = std::ranges::count(file.snapshot.duties, std::string("signing"), &DutyEntry::status);
  context.console.err << "exported " << count_of(file.snapshot.duties.size(), "duty") << " (" << signing
                      << " still signing) and " << count_of(file.snapshot.watermarks.size(), "watermark") << " of "
                      << database.shown_url() << '\n';
  return ExitCode::kSuccess;
}

// ---- import

/// Makes the highest signed slot of each kind a low watermark, so that what the file does not contain (duties that
/// were signed and removed before the export) is not signed again either. Each kind stands there once afterwards.
void raise_to_highest_slots(HistorySnapshot& snapshot) {
  std::map<std::array<std::string, 3>, WatermarkEntry> kinds;
  const auto kind = [&kinds](const auto& entry) -> WatermarkEntry& {
    std::array<std::string, 3> key = {lower_case(entry.rollup), lower_case(entry.validator), entry.duty_type};
    return kinds.try_emplace(key, WatermarkEntry{key[0], key[1], key[2], {}, {}}).first->second;
  };
  for (const auto& entry : snapshot.watermarks) {
    WatermarkEntry& stored = kind(entry);
    stored.watermarks.low = std::max(stored.watermarks.low, entry.watermarks.low);
    if (!stored.watermarks.high || (entry.watermarks.high && *entry.watermarks.high < *stored.watermarks.high)) {
      stored.watermarks.high = entry.watermarks.high;
    }
  }
  for (const auto& duty : snapshot.duties) {
    const auto slot = Slot::parse(duty.slot);  // a foreign row's slot below zero bounds nothing
    if (duty.status != "signed" || !slot) continue;
    WatermarkEntry& stored = kind(duty);
    stored.watermarks.low = std::max(stored.watermarks.low, std::optional(*slot));
  }
  snapshot.watermarks.clear();
  for (auto& [key, entry] : kinds) snapshot.watermarks.push_back(std::move(entry));
}

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

struct ImportOptions {
  std::string path;
  bool keep_watermarks = false;
  Output output = Output::kText;
};

ExitCode import_history(const ImportOptions& options, Context& context) {
  auto file = parse_history(read_file(options.path, kLargestFile));
  if (!file) throw CommandError(ExitCode::kUsage, printable(options.path, 200) + ": " + file.error());
  if (!options.keep_watermarks) raise_to_highest_slots(file->snapshot);
  const std::size_t watermarks = file->snapshot.watermarks.size();

  Database database(context.settings, MissingFile::kMake);
  const auto outcome =
      database.wait_for(database.history().import_history(std::move(file->snapshot), Database::within(kBulkTimeout)));
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
          "One snapshot, which includes duties that are still being signed. The file holds lock tokens and is readable "
          "by its owner only. "
          "docs/protection-history.md describes its format.",
      .examples = {{"Before moving validators elsewhere (stop their nodes first)",
                    "ha-signer export --output history.json"}},
      .settings = {SettingId::kDatabaseUrl},
      .define = [](CLI::App& app) -> Action {
        auto output = std::make_shared<std::optional<std::string>>();
        app.add_option("-o,--output", *output,
                       "Write to this file, completely or not at all; standard output if not given")
            ->type_name("FILE");
        return [output](Context& context) { return export_history(*output, context); };
      }};
}

Command import_command() {
  return {.name = "import",
          .group = kMaintenanceGroup,
          .summary = "Import a protection history that export wrote",
          .description =
              "All or nothing, and protection is never lowered: a duty that is on record with other data is a "
              "conflict, which is reported "
              "and refused (exit code 4). It waits until every attempt in flight has ended, at most 10 seconds, and "
              "affects "
              "every later one. The low watermark of each validator and type rises to the highest slot "
              "signed in the file.",
          .examples = {{"Into a new database", "ha-signer import history.json --database-url sqlite:signer.db"}},
          .settings = {SettingId::kDatabaseUrl},
          .define = [](CLI::App& app) -> Action {
            auto options = std::make_shared<ImportOptions>();
            app.add_option("FILE", options->path, "The file; - is standard input")->type_name("FILE")->required();
            app.add_flag("--keep-watermarks", options->keep_watermarks,
                         "Apply only the watermarks of the file, without raising any to the highest signed slot");
            add_json_flag(app, options->output);
            return [options](Context& context) { return import_history(*options, context); };
          }};
}

}  // namespace hasigner::cli
