#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace hasigner {

/// Takes the first character off `text`. Nothing, and `text` unchanged: it is empty or does not begin with one.
///
/// Source: the Unicode Standard, table 3-7 (well-formed UTF-8 byte sequences).
[[nodiscard]] std::optional<char32_t> take_character(std::string_view& text);

/// Whether the character is white space: of JavaScript's `trim()`, which Aztec's reader of keystores calls.
[[nodiscard]] constexpr bool is_white_space(char32_t character) {
  return (character >= 0x09 && character <= 0x0d) || character == 0x20 || character == 0xa0 || character == 0x1680 ||
         (character >= 0x2000 && character <= 0x200a) || character == 0x2028 || character == 0x2029 ||
         character == 0x202f || character == 0x205f || character == 0x3000 || character == 0xfeff;
}

/// The text without white space at its edges: the one rule for settings, secrets and mnemonics, which files and shells
/// like to end with a line break. A password is not one of them: its spaces count.
[[nodiscard]] std::string_view trimmed(std::string_view text);

/// A URL without the white space that its readers leave out: at its edges, tabs and line breaks anywhere.
///
/// Source: WHATWG URL, 4.4.
[[nodiscard]] std::string url_without_white_space(std::string_view text);

/// Whether the character is not seen but changes how others are: it turns the direction of text, joins or separates
/// without a width, or is a tag. Two texts may differ in these alone, or be shown in another order than they have.
///
/// Source: the Unicode Standard, 23.2 (layout controls), 23.7, 23.8; the general category Cf, and U+2028 and U+2029.
[[nodiscard]] constexpr bool is_format(char32_t character) {
  return character == 0xad || (character >= 0x600 && character <= 0x605) || character == 0x61c || character == 0x6dd ||
         character == 0x70f || (character >= 0x890 && character <= 0x891) || character == 0x8e2 ||
         character == 0x180e || (character >= 0x200b && character <= 0x200f) ||
         (character >= 0x2028 && character <= 0x202e) || (character >= 0x2060 && character <= 0x206f) ||
         character == 0xfeff || (character >= 0xfff9 && character <= 0xfffb) || character == 0x110bd ||
         character == 0x110cd || (character >= 0x13430 && character <= 0x1343f) ||
         (character >= 0x1bca0 && character <= 0x1bca3) || (character >= 0x1d173 && character <= 0x1d17a) ||
         (character >= 0xe0000 && character <= 0xe007f);
}

/// Whether a terminal may act on the character instead of showing it: the sets C0 and C1, and DEL.
[[nodiscard]] constexpr bool is_control(char32_t character) {
  return character < 0x20 || (character >= 0x7f && character < 0xa0);
}

}  // namespace hasigner
