#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hasigner::cli {

/// The known word that was probably meant. Returns nullopt when none is near enough.
[[nodiscard]] std::optional<std::string> nearest(std::string_view typed, std::span<const std::string> known);

/// ` (did you mean X?)`, or an empty text.
[[nodiscard]] std::string did_you_mean(std::string_view typed, std::span<const std::string> known);

}  // namespace hasigner::cli
