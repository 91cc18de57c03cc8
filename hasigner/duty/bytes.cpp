#include "hasigner/duty/bytes.hpp"

#include <algorithm>

#include "hasigner/duty/utf8.hpp"

namespace hasigner {

namespace {

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void append_hex(std::string& text, std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  auto position = text.size();
  text.resize(position + 2 * bytes.size());
  for (const auto byte : bytes) {
    text[position++] = kDigits[byte >> 4];
    text[position++] = kDigits[byte & 0xf];
  }
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  std::string hex;
  append_hex(hex, bytes);
  return hex;
}

bool from_hex(std::string_view hex, std::span<std::uint8_t> out) {
  if (hex.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = digit(hex[2 * i]);
    const int low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

std::string without_keys(std::string_view text) {
  constexpr std::size_t kDigitsOfKey = 64;
  std::string shown;
  while (!text.empty()) {
    const auto is_other = [](char c) { return digit(c) < 0; };
    const auto digits = static_cast<std::size_t>(std::ranges::find_if(text, is_other) - text.begin());
    const auto piece = std::max<std::size_t>(digits, 1);
    shown += digits >= kDigitsOfKey ? std::string_view("(not shown)") : text.substr(0, piece);
    text.remove_prefix(piece);
  }
  return shown;
}

std::string InvalidInput::message() const {
  return field + " is '" + value + "', but must be " + allowed;
}

namespace {

/// `\u{202e}`.
std::string escaped(char32_t character) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string digits;
  for (auto rest = static_cast<std::uint32_t>(character); rest != 0; rest >>= 4)
    digits.insert(0, 1, kDigits[rest & 0xf]);
  return "\\u{" + digits + "}";
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_length) {
  std::string shown;
  while (!text.empty()) {
    const std::string_view before = text;
    const auto character = take_character(text);
    if (!character) text.remove_prefix(1);
    const bool shows = character && !is_control(*character);
    std::string piece(shows ? before.substr(0, before.size() - text.size()) : "?");
    if (shows && is_format(*character)) piece = escaped(*character);
    if (shown.size() + piece.size() > max_length) return shown + "...";
    shown += piece;
  }
  return shown;
}

}  // namespace hasigner
