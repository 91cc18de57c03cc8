#include "hasigner/cli/duty_options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <iostream>

#include "hasigner/crypto/ethereum.hpp"

namespace hasigner::cli {

namespace {

/// The option that a field of make_duty() is typed as.
std::string option_of(const std::string& field) {
  if (field == "block index") return "--block-index";
  if (field == "duty type") return "--duty-type";
  return field;
}

template <class T>
std::optional<T> number_option(const std::optional<std::string>& text, std::string_view option) {
  if (!text) return std::nullopt;
  return accepted(T::parse(*text, option));
}

std::optional<std::int64_t> block_index_option(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  std::int64_t index = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), index);
  if (error != std::errc{} || end != text->data() + text->size()) {
    throw CommandError(InvalidInput{"--block-index", printable(*text), "a whole number from 0 to 2147483647"});
  }
  return index;
}

}  // namespace

void add_duty_options(CLI::App& app, DutyOptions& options) {
  app.add_option("--duty-type", options.duty_type, "What is to be signed, for example ATTESTATION")
      ->type_name("DUTY_TYPE")
      ->required();
  app.add_option("--slot", options.slot, "The slot")->type_name("N")->required();
  app.add_option("--block-number", options.block_number, "The block's number, where the type carries one")
      ->type_name("N");
  app.add_option("--checkpoint-number", options.checkpoint_number,
                 "The checkpoint's number, where the type carries one")
      ->type_name("N");
  app.add_option("--block-index", options.block_index,
                 "The block's index within its checkpoint: required for BLOCK_PROPOSAL, to be left out otherwise")
      ->type_name("N");
  app.add_option("--message-hash", options.message_hash, "The 32 bytes to sign: 0x and 64 hexadecimal digits")
      ->type_name("0x...")
      ->required();
  add_json_flag(app, options.output, "Print one JSON object, whatever the outcome");
}

std::vector<SettingId> signing_settings() {
  std::vector<SettingId> settings = signer_settings();
  // One signature from the shell must not delete history.
  std::erase(settings, SettingId::kOldDutiesMaxAgeH);
  return settings;
}

DutyToSign duty_to_sign(const DutyOptions& options) {
  DutyToSign duty;
  auto type = parse_duty_type(options.duty_type);
  if (!type) type.error().field = "--duty-type";
  duty.context.duty_type = accepted(std::move(type));
  duty.context.slot = accepted(Slot::parse(options.slot, "--slot"));
  duty.context.block_number = number_option<BlockNumber>(options.block_number, "--block-number");
  duty.context.checkpoint_number = number_option<CheckpointNumber>(options.checkpoint_number, "--checkpoint-number");
  duty.context.block_index = block_index_option(options.block_index);
  duty.message_hash = accepted(MessageHash::parse(options.message_hash, "--message-hash"));
  if (!is_protected(duty.context.duty_type)) return duty;
  auto made = make_duty(EthAddress{}, EthAddress{}, duty.message_hash, duty.context);
  if (!made) made.error().field = option_of(made.error().field);
  static_cast<void>(accepted(std::move(made)));
  return duty;
}

EthAddress address_option(std::string_view option, const std::string& text, Console& console) {
  const auto address = accepted(EthAddress::parse(text, option));
  if (!checksum_matches(text)) {
    console.err << "note: " << option << " is '" << text
                << "', whose letter case does not match its checksum (EIP-55); check it for a typing error\n";
  }
  return address;
}

}  // namespace hasigner::cli
