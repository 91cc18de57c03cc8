#include "hasigner/store/rows/utc_time.hpp"

#include <cstdio>

namespace hasigner {
namespace {

constexpr std::size_t kDateEnd = 10;

/// Reads exactly `count` digits at `at`; -1 when they are not digits.
int digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (i >= text.size() || text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

}  // namespace

std::string utc_text(UtcTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  char text[64];
  std::snprintf(text, sizeof(text), "%04d-%02u-%02u %02d:%02d:%02d.%06d", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return text;
}

std::optional<UtcTime> parse_utc_text(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00 00:00:00";
  if (text.size() < kShape.size() || text.size() > kShape.size() + 7) return std::nullopt;
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    if (kShape[i] != '0' && text[i] != kShape[i]) return std::nullopt;
  }
  const int year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  const int hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (year < 0 || hour < 0 || minute < 0 || second < 0 || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (month < 0 || day < 0 || !date.ok()) return std::nullopt;

  int micros = 0;
  if (text.size() > kShape.size()) {
    const std::size_t count = text.size() - kShape.size() - 1;
    micros = digits(text, kShape.size() + 1, count);
    if (text[kShape.size()] != '.' || count == 0 || micros < 0) return std::nullopt;
    for (std::size_t i = count; i < 6; ++i) micros *= 10;
  }
  return UtcTime(std::chrono::sys_days(date)) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second) + std::chrono::microseconds(micros);
}

std::string iso_time(std::string_view table_time) {
  std::string text(table_time);
  if (!parse_utc_text(table_time)) return text;
  text[kDateEnd] = 'T';
  return text + 'Z';
}

std::string table_time(std::string_view iso_time) {
  if (iso_time.size() <= kDateEnd || iso_time[kDateEnd] != 'T' || !iso_time.ends_with('Z')) return "";
  std::string text(iso_time.substr(0, iso_time.size() - 1));
  text[kDateEnd] = ' ';
  return parse_utc_text(text) ? text : "";
}

}  // namespace hasigner
