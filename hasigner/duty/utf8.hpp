#pragma once

#include <optional>
#include <string_view>

namespace hasigner {

/// Takes the first character off `text`. Nothing, and `text` unchanged: it is empty or does not begin with one.
///
/// Source: the Unicode Standard, table 3-7 (well-formed UTF-8 byte sequences).
[[nodiscard]] std::optional<char32_t> take_character(std::string_view& text);

/// Whether a terminal may act on the character instead of showing it: the sets C0 and C1, and DEL.
[[nodiscard]] constexpr bool is_control(char32_t character) {
  return character < 0x20 || (character >= 0x7f && character < 0xa0);
}

}  // namespace hasigner
