#include <algorithm>
#include <iterator>
#include <memory>
#include <ostream>
#include <set>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/confirmation.hpp"
#include "hasigner/cli/database.hpp"
#include "hasigner/cli/duty_fields.hpp"
#include "hasigner/cli/duty_options.hpp"
#include "hasigner/cli/key_store_settings.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/slot_checks.hpp"
#include "hasigner/cli/table.hpp"
#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kEveryType = "all";
constexpr const char* kAllValidators = "all";

std::vector<WatermarkEntry> read_watermarks(Database& database) {
  return database.wait_for(database.history().watermarks(Database::within(kLookTimeout)));
}

Json bounds_json(const Watermarks& watermarks) {
  return {{"low_slot", bound_json(watermarks.low)}, {"high_slot", bound_json(watermarks.high)}};
}

/// Returns nullopt for all six.
std::optional<DutyType> type_of(const std::string& text) {
  if (text == kEveryType) return std::nullopt;
  const auto type = parse_duty_type(text);
  if (type && is_protected(*type)) return *type;
  throw CommandError(
      InvalidInput{"--duty-type", printable(text),
                   "BLOCK_PROPOSAL, CHECKPOINT_PROPOSAL, ATTESTATION, ATTESTATIONS_AND_SIGNERS, GOVERNANCE_VOTE, "
                   "SLASHING_VOTE or all"});
}

// ---- show

struct ShowOptions {
  std::optional<std::string> rollup, validator;
  std::string duty_type = kEveryType;
  Output output = Output::kText;
};

std::vector<WatermarkEntry> matching(std::vector<WatermarkEntry> entries, const ShowOptions& options) {
  const auto type = type_of(options.duty_type);
  const auto rollup = options.rollup ? accepted(EthAddress::parse(*options.rollup, "--rollup")).to_string() : "";
  const auto validator =
      options.validator ? accepted(EthAddress::parse(*options.validator, "--validator")).to_string() : "";
  std::erase_if(entries, [&](const WatermarkEntry& entry) {
    return (!rollup.empty() && entry.rollup != rollup) || (!validator.empty() && entry.validator != validator) ||
           (type && entry.duty_type != to_string(*type));
  });
  return entries;
}

void print_people(const std::vector<WatermarkEntry>& entries, const Console& console) {
  std::vector<std::vector<std::string>> rows;
  rows.reserve(entries.size());
  for (const auto& entry : entries) {
    rows.push_back({entry.rollup, entry.validator, entry.duty_type, bound_text(entry.watermarks.low),
                    bound_text(entry.watermarks.high), without_fraction(entry.updated_at)});
  }
  print_table(console.out,
              {{.heading = "ROLLUP", .least = 10, .cut_middle = true},
               {.heading = "VALIDATOR", .least = 10, .cut_middle = true},
               {.heading = "TYPE", .least = 10},
               {.heading = "LOW", .right = true, .least = 4},
               {.heading = "HIGH", .right = true, .least = 4},
               {.heading = "CHANGED (UTC)", .least = 19, .can_drop = true}},
              rows, console.out_is_terminal ? console.columns : 0);
}

/// A low bound that is later than every slot that can have begun.
void tell_of_silenced(const std::vector<WatermarkEntry>& entries, SlotChecks& slots, std::ostream& err) {
  for (const auto& entry : entries) {
    const auto& low = entry.watermarks.low;
    if (!low || *low <= slots.of(entry.rollup).latest()) continue;
    err << "note: low " << low->to_string() << " of " << printable(entry.duty_type) << " of validator "
        << printable(entry.validator) << " is later than every slot that can have begun (at most "
        << slots.of(entry.rollup).latest().to_string()
        << "), so nothing of this type is signed for it; to lower it see docs/operating.md, A silenced validator\n";
  }
}

ExitCode show_watermarks(const ShowOptions& options, Context& context) {
  (void)matching({}, options);  // a wrong option is refused before the database is opened
  Database database(context.settings, MissingFile::kRefuse);
  const auto entries = matching(read_watermarks(database), options);
  SlotChecks slots(slot_rules(context.settings), database);
  tell_of_silenced(entries, slots, context.console.err);
  if (options.output == Output::kJson) {
    auto list = Json::array();
    for (const auto& entry : entries) list.push_back(watermark_json(entry));
    print_json(context.console.out, {{"watermarks", std::move(list)}});
  } else if (entries.empty()) {
    context.console.err << "no watermark is set in " << database.shown_url() << '\n';
  } else {
    print_people(entries, context.console);
  }
  return ExitCode::kSuccess;
}

// ---- set

struct SetOptions {
  std::string validator;
  std::string duty_type;
  std::optional<std::string> low, high;
  std::string timeout_ms = "15000";
  Consent consent = Consent::kAsk;
  Output output = Output::kText;
};

/// nullopt when the bound stays; an inner nullopt when it is removed.
using BoundChange = std::optional<std::optional<Slot>>;

BoundChange change_of(const std::optional<std::string>& text, std::string_view option) {
  if (!text) return std::nullopt;
  if (*text == "none") return BoundChange(std::in_place, std::nullopt);
  const auto slot = Slot::parse(*text, option);
  if (!slot)
    throw CommandError(
        InvalidInput{std::string(option), printable(*text), "a whole number from 0 to 9223372036854775807, or none"});
  return BoundChange(std::in_place, *slot);
}

struct Setting {
  EthAddress rollup, validator;
  std::vector<DutyType> types;
  WatermarkChange change;
  milliseconds timeout{};
};

Setting setting_of(const SetOptions& options, Context& context) {
  Setting setting;
  setting.rollup = accepted(EthAddress::parse(context.settings.required(SettingId::kRollup), "--rollup"));
  if (options.validator != kAllValidators) {
    setting.validator = address_option("--validator", options.validator, context.console);
  }
  if (const auto type = type_of(options.duty_type)) {
    setting.types = {*type};
  } else {
    setting.types.assign(kProtectedDutyTypes.begin(), kProtectedDutyTypes.end());
  }
  setting.change.low = change_of(options.low, "--low");
  setting.change.high = change_of(options.high, "--high");
  if (!setting.change.low && !setting.change.high)
    throw CommandError(ExitCode::kUsage, "--low or --high is missing: name the bound to set");
  const auto timeout = Slot::parse(options.timeout_ms);
  if (!timeout || timeout->value() < 1 || timeout->value() > 3'600'000) {
    throw CommandError(InvalidInput{"--timeout-ms", printable(options.timeout_ms), "a whole number from 1 to 3600000"});
  }
  setting.timeout = milliseconds(timeout->value());
  return setting;
}

Watermarks bounds_of(const std::vector<WatermarkEntry>& entries, const Setting& setting, DutyType type) {
  const auto is_it = [&](const WatermarkEntry& entry) {
    return entry.rollup == setting.rollup.to_string() && entry.validator == setting.validator.to_string() &&
           entry.duty_type == to_string(type);
  };
  const auto found = std::ranges::find_if(entries, is_it);
  return found == entries.end() ? Watermarks{} : found->watermarks;
}

struct TypeChange {
  DutyType type;
  Watermarks before, after;
};

bool lets_more_be_signed(const TypeChange& change) {
  return allows_more(change.before, change.after);
}

std::string arrow(const std::optional<Slot>& before, const std::optional<Slot>& after) {
  return before == after ? bound_text(after) : bound_text(before) + " -> " + bound_text(after);
}

/// As it was asked for: `--low 6 --high none`.
std::string bounds_text(const WatermarkChange& change) {
  std::string text;
  if (change.low) text += "--low " + (*change.low ? (*change.low)->to_string() : "none");
  if (change.low && change.high) text += " ";
  if (change.high) text += "--high " + (*change.high ? (*change.high)->to_string() : "none");
  return text;
}

void print_changes(const std::vector<TypeChange>& changes, std::ostream& out) {
  std::vector<std::vector<std::string>> rows;
  rows.reserve(changes.size());
  for (const auto& change : changes) {
    rows.push_back({std::string(to_string(change.type)), arrow(change.before.low, change.after.low),
                    arrow(change.before.high, change.after.high)});
  }
  print_table(out, {{.heading = "TYPE"}, {.heading = "LOW"}, {.heading = "HIGH"}}, rows, 0);
}

Json changes_json(const Setting& setting, const std::vector<TypeChange>& changes) {
  auto list = Json::array();
  for (const auto& change : changes) {
    list.push_back({{"duty_type", to_string(change.type)},
                    {"before", bounds_json(change.before)},
                    {"after", bounds_json(change.after)}});
  }
  return {{"rollup_address", setting.rollup.to_string()},
          {"validator_address", setting.validator.to_string()},
          {"changes", std::move(list)}};
}

void warn(const std::vector<TypeChange>& changes, const Console& console) {
  for (const auto& change : changes) {
    if (change.after.low && change.after.high && *change.after.low >= *change.after.high) {
      console.err << "note: no slot is left between low " << change.after.low->to_string() << " and high "
                  << change.after.high->to_string() << ": " << to_string(change.type) << " will not be signed at all\n";
    }
  }
  console.err << "note: nodes of the published package (@aztec/validator-ha-signer) do not obey watermarks\n";
}

[[noreturn]] void refuse_unasked(DutyType type, const Watermarks& now, const Setting& setting) {
  throw CommandError(ExitCode::kFailure, "another program has changed " + std::string(to_string(type)) +
                                             " meanwhile: low is " + bound_text(now.low) + ", high is " +
                                             bound_text(now.high) + " now, and " + bounds_text(setting.change) +
                                             " would let more be signed; it was not set. Ask again if you mean it");
}

/// Each type has a lock and a transaction of its own; when one fails, a note says how many were set. A change may let
/// more be signed only with consent, whatever another program sets at the same time.
std::vector<TypeChange> apply(const Setting& setting, Database& database, const Console& console) {
  std::vector<TypeChange> done;
  try {
    for (const DutyType type : setting.types) {
      const auto outcome = database.wait_for(database.history().set_watermarks(
          setting.rollup, setting.validator, type, setting.change, Database::within(setting.timeout)));
      if (!outcome.applied) refuse_unasked(type, outcome.after, setting);
      done.push_back({type, outcome.before, outcome.after});
    }
  } catch (const CommandError&) {
    if (setting.types.size() > 1) {
      console.err << "note: " << done.size() << " of " << setting.types.size() << " types were set before the error\n";
    }
    throw;
  }
  return done;
}

/// One setting for each validator. All: those whose keys the keystore files name, and those of the rollup that the
/// database has bounds of.
std::vector<Setting> settings_of(const SetOptions& options, const Setting& setting,
                                 const std::vector<WatermarkEntry>& entries, Context& context) {
  if (options.validator != kAllValidators) return {setting};
  std::set<EthAddress> all;
  if (context.settings.is_set(SettingId::kKeyStoreDirectory)) {
    const auto loaded = accepted(keys::load_validators(key_store_settings(context.settings)));
    for (const auto& validator : loaded.validators) {
      for (const auto& attester : validator.attesters) all.insert(attester.address);
    }
  }
  for (const auto& entry : entries) {
    const auto validator = EthAddress::try_parse(entry.validator);
    if (validator && entry.rollup == setting.rollup.to_string()) all.insert(*validator);
  }
  if (all.empty()) {
    throw CommandError(ExitCode::kUsage,
                       "--validator is all, and no validator is known: name the keystore files of the nodes with "
                       "--key-store-directory");
  }
  std::vector<Setting> settings(all.size(), setting);
  auto next = settings.begin();
  for (const auto& validator : all) (next++)->validator = validator;
  return settings;
}

std::vector<TypeChange> preview(const Setting& setting, const std::vector<WatermarkEntry>& entries) {
  std::vector<TypeChange> changes;
  for (const DutyType type : setting.types) {
    const Watermarks before = bounds_of(entries, setting, type);
    changes.push_back({type, before, setting.change.applied_to(before)});
  }
  return changes;
}

void print_validator(const SetOptions& options, const Setting& setting, std::ostream& out) {
  if (options.validator == kAllValidators) out << setting.validator.to_string() << '\n';
}

ExitCode set_watermarks(const SetOptions& options, Context& context) {
  const auto wish = setting_of(options, context);
  Database database(context.settings, MissingFile::kRefuse);
  const auto entries = read_watermarks(database);
  auto settings = settings_of(options, wish, entries, context);
  std::vector<TypeChange> all_changes;
  for (const auto& setting : settings) std::ranges::copy(preview(setting, entries), std::back_inserter(all_changes));
  warn(all_changes, context.console);
  const bool needs_consent = std::ranges::any_of(all_changes, lets_more_be_signed);
  if (needs_consent) {
    for (const auto& setting : settings) {
      if (options.consent != Consent::kAsk) break;
      print_validator(options, setting, context.console.err);
      print_changes(preview(setting, entries), context.console.err);
    }
    require_consent(context.console, options.consent,
                    "this lets slots be signed that a watermark protects now; what was signed there and is no longer "
                    "on record could be "
                    "signed again with other data");
  }
  const bool has_consent = needs_consent || options.consent == Consent::kGiven;
  auto list = Json::array();
  for (auto& setting : settings) {
    setting.change.extent = has_consent ? WatermarkChange::Extent::kAny : WatermarkChange::Extent::kTightenOnly;
    const auto changes = apply(setting, database, context.console);
    list.push_back(changes_json(setting, changes));
    if (options.output == Output::kJson) continue;
    print_validator(options, setting, context.console.out);
    print_changes(changes, context.console.out);
  }
  if (options.output == Output::kJson) {
    const bool is_one = options.validator != kAllValidators;
    print_json(context.console.out, is_one ? list.front() : Json{{"validators", std::move(list)}});
  }
  return ExitCode::kSuccess;
}

// ---- the commands

Command show_command() {
  return {
      .name = "show",
      .summary = "Show the slot bounds of each validator",
      .settings = {SettingId::kDatabaseUrl, SettingId::kSlotDurationS, SettingId::kGenesisTime, SettingId::kSlotsAhead},
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<ShowOptions>();
        app.add_option("--rollup", options->rollup, "Of this rollup")->type_name("ADDRESS");
        app.add_option("--validator", options->validator, "Of this validator")->type_name("ADDRESS");
        app.add_option("--duty-type", options->duty_type, "Of this type; all if not given")->type_name("DUTY_TYPE|all");
        add_json_flag(app, options->output);
        return [options](Context& context) { return show_watermarks(*options, context); };
      }};
}

Command set_command() {
  return {
      .name = "set",
      .summary = "Set the slot bounds of a validator",
      .description =
          "Nothing at or below the low bound and nothing above the high bound is signed. The change waits until "
          "every attempt "
          "in flight has ended, and affects every later one. A bound that is not given stays what it is. Lowering the "
          "low bound or raising the high one asks for "
          "confirmation, "
          "or needs --yes. Nodes of the published package do not obey watermarks.",
      .examples = {{"Forbid a validator that moved here every slot up to 4711",
                    "ha-signer watermark set --rollup 0x1111111111111111111111111111111111111111 --validator "
                    "0x90f8bf6a479f320ead074411a4b0e7944ea8c9c1 --duty-type all --low 4711"}},
      .settings = {SettingId::kDatabaseUrl, SettingId::kRollup, SettingId::kKeyStoreDirectory},
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<SetOptions>();
        app.add_option("--validator", options->validator,
                       "The validator; all: those of the keystore files, and those of the rollup that have a watermark")
            ->type_name("ADDRESS|all")
            ->required();
        app.add_option("--duty-type", options->duty_type, "The type of duty, or all")
            ->type_name("DUTY_TYPE|all")
            ->required();
        app.add_option("--low", options->low, "Sign nothing at or below this slot; none: no bound")->type_name("N");
        app.add_option("--high", options->high, "Sign nothing above this slot; none: no bound")->type_name("N");
        app.add_option("--timeout-ms", options->timeout_ms,
                       "How long to wait for attempts in flight, 15000 if not given")
            ->type_name("MS");
        add_yes_flag(app, options->consent);
        add_json_flag(app, options->output);
        return [options](Context& context) { return set_watermarks(*options, context); };
      }};
}

}  // namespace

Command watermark_command() {
  return {.name = "watermark",
          .group = kMaintenanceGroup,
          .summary = "Show or set the slot bounds outside of which nothing is signed",
          .subcommands = {show_command(), set_command()}};
}

}  // namespace hasigner::cli
