#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace hasigner {

/// A time of the tables: UTC, to the microsecond, like a PostgreSQL timestamp.
using UtcTime = std::chrono::sys_time<std::chrono::microseconds>;

/// `YYYY-MM-DD HH:MM:SS.ffffff`, always that long, so that the order of the texts is the order of the times.
[[nodiscard]] std::string utc_text(UtcTime time);

/// Reads `YYYY-MM-DD HH:MM:SS` with up to six digits of fraction, as either store writes it.
[[nodiscard]] std::optional<UtcTime> parse_utc_text(std::string_view text);

/// `2026-01-31 12:00:00.000000` of the tables as `2026-01-31T12:00:00.000000Z`; other text as it is.
[[nodiscard]] std::string iso_time(std::string_view table_time);
/// The way back. Empty: the text is not of that form.
[[nodiscard]] std::string table_time(std::string_view iso_time);

}  // namespace hasigner
