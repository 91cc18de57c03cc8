#pragma once

#include <string>
#include <string_view>

namespace hasigner::service {

/// `2026-01-31 12:00:00.000000` of the tables as `2026-01-31T12:00:00.000000Z`; other text as it is.
[[nodiscard]] std::string iso_time(std::string_view table_time);

}  // namespace hasigner::service
