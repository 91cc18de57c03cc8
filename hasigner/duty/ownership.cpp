#include "hasigner/duty/ownership.hpp"

#include <algorithm>
#include <optional>

#include "hasigner/duty/utf8.hpp"

namespace hasigner {

namespace {

/// The number of characters of valid UTF-8 without control characters; nullopt for any other text.
std::optional<std::size_t> count_characters(std::string_view text) {
  std::size_t count = 0;
  for (; !text.empty(); ++count) {
    const auto character = take_character(text);
    if (!character || is_control(*character)) return std::nullopt;
  }
  return count;
}

}  // namespace

Parsed<NodeId> NodeId::parse(std::string_view text, std::string_view field) {
  const auto characters = count_characters(text);
  if (!characters || *characters < 1 || *characters > 255) {
    return std::unexpected(
        InvalidInput{std::string(field), printable(text), "1 to 255 characters of UTF-8 without control characters"});
  }
  return NodeId(std::string(text));
}

const std::string LockToken::kNone;

std::string hex_of(const Incarnation& incarnation) {
  return to_hex(incarnation.bytes());
}

LockToken LockToken::make(const Incarnation& incarnation, TokenKind kind, const std::array<std::uint8_t, 7>& random) {
  std::array<std::uint8_t, 16> bytes{};
  std::ranges::copy(incarnation.bytes(), bytes.begin());
  bytes[8] = static_cast<std::uint8_t>(kind);
  std::ranges::copy(random, bytes.begin() + 9);
  return LockToken(to_hex(bytes));
}

std::optional<Incarnation> LockToken::incarnation() const {
  Incarnation incarnation;
  if (!kind() || !from_hex(std::string_view(str()).substr(0, 16), incarnation.bytes())) return std::nullopt;
  return incarnation;
}

std::optional<TokenKind> LockToken::kind() const {
  std::array<std::uint8_t, 16> bytes{};
  if (!from_hex(str(), bytes) || bytes[8] > static_cast<std::uint8_t>(TokenKind::kHandedOut)) return std::nullopt;
  return static_cast<TokenKind>(bytes[8]);
}

}  // namespace hasigner
