#include "hasigner/duty/lock_token.hpp"

#include <algorithm>

namespace hasigner {

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
