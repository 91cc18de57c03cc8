#include "hasigner/crypto/uint256.hpp"

#include <algorithm>

namespace hasigner {

namespace {

/// number = number · factor + add. Returns false when the result does not fit.
bool multiply_add(Word& number, unsigned factor, unsigned add) {
  unsigned carry = add;
  for (auto byte = number.rbegin(); byte != number.rend(); ++byte) {
    carry += *byte * factor;
    *byte = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  return carry == 0;
}

/// number = number / 10; gives the remainder.
unsigned divide_by_ten(Word& number) {
  unsigned remainder = 0;
  for (auto& byte : number) {
    const unsigned dividend = remainder << 8 | byte;
    byte = static_cast<std::uint8_t>(dividend / 10);
    remainder = dividend % 10;
  }
  return remainder;
}

std::optional<unsigned> digit(char c, unsigned base) {
  unsigned value = base;
  if (c >= '0' && c <= '9') value = static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') value = static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') value = static_cast<unsigned>(c - 'A') + 10;
  if (value >= base) return std::nullopt;
  return value;
}

std::optional<Word> parse_magnitude(std::string_view digits, unsigned base) {
  if (digits.empty()) return std::nullopt;
  Word number{};
  for (const char c : digits) {
    const auto value = digit(c, base);
    if (!value || !multiply_add(number, base, *value)) return std::nullopt;
  }
  return number;
}

void negate(Word& number) {
  for (auto& byte : number) byte = static_cast<std::uint8_t>(~byte);
  multiply_add(number, 1, 1);
}

/// 2^exponent.
Word power_of_two(unsigned exponent) {
  Word number{};
  number[31 - exponent / 8] = static_cast<std::uint8_t>(1U << exponent % 8);
  return number;
}

bool fits(const Word& magnitude, bool is_negative, IntegerRange range) {
  if (!range.is_signed) return range.bits == 256 || magnitude < power_of_two(range.bits);
  const Word bound = power_of_two(range.bits - 1);
  return is_negative ? magnitude <= bound : magnitude < bound;
}

}  // namespace

std::optional<Word> parse_integer(std::string_view text, IntegerRange range) {
  const bool is_hex = text.starts_with("0x") || text.starts_with("0X");
  const bool is_negative = text.starts_with('-');
  if (is_hex) text.remove_prefix(2);
  if (is_negative) text.remove_prefix(1);
  auto number = parse_magnitude(text, is_hex ? 16 : 10);
  if (!number) return std::nullopt;
  const bool is_below_zero = is_negative && *number != Word{};
  if ((is_below_zero && !range.is_signed) || !fits(*number, is_negative, range)) return std::nullopt;
  if (is_below_zero) negate(*number);
  return number;
}

std::string to_decimal(Word number) {
  std::string digits;
  do {
    digits.push_back(static_cast<char>('0' + divide_by_ten(number)));
  } while (number != Word{});
  std::ranges::reverse(digits);
  return digits;
}

}  // namespace hasigner
