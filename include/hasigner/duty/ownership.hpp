#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hasigner/duty/bytes.hpp"
#include "hasigner/duty/invalid_input.hpp"

namespace hasigner {

/// The stable name of one node, unique in its cluster: 1 to 255 characters of UTF-8 without control characters.
class NodeId {
 public:
  [[nodiscard]] static Parsed<NodeId> parse(std::string_view text, std::string_view field = "node id");
  [[nodiscard]] const std::string& str() const { return text_; }
  friend auto operator<=>(const NodeId&, const NodeId&) = default;

 private:
  explicit NodeId(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

struct IncarnationTag {
  static constexpr std::string_view kName = "incarnation";
};
/// One life of one node process: 8 random bytes, registered with its node id. The store shows 16 hex digits.
using Incarnation = FixedBytes<IncarnationTag, 8>;

/// Written as the tables hold it: 16 lower-case hex digits without prefix.
[[nodiscard]] std::string hex_of(const Incarnation& incarnation);

/// What may be done with a *signing* row; the token says it, so that every node and every statement can see it.
enum class TokenKind : std::uint8_t {
  kFenced = 0,  ///< claimed or replaced by an attempt of ours: may be replaced when its incarnation's lease has run out
  kTakenOver = 1,  ///< taken over with the same data: an earlier holder may still release that data, so never replaced
  kHandedOut = 2,  ///< given to a caller of the step API: belongs to the caller
};

/// Proof that an attempt owns a row, and the fence of its record: text of 1 to 64 characters.
///
/// Ours are 32 lower-case hex digits: the incarnation (16), the kind (2) and random bytes (14). Other programs make
/// others.
class LockToken {
 public:
  LockToken() = default;
  explicit LockToken(std::string text) : text_(std::make_shared<const std::string>(std::move(text))) {}

  [[nodiscard]] static LockToken make(const Incarnation& incarnation, TokenKind kind,
                                      const std::array<std::uint8_t, 7>& random);

  [[nodiscard]] const std::string& str() const { return text_ ? *text_ : kNone; }
  [[nodiscard]] bool empty() const { return str().empty(); }
  /// The incarnation that the token names if it is one of ours. Whether that one is registered, only the store knows.
  [[nodiscard]] std::optional<Incarnation> incarnation() const;
  /// The kind if the token has the shape of ours.
  [[nodiscard]] std::optional<TokenKind> kind() const;

  friend bool operator==(const LockToken& a, const LockToken& b) { return a.str() == b.str(); }
  friend auto operator<=>(const LockToken& a, const LockToken& b) { return a.str() <=> b.str(); }

 private:
  static const std::string kNone;

  std::shared_ptr<const std::string> text_;  ///< shared by copies: an attempt makes a dozen
};

}  // namespace hasigner
