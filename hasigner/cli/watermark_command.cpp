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
    return (!rollup.empty() && entry.rollup != rollup) ||
           (!validator.empty() && entry.validator != validator && entry.validator != kEveryValidator) ||
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
  EthAddress rollup;
  std::vector<std::optional<EthAddress>> validators;  ///< nullopt: every validator of the rollup
  std::vector<DutyType> types;
  WatermarkChange change;
  milliseconds timeout{};
};

/// Without the validators.
Setting setting_of(const SetOptions& options, Context& context) {
  Setting setting;
  setting.rollup = accepted(EthAddress::parse(context.settings.required(SettingId::kRollup), "--rollup"));
  if (options.validator == kEveryValidator) {
    setting.validators = {std::nullopt};
  } else if (options.validator != kAllValidators) {
    setting.validators = {address_option("--validator", options.validator, context.console)};
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

Watermarks bounds_of(const std::vector<WatermarkEntry>& entries, const EthAddress& rollup,
                     const WatermarkSubject& subject) {
  const auto is_it = [&](const WatermarkEntry& entry) {
    return entry.rollup == rollup.to_string() && entry.validator == validator_text(subject.validator) &&
           entry.duty_type == to_string(subject.duty_type);
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

struct ValidatorChanges {
  std::optional<EthAddress> validator;
  std::vector<TypeChange> changes;
};

Json changes_json(const EthAddress& rollup, const ValidatorChanges& of_one) {
  auto list = Json::array();
  for (const auto& change : of_one.changes) {
    list.push_back({{"duty_type", to_string(change.type)},
                    {"before", bounds_json(change.before)},
                    {"after", bounds_json(change.after)}});
  }
  return {{"rollup_address", rollup.to_string()},
          {"validator_address", validator_text(of_one.validator)},
          {"changes", std::move(list)}};
}

void warn(const std::vector<ValidatorChanges>& all, const Console& console) {
  for (const auto& of_one : all) {
    for (const auto& change : of_one.changes) {
      if (!change.after.low || !change.after.high || *change.after.low < *change.after.high) continue;
      console.err << "note: no slot is left between low " << change.after.low->to_string() << " and high "
                  << change.after.high->to_string() << ": " << to_string(change.type) << " of "
                  << validator_text(of_one.validator) << " will not be signed at all\n";
    }
  }
  console.err << "note: nodes of the published package (@aztec/validator-ha-signer) do not obey watermarks\n";
}

[[noreturn]] void refuse_unasked(const WatermarkSubject& subject, const Watermarks& now, const Setting& setting) {
  throw CommandError(ExitCode::kFailure, "another program has changed " + std::string(to_string(subject.duty_type)) +
                                             " of " + validator_text(subject.validator) + " meanwhile: low is " +
                                             bound_text(now.low) + ", high is " + bound_text(now.high) + " now, and " +
                                             bounds_text(setting.change) +
                                             " would let more be signed; it was not set. Ask again if you mean it");
}

std::vector<WatermarkSubject> subjects_of(const Setting& setting) {
  std::vector<WatermarkSubject> subjects;
  for (const auto& validator : setting.validators) {
    for (const auto type : setting.types) subjects.push_back({validator, type});
  }
  return subjects;
}

std::vector<ValidatorChanges> grouped(const Setting& setting, const std::vector<WatermarkOutcome>& outcomes) {
  std::vector<ValidatorChanges> all;
  auto next = outcomes.begin();
  for (const auto& validator : setting.validators) {
    ValidatorChanges of_one{validator, {}};
    for (const auto type : setting.types) {
      of_one.changes.push_back({type, next->before, next->after});
      ++next;
    }
    all.push_back(std::move(of_one));
  }
  return all;
}

/// All in one transaction. A change may let more be signed only with consent, whatever another program sets at the same
/// time; one that is refused for that reason keeps none of the others back.
std::vector<ValidatorChanges> apply(const Setting& setting, Database& database, const Console& console) {
  const auto subjects = subjects_of(setting);
  const auto outcomes = database.wait_for(
      database.history().set_watermarks(setting.rollup, subjects, setting.change, Database::within(setting.timeout)));
  const auto refused = std::ranges::find(outcomes, false, &WatermarkOutcome::applied);
  if (refused == outcomes.end()) return grouped(setting, outcomes);
  const auto set = std::ranges::count(outcomes, true, &WatermarkOutcome::applied);
  if (outcomes.size() > 1) {
    console.err << "note: " << set << " of " << outcomes.size() << " watermarks were set\n";
  }
  refuse_unasked(subjects[static_cast<std::size_t>(refused - outcomes.begin())], refused->after, setting);
}

/// Those whose keys the keystore files name, and those of the rollup that the database has bounds of.
std::vector<std::optional<EthAddress>> all_validators(const Setting& setting,
                                                      const std::vector<WatermarkEntry>& entries, Context& context) {
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
                       "--key-store-directory, or give --validator every");
  }
  return {all.begin(), all.end()};
}

std::vector<ValidatorChanges> preview(const Setting& setting, const std::vector<WatermarkEntry>& entries) {
  std::vector<WatermarkOutcome> outcomes;
  for (const auto& subject : subjects_of(setting)) {
    const auto before = bounds_of(entries, setting.rollup, subject);
    outcomes.push_back({.applied = true, .before = before, .after = setting.change.applied_to(before)});
  }
  return grouped(setting, outcomes);
}

void print_all(const SetOptions& options, const std::vector<ValidatorChanges>& all, std::ostream& out) {
  for (const auto& of_one : all) {
    if (options.validator == kAllValidators) out << validator_text(of_one.validator) << '\n';
    print_changes(of_one.changes, out);
  }
}

/// Asks before more may be signed, and before slots are forbidden to more validators than one. Returns whether more may
/// be signed than before.
bool consented(const SetOptions& options, const Setting& setting, const std::vector<ValidatorChanges>& all,
               Context& context) {
  const auto allows_more_to = [](const ValidatorChanges& of_one) {
    return std::ranges::any_of(of_one.changes, lets_more_be_signed);
  };
  const bool is_of_one = options.validator != kAllValidators && options.validator != kEveryValidator;
  if (options.consent == Consent::kGiven) return true;
  const bool lets_more = std::ranges::any_of(all, allows_more_to);
  if (!lets_more && is_of_one) return false;
  print_all(options, all, context.console.err);
  const auto whom = setting.validators.front() ? std::to_string(setting.validators.size()) + " validators"
                                               : "every validator of the rollup, also of those to come,";
  require_consent(context.console, options.consent,
                  lets_more
                      ? "this lets slots be signed that a watermark protects now; what was signed there and is no "
                        "longer on record could be signed again with other data"
                      : "this forbids slots to " + whom + " on every node: their duties there are missed");
  return lets_more;
}

ExitCode set_watermarks(const SetOptions& options, Context& context) {
  auto setting = setting_of(options, context);
  Database database(context.settings, MissingFile::kRefuse);
  const auto entries = read_watermarks(database);
  if (options.validator == kAllValidators) setting.validators = all_validators(setting, entries, context);
  const auto wanted = preview(setting, entries);
  warn(wanted, context.console);
  setting.change.extent = consented(options, setting, wanted, context) ? WatermarkChange::Extent::kAny
                                                                       : WatermarkChange::Extent::kTightenOnly;
  const auto done = apply(setting, database, context.console);
  if (options.output == Output::kText) {
    print_all(options, done, context.console.out);
    return ExitCode::kSuccess;
  }
  auto list = Json::array();
  for (const auto& of_one : done) list.push_back(changes_json(setting.rollup, of_one));
  const bool is_one = options.validator != kAllValidators;
  print_json(context.console.out, is_one ? list.front() : Json{{"validators", std::move(list)}});
  return ExitCode::kSuccess;
}

// ---- the commands

Command show_watermarks_command() {
  return {
      .name = "show",
      .summary = "Show the slot bounds of each validator",
      .settings = {SettingId::kDatabaseUrl, SettingId::kSlotDurationS, SettingId::kGenesisTime, SettingId::kSlotsAhead},
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<ShowOptions>();
        app.add_option("--rollup", options->rollup, "Of this rollup")->type_name("ADDRESS");
        app.add_option("--validator", options->validator, "Of this validator, and of every validator")
            ->type_name("ADDRESS");
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
          "low bound or raising the high one asks for confirmation, or needs --yes; so do all and every. A slot must "
          "be "
          "within the bounds of its validator and within those of every validator. Nodes of the published package do "
          "not obey watermarks.",
      .examples = {{"Forbid a validator that moved here every slot up to 4711",
                    "ha-signer watermark set --rollup 0x1111111111111111111111111111111111111111 --validator "
                    "0x90f8bf6a479f320ead074411a4b0e7944ea8c9c1 --duty-type all --low 4711"},
                   {"Forbid them to every validator of the rollup, also to those whose keys are added later",
                    "ha-signer watermark set --rollup 0x1111111111111111111111111111111111111111 --validator every "
                    "--duty-type all --low 4711"}},
      .settings = {SettingId::kDatabaseUrl, SettingId::kRollup, SettingId::kKeyStoreDirectory},
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<SetOptions>();
        app.add_option(
               "--validator", options->validator,
               "The validator; all: each of the keystore files, and each of the rollup that has a watermark; every: "
               "bounds that all validators of the rollup share, those to come included")
            ->type_name("ADDRESS|all|every")
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
          .subcommands = {show_watermarks_command(), set_command()}};
}

}  // namespace hasigner::cli
