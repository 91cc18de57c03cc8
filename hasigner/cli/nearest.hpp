#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hasigner::cli {

/// Of the known words the one that was probably meant; nothing when none is near enough to be worth suggesting.
[[nodiscard]] std::optional<std::string> nearest(std::string_view typed, std::span<const std::string> known);

/// ` (did you mean X?)`, or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view typed, std::span<const std::string> known);

}  // namespace hasigner::cli
