#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hasigner/cli/command.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/duty/duty.hpp"

namespace hasigner::cli {

/// The options of `sign` and `check` about the duty, as they were typed.
struct DutyOptions {
  std::string duty_type;
  std::string slot;
  std::optional<std::string> block_number;
  std::optional<std::string> checkpoint_number;
  std::optional<std::string> block_index;
  std::string message_hash;
  Output output = Output::kText;
};

void add_duty_options(CLI::App& app, DutyOptions& options);

/// The settings that `sign` and `check` take.
[[nodiscard]] std::vector<SettingId> signing_settings();

/// The duty to sign, checked as far as that is possible without a store.
///
/// Errors: CommandError naming the option, its value and what is allowed.
struct DutyToSign {
  SigningContext context;
  MessageHash message_hash;
};
[[nodiscard]] DutyToSign duty_to_sign(const DutyOptions& options);

/// An address that was typed; a letter case against its checksum (EIP-55) is only worth a warning on standard error.
[[nodiscard]] EthAddress address_option(std::string_view option, const std::string& text, Console& console);

}  // namespace hasigner::cli
