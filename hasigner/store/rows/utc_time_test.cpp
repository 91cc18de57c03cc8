#include "hasigner/store/rows/utc_time.hpp"

#include <gtest/gtest.h>

namespace hasigner {
namespace {

using namespace std::chrono_literals;

// Expected texts: `date -u -d @SECONDS '+%F %T'`.
TEST(utc_time, writes_every_time_with_six_digits_of_fraction) {
  EXPECT_EQ(utc_text(UtcTime(0us)), "1970-01-01 00:00:00.000000");
  EXPECT_EQ(utc_text(UtcTime(1709210096s + 7us)), "2024-02-29 12:34:56.000007");
}

TEST(utc_time, reads_what_either_store_writes) {
  EXPECT_EQ(parse_utc_text("2024-02-29 12:34:56.000007"), UtcTime(1709210096s + 7us));
  EXPECT_EQ(parse_utc_text("2024-02-29 12:34:56.5"), UtcTime(1709210096s + 500ms));
  EXPECT_EQ(parse_utc_text("2024-02-29 12:34:56"), UtcTime(1709210096s));
}

TEST(utc_time, refuses_what_is_not_a_time) {
  for (const char* text :
       {"", "infinity", "2024-02-30 12:34:56", "2024-02-29T12:34:56", "2024-02-29 24:00:00", "2024-02-29 12:34:56.",
        "2024-02-29 12:34:56.1234567", "2024-02-29 12:34:5x", "2024-13-01 00:00:00", "2024-02-29 12:34:56+00"}) {
    EXPECT_EQ(parse_utc_text(text), std::nullopt) << text;
  }
}

TEST(utc_time, is_written_as_iso_8601_and_read_back) {
  EXPECT_EQ(iso_time("2024-02-29 12:34:56.000007"), "2024-02-29T12:34:56.000007Z");
  EXPECT_EQ(table_time("2024-02-29T12:34:56.000007Z"), "2024-02-29 12:34:56.000007");
  EXPECT_EQ(iso_time("infinity"), "infinity");
  EXPECT_EQ(table_time("2024-02-29 12:34:56"), "");
  EXPECT_EQ(table_time("2024-02-30T12:34:56Z"), "");
}

}  // namespace
}  // namespace hasigner
