#include "hasigner/crypto/uint256.hpp"

#include <gtest/gtest.h>

#include "hasigner/duty/bytes.hpp"

namespace hasigner {
namespace {

std::string hex_of(std::string_view text, IntegerRange range) {
  const auto word = parse_integer(text, range);
  return word ? to_hex(*word) : "refused";
}

const std::string kZero(64, '0');
const std::string kOnes(64, 'f');
const std::string kMaxDecimal = "115792089237316195423570985008687907853269984665640564039457584007913129639935";

TEST(Integer, reads_decimal_and_hex) {
  EXPECT_EQ(hex_of("0", {}), kZero);
  EXPECT_EQ(hex_of("258", {}), std::string(60, '0') + "0102");
  EXPECT_EQ(hex_of("0x0102", {}), std::string(60, '0') + "0102");
  EXPECT_EQ(hex_of(kMaxDecimal, {}), kOnes);
  EXPECT_EQ(hex_of("0x" + kOnes, {}), kOnes);
}

TEST(Integer, writes_negative_numbers_in_twos_complement) {
  EXPECT_EQ(hex_of("-1", {8, true}), kOnes);
  EXPECT_EQ(hex_of("-128", {8, true}), std::string(62, 'f') + "80");
  EXPECT_EQ(hex_of("-0", {8, true}), kZero);
  EXPECT_EQ(hex_of("-0", {8, false}), kZero);
}

TEST(Integer, refuses_what_the_type_does_not_hold) {
  for (const char* text : {"256", "-1", "0x100"}) EXPECT_EQ(hex_of(text, {8, false}), "refused") << text;
  for (const char* text : {"128", "-129", "0xff"}) EXPECT_EQ(hex_of(text, {8, true}), "refused") << text;
  EXPECT_EQ(hex_of(kMaxDecimal, {256, true}), "refused");
  EXPECT_EQ(hex_of("115792089237316195423570985008687907853269984665640564039457584007913129639936", {}), "refused");
  EXPECT_EQ(hex_of("0x1" + kZero, {}), "refused");
}

TEST(Integer, refuses_what_is_not_a_whole_number) {
  for (const char* text : {"", "-", "0x", "-0x1", "0x-1", "+1", " 1", "1 ", "1.0", "1e3", "0xg", "1f", "--1"}) {
    EXPECT_EQ(hex_of(text, {256, true}), "refused") << text;
  }
}

TEST(Integer, is_written_in_decimal_again) {
  EXPECT_EQ(to_decimal(*parse_integer("0", {})), "0");
  EXPECT_EQ(to_decimal(*parse_integer("0x10", {})), "16");
  EXPECT_EQ(to_decimal(*parse_integer(kMaxDecimal, {})), kMaxDecimal);
}

}  // namespace
}  // namespace hasigner
