#include "hasigner/duty/utf8.hpp"

namespace hasigner {

namespace {

/// The bytes of a character that begins with this one; 0 where none does.
std::size_t length_of(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) return 2;
  if (lead >= 0xe0 && lead < 0xf0) return 3;
  if (lead >= 0xf0 && lead < 0xf5) return 4;
  return 0;
}

/// Whether a character of this length may stand for the code: neither overlong, nor a surrogate, nor out of range.
bool is_well_formed(char32_t code, std::size_t length) {
  if (length == 3) return code >= 0x800 && (code < 0xd800 || code > 0xdfff);
  if (length == 4) return code >= 0x10000 && code <= 0x10ffff;
  return true;
}

}  // namespace

std::optional<char32_t> take_character(std::string_view& text) {
  if (text.empty()) return std::nullopt;
  const auto lead = static_cast<unsigned char>(text.front());
  const std::size_t length = length_of(lead);
  if (length == 0 || length > text.size()) return std::nullopt;
  char32_t code = length == 1 ? lead : lead & (0xffU >> (length + 1));
  for (const char next : text.substr(1, length - 1)) {
    if ((static_cast<unsigned char>(next) & 0xc0) != 0x80) return std::nullopt;
    code = code << 6 | (static_cast<unsigned char>(next) & 0x3f);
  }
  if (!is_well_formed(code, length)) return std::nullopt;
  text.remove_prefix(length);
  return code;
}

std::string_view trimmed(std::string_view text) {
  const auto begins_with_space = [](std::string_view rest) {
    const auto character = take_character(rest);
    return character && is_white_space(*character);
  };
  const auto first_byte_of_last = [](std::string_view rest) {
    std::size_t at = rest.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(rest[at]) & 0xc0) == 0x80) --at;
    return at;
  };
  while (begins_with_space(text)) static_cast<void>(take_character(text));
  while (!text.empty() && begins_with_space(text.substr(first_byte_of_last(text)))) {
    text = text.substr(0, first_byte_of_last(text));
  }
  return text;
}

std::string url_without_white_space(std::string_view text) {
  std::string url(trimmed(text));
  std::erase_if(url, [](char c) { return c == '\t' || c == '\r' || c == '\n'; });
  return url;
}

}  // namespace hasigner
