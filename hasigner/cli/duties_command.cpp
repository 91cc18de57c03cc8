#include <csignal>
#include <ctime>
#include <map>
#include <memory>
#include <ostream>
#include <set>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/database.hpp"
#include "hasigner/cli/duty_fields.hpp"
#include "hasigner/cli/duty_filter.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/table.hpp"
#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::cli {

namespace {

constexpr std::size_t kListed = 100;
constexpr std::size_t kWatched = 10'000;

std::vector<DutyEntry> read_duties(Database& database, const DutyFilter& filter) {
  return database.wait_for(database.history().duties(filter, Database::within(kLookTimeout)));
}

/// `12 ms`: from claim to record.
std::string time_taken(const DutyEntry& entry) {
  const auto start = parse_utc_text(entry.started_at);
  const auto end = parse_utc_text(entry.completed_at);
  if (!start || !end) return "";
  return std::to_string(std::chrono::duration_cast<milliseconds>(*end - *start).count()) + " ms";
}

bool has_block_index(const DutyEntry& entry) {
  return entry.block_index != std::to_string(kNoBlockIndex);
}

// ---- list

void print_list(const std::vector<DutyEntry>& entries, const Console& console) {
  std::set<std::string> rollups;
  for (const auto& entry : entries) rollups.insert(entry.rollup);
  const bool show_rollup = rollups.size() > 1;  // otherwise it says the same in every line

  std::vector<Column> columns = {{.heading = "SLOT", .right = true, .least = 4},
                                 {.heading = "TYPE", .least = 10},
                                 {.heading = "BLOCK", .right = true, .least = 5},
                                 {.heading = "VALIDATOR", .least = 10, .cut_middle = true}};
  if (show_rollup) columns.push_back({.heading = "ROLLUP", .least = 10, .cut_middle = true});
  for (const Column& column : {Column{.heading = "STATUS", .least = 7}, Column{.heading = "NODE", .least = 6},
                               Column{.heading = "MESSAGE HASH", .least = 12, .cut_middle = true, .can_drop = true},
                               Column{.heading = "STARTED (UTC)", .least = 19},
                               Column{.heading = "TOOK", .right = true, .least = 4, .can_drop = true}}) {
    columns.push_back(column);
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : entries) {
    std::vector<std::string> row = {entry.slot, entry.duty_type, has_block_index(entry) ? entry.block_index : "",
                                    entry.validator};
    if (show_rollup) row.push_back(entry.rollup);
    for (const auto& cell :
         {entry.status, entry.node_id, entry.message_hash, without_fraction(entry.started_at), time_taken(entry)}) {
      row.push_back(cell);
    }
    rows.push_back(std::move(row));
  }
  print_table(console.out, columns, rows, console.out_is_terminal ? console.columns : 0);
}

void print_json_list(const std::vector<DutyEntry>& entries, std::ostream& out) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& entry : entries) list.push_back(duty_json(entry));
  print_json(out, {{"duties", std::move(list)}});
}

ExitCode list_duties(const DutyFilterOptions& options, Output output, Context& context) {
  const DutyFilter filter = options.filter(kListed);
  Database database(context.settings, MissingFile::kRefuse);
  const auto entries = read_duties(database, filter);
  if (output == Output::kJson) {
    print_json_list(entries, context.console.out);
  } else if (entries.empty()) {
    context.console.err << "no duties match in " << database.shown_url() << '\n';
  } else {
    print_list(entries, context.console);
  }
  if (entries.size() == filter.limit && !options.limit) {
    context.console.err << "these are the newest " << filter.limit << "; --limit shows more\n";
  }
  return ExitCode::kSuccess;
}

// ---- show

void print_whole(const DutyEntry& entry, std::ostream& out) {
  for (const auto& field : kDutyFields) {
    const std::string& text = entry.*field.member;
    const std::string shown = text.empty() ? "-" : field.is_time ? iso_time(text) : printable(text, 4096);
    out << field.name << std::string(32 - field.name.size(), ' ') << shown << '\n';
  }
}

ExitCode show_duties(const DutyFilterOptions& options, Output output, Context& context) {
  const DutyFilter filter = options.filter(kListed);
  if (!filter.from_slot && !filter.to_slot)
    throw CommandError(ExitCode::kUsage, "--slot is missing: name the duty to show");
  Database database(context.settings, MissingFile::kRefuse);
  const auto entries = read_duties(database, filter);
  if (entries.empty())
    throw CommandError(ExitCode::kFailure, "no duty matches in " + database.shown_url(), "not_found");
  if (output == Output::kJson) {
    print_json_list(entries, context.console.out);
    return ExitCode::kSuccess;
  }
  const char* separator = "";
  for (const auto& entry : entries) {
    context.console.out << separator;
    print_whole(entry, context.console.out);
    separator = "\n";
  }
  return ExitCode::kSuccess;
}

// ---- watch

using WatchKey = std::array<std::string, 5>;

struct Change {
  std::string what;
  DutyEntry entry;
};

/// What is new since the last poll.
class Changes {
 public:
  enum class Extent : std::uint8_t {
    kAll,     ///< every duty that matches
    kNewest,  ///< the limit left older ones out, so one that is missing may still be there
  };

  std::vector<Change> since(const std::vector<DutyEntry>& entries, Extent extent) {
    std::vector<Change> changes;
    std::map<WatchKey, DutyEntry> now;
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {  // the oldest slot first
      const WatchKey key = {entry->rollup, entry->validator, entry->slot, entry->duty_type, entry->block_index};
      if (auto what = change_of(key, *entry); !what.empty()) changes.push_back({what, *entry});
      now.emplace(key, *entry);
    }
    for (const auto& [key, entry] : last_) {
      if (extent == Extent::kAll && !now.contains(key)) changes.push_back({"removed", entry});
    }
    last_ = std::move(now);
    return changes;
  }

 private:
  [[nodiscard]] std::string change_of(const WatchKey& key, const DutyEntry& entry) const {
    const auto before = last_.find(key);
    if (before == last_.end()) return entry.status;
    if (before->second.status != entry.status) return entry.status;
    if (before->second.lock_token == entry.lock_token) return "";
    return before->second.message_hash == entry.message_hash ? "taken over" : "replaced";
  }

  std::map<WatchKey, DutyEntry> last_;
};

std::string time_now() {
  return without_fraction(utc_text(std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now())));
}

void print_change(const Change& change, Output output, std::ostream& out) {
  const DutyEntry& entry = change.entry;
  if (output == Output::kJson) {
    print_json_line(out, {{"change", change.what}, {"duty", duty_json(entry)}});
    return;
  }
  const std::string index = has_block_index(entry) ? " block " + printable(entry.block_index) : "";
  out << time_now() << "  " << change.what << std::string(change.what.size() < 10 ? 10 - change.what.size() : 0, ' ')
      << "  slot " << printable(entry.slot) << index << "  " << printable(entry.duty_type) << "  "
      << printable(entry.validator) << "  by " << printable(entry.node_id, 255) << "  " << printable(entry.message_hash)
      << '\n';
}

/// Signals that end the watch, held back from the moment this is made, so that none is lost between two polls.
class Interrupts {
 public:
  Interrupts() {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGINT);
    ::sigaddset(&signals_, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  /// True: the person at the terminal, or a service manager, has asked for the end.
  [[nodiscard]] bool came_within(milliseconds time) const {
    const timespec limit{.tv_sec = time.count() / 1000, .tv_nsec = time.count() % 1000 * 1'000'000};
    return ::sigtimedwait(&signals_, nullptr, &limit) > 0;
  }

 private:
  sigset_t signals_{};
};

milliseconds interval_of(const std::string& text) {
  const auto number = Slot::parse(text);
  if (number && number->value() >= 50 && number->value() <= 3'600'000) return milliseconds(number->value());
  throw CommandError(InvalidInput{"--interval-ms", printable(text), "a whole number from 50 to 3600000"});
}

ExitCode watch_duties(const DutyFilterOptions& options, const std::string& interval_text, Output output,
                      Context& context) {
  const DutyFilter filter = options.filter(kWatched);
  const milliseconds interval = interval_of(interval_text);
  const Interrupts interrupts;
  Database database(context.settings, MissingFile::kRefuse);
  context.console.err << "watching " << database.shown_url() << "; interrupt to end\n" << std::flush;
  Changes changes;
  bool was_lost = false;
  do {
    try {
      const auto entries = read_duties(database, filter);
      const auto extent = entries.size() < filter.limit ? Changes::Extent::kAll : Changes::Extent::kNewest;
      for (const auto& change : changes.since(entries, extent)) print_change(change, output, context.console.out);
      if (!context.console.out.flush()) return ExitCode::kFailure;
      if (was_lost) context.console.err << "the store answers again\n" << std::flush;
      was_lost = false;
    } catch (const CommandError& error) {
      // A server that restarts does not end a watch.
      if (!was_lost) context.console.err << "note: " << error.what() << "; still watching\n" << std::flush;
      was_lost = true;
    }
  } while (!interrupts.came_within(interval));
  return ExitCode::kSuccess;
}

// ---- the commands

struct ListOptions {
  DutyFilterOptions filter;
  std::string interval = "1000";
  Output output = Output::kText;
};

Command list_duties_command() {
  return {.name = "list",
          .summary = "List duties, the newest slots first",
          .examples = {{"What is being signed right now", "ha-signer duties list --status signing"},
                       {"Everything about one slot, for a program", "ha-signer duties list --slot 4711 --json"}},
          .settings = {SettingId::kDatabaseUrl},
          .define = [](CLI::App& app) -> Action {
            auto options = std::make_shared<ListOptions>();
            options->filter.add_to(app);
            add_json_flag(app, options->output, "Print one JSON object; its fields are the columns of the table");
            return [options](Context& context) { return list_duties(options->filter, options->output, context); };
          }};
}

Command show_duties_command() {
  return {.name = "show",
          .summary = "Show all that is recorded about duties",
          .description = "Exits with 1 when no duty matches.",
          .examples = {{"Who signed the attestation of a validator for a slot, and what",
                        "ha-signer duties show --slot 4711 --duty-type ATTESTATION --validator "
                        "0x90f8bf6a479f320ead074411a4b0e7944ea8c9c1"}},
          .settings = {SettingId::kDatabaseUrl},
          .define = [](CLI::App& app) -> Action {
            auto options = std::make_shared<ListOptions>();
            options->filter.add_to(app);
            add_json_flag(app, options->output);
            return [options](Context& context) { return show_duties(options->filter, options->output, context); };
          }};
}

Command watch_command() {
  return {
      .name = "watch",
      .summary = "Print duties as they are claimed and signed, until interrupted",
      .examples = {{"Follow one validator",
                    "ha-signer duties watch --validator 0x90f8bf6a479f320ead074411a4b0e7944ea8c9c1"}},
      .settings = {SettingId::kDatabaseUrl},
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<ListOptions>();
        options->filter.add_to(app);
        app.add_option("--interval-ms", options->interval, "Pause between polls, 1000 if not given")->type_name("MS");
        add_json_flag(app, options->output, "Print one JSON object a line");
        return [options](Context& context) {
          return watch_duties(options->filter, options->interval, options->output, context);
        };
      }};
}

}  // namespace

Command duties_command() {
  return {.name = "duties",
          .group = kInspectionGroup,
          .summary = "List, show and watch duties",
          .subcommands = {list_duties_command(), show_duties_command(), watch_command()}};
}

}  // namespace hasigner::cli
