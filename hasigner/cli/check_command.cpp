#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/database.hpp"
#include "hasigner/cli/duty_options.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/signer_settings.hpp"
#include "hasigner/cli/signing_refusal.hpp"
#include "hasigner/cli/slot_checks.hpp"
#include "hasigner/factory/database_url.hpp"
#include "hasigner/protection/attempt/decide.hpp"

namespace hasigner::cli {

namespace {

struct CheckOptions {
  DutyOptions duty;
  std::string address;
};

/// What the store knows of one duty.
struct Found {
  DutyView view;
  std::optional<DutyEntry> entry;  ///< the row as a whole, to say since when it is held
};

std::optional<DutyEntry> entry_of(const DutyKey& key, const std::vector<DutyEntry>& entries) {
  for (const auto& entry : entries) {
    if (entry.block_index == std::to_string(key.block_index)) return entry;
  }
  return std::nullopt;
}

void refuse_implausible(const PlausibleSlots& slots, const Slot& slot) {
  if (auto refused = slots.refuse(slot)) throw CommandError(*refused);
}

Found look_up(const Settings& settings, const DutyKey& key) {
  Database database(settings, MissingFile::kRefuse);
  SlotChecks slots(slot_rules(settings), database);
  refuse_implausible(slots.of(key.rollup.to_string()), key.slot);
  auto looked = database.wait_for(database.store().look({key}, Database::within(kLookTimeout)));
  DutyFilter filter;
  filter.rollup = key.rollup;
  filter.validator = key.validator;
  filter.from_slot = key.slot;
  filter.to_slot = key.slot;
  filter.duty_type = key.duty_type;
  const auto entries = database.wait_for(database.history().duties(filter, Database::within(kLookTimeout)));
  return {std::move(looked.at(0)), entry_of(key, entries)};
}

/// ` by node X since T (UTC)`
std::string holder_of(const DutyRow& row, const std::optional<DutyEntry>& entry) {
  std::string text = " by node " + printable(row.node_id, 300);
  if (entry) text += " since " + printable(entry->started_at) + " UTC";
  return text;
}

/// Either a sentence about a duty that would be signed, or a refusal.
using Answer = std::expected<std::string, SigningRefusal>;

/// The duty is held by another attempt that may go on or be dead.
Answer about_held_duty(const Duty& duty, const Found& found, milliseconds signing_timeout) {
  const auto& row = *found.view.row;
  const auto held = duty.key.describe() + " is being signed" + holder_of(row, found.entry);
  const auto timeout = std::to_string(signing_timeout.count()) + " ms";
  SigningRefusal refusal{
      .code = ExitCode::kDutyAlreadySigned, .kind = "duty_held", .message = {}, .signed_by = row.node_id};
  if (row.message_hash == duty.message_hash) {
    refusal.message =
        held + " with the same data: sign would wait for that node, and take the duty over after " + timeout;
    return std::unexpected(std::move(refusal));
  }
  refusal.code = ExitCode::kSlashingProtection;
  refusal.existing_message_hash = row.message_hash ? row.message_hash->to_string() : "";
  refusal.message = held + " with other data: sign would wait for that node up to " + timeout +
                    ", and be refused unless it stops or its lease runs out";
  return std::unexpected(std::move(refusal));
}

Answer answer_for(const Duty& duty, const Found& found, milliseconds signing_timeout) {
  const auto decision = decide(found.view, Claimant{.duty = duty, .own_tokens = {}});
  if (const auto* refusal = std::get_if<Refuse>(&decision)) return std::unexpected(refusal_of(refusal->error));
  if (std::holds_alternative<Wait>(decision)) return about_held_duty(duty, found, signing_timeout);
  if (std::holds_alternative<TakeOver>(decision)) {
    return duty.key.describe() + " would be signed: it is held" + holder_of(*found.view.row, found.entry) +
           ", whose lease has run out, so its row would be replaced";
  }
  return duty.key.describe() + " would be signed: there is no row of it, and no watermark forbids it";
}

ExitCode report(const Answer& answer, Console& console, Output output) {
  if (!answer) return report_refusal(answer.error(), console, output);
  if (output == Output::kJson) {
    print_json(console.out, {{"would_sign", true}, {"message", *answer}, {"exit_code", 0}});
  } else {
    console.out << *answer << '\n';
  }
  return ExitCode::kSuccess;
}

/// Opening a SQLite file would make it, and check makes nothing.
bool is_missing_file(const StoreSettings& settings) {
  const auto url = DatabaseUrl::parse(settings.database_url);
  std::error_code unknown;
  return url && url->kind == DatabaseUrl::Kind::kSqlite && !std::filesystem::exists(url->path, unknown) && !unknown;
}

ExitCode run_check(const CheckOptions& options, Context& context) {
  const auto duty_input = duty_to_sign(options.duty);
  const auto validator = address_option("--address", options.address, context.console);
  const std::string type(to_string(duty_input.context.duty_type));
  if (!is_protected(duty_input.context.duty_type)) {
    return report(type + " would be signed directly: signing it twice is safe, so it needs no protection",
                  context.console, options.duty.output);
  }
  const auto config = ha_signer_config(context.settings);
  const auto duty = accepted(make_duty(config.signer.rollup, validator, duty_input.message_hash, duty_input.context));
  const auto store = store_settings(context.settings);
  if (is_missing_file(store)) {
    refuse_implausible(PlausibleSlots(slot_rules(context.settings)), duty.key.slot);
    return report(duty.key.describe() + " would be signed: the file of " +
                      context.settings.shown(SettingId::kDatabaseUrl) + " does not exist yet, and sign would make it",
                  context.console, options.duty.output);
  }
  return report(answer_for(duty, look_up(context.settings, duty.key), config.signer.peer_signing_timeout),
                context.console, options.duty.output);
}

Action define_check(CLI::App& app) {
  auto options = std::make_shared<CheckOptions>();
  app.add_option("--address", options->address, "The validator's address")->type_name("ADDRESS")->required();
  add_duty_options(app, options->duty);
  return [options](Context& context) { return run_check(*options, context); };
}

}  // namespace

Command check_command() {
  return {.name = "check",
          .group = kSigningGroup,
          .summary = "Ask whether a duty would be signed; nothing is written",
          .description =
              "Takes the arguments of sign, with the validator's address instead of its key, reads the database and "
              "says "
              "whether the duty would be signed, or why not. Ends with the exit code that sign would end with.\n\n"
              "The answer holds for the moment: another node may sign the duty right afterwards.",
          .examples = {{"Whether this attestation would be signed",
                        "ha-signer check --database-url sqlite:signer.db --node-id shell --rollup 0x… --address 0x… "
                        "--duty-type ATTESTATION --slot 100 --message-hash 0x…"}},
          .settings = signing_settings(),
          .define = define_check};
}

}  // namespace hasigner::cli
