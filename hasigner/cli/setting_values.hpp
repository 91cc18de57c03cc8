#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/cli/setting_definitions.hpp"
#include "hasigner/duty/duty.hpp"

namespace hasigner::cli {

/// Returns nullopt when the text is not a whole number of 64 bits.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);

/// Duty types, comma-separated.
[[nodiscard]] Parsed<std::vector<DutyType>> parse_duty_types(std::string_view text);

/// Addresses, comma-separated.
[[nodiscard]] Parsed<std::vector<EthAddress>> parse_addresses(std::string_view text);

/// The value in the form in which it is kept, or what would have been allowed.
[[nodiscard]] std::expected<std::string, std::string> canonical_value(const SettingDefinition& definition,
                                                                      const std::string& text);

/// For people and logs: without passwords and control characters.
[[nodiscard]] std::string shown_value(SettingKind kind, const std::string& text);

}  // namespace hasigner::cli
