#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hasigner/cli/command.hpp"
#include "hasigner/duty/duty.hpp"
#include "hasigner/factory/ha_node.hpp"

namespace hasigner::cli {

/// What `sign` and `check` are told about the duty, as it was typed.
struct DutyOptions {
  std::string duty_type;
  std::string slot;
  std::optional<std::string> block_number;
  std::optional<std::string> checkpoint_number;
  std::optional<std::string> block_index;
  std::string message_hash;
  bool json = false;
};

void add_duty_options(CLI::App& app, DutyOptions& options);

/// The settings that `sign` and `check` take.
[[nodiscard]] std::vector<SettingId> signing_settings();

/// The duty to sign, checked as far as that is possible without any store.
///
/// Errors: CommandError naming the option, its value and what is allowed.
struct DutyToSign {
  SigningContext context;
  MessageHash message_hash;
};
[[nodiscard]] DutyToSign duty_to_sign(const DutyOptions& options);

/// An address that was typed; a letter case against its checksum (EIP-55) is only worth a warning on standard error.
[[nodiscard]] EthAddress address_option(std::string_view option, const std::string& text, Console& console);

/// How the settings say the store is to be reached. Errors: CommandError when the database URL is missing.
[[nodiscard]] StoreSettings store_settings(const Settings& settings);

/// Everything that a signer is made from. Errors: CommandError.
[[nodiscard]] HaSignerConfig ha_signer_config(const Settings& settings);

}  // namespace hasigner::cli
