#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hasigner {

/// A whole number as 32 bytes, big-endian; a negative one in two's complement.
using Word = std::array<std::uint8_t, 32>;

/// Which whole numbers a type holds.
struct IntegerRange {
  unsigned bits = 256;
  bool is_signed = false;
};

/// Reads `-` (where the type is signed) and decimal digits, or `0x` and hex digits.
///
/// Returns nullopt for other text, and for a number outside the range.
[[nodiscard]] std::optional<Word> parse_integer(std::string_view text, IntegerRange range);

/// The decimal digits of a number that is not negative.
[[nodiscard]] std::string to_decimal(Word number);

}  // namespace hasigner
