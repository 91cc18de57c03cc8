#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "hasigner/duty/invalid_input.hpp"

namespace hasigner {

/// Writes bytes as lower-case hex, without a prefix.
[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);
/// As to_hex(), at the end of `text`.
void append_hex(std::string& text, std::span<const std::uint8_t> bytes);

/// Reads exactly `out.size()` bytes of hex in either letter case, without a prefix. False: the text is something else.
[[nodiscard]] bool from_hex(std::string_view hex, std::span<std::uint8_t> out);

/// The text with `(not shown)` for each run of 64 and more hex digits, which may be a key or a token in a wrong place.
[[nodiscard]] std::string without_keys(std::string_view text);

/// N bytes that are overwritten when they are destroyed or moved away.
template <std::size_t N>
struct WipedBytes : std::array<std::uint8_t, N> {
  constexpr WipedBytes() : std::array<std::uint8_t, N>{} {}
  constexpr explicit WipedBytes(const std::array<std::uint8_t, N>& bytes) : std::array<std::uint8_t, N>(bytes) {}
  constexpr WipedBytes(const WipedBytes&) = default;
  constexpr WipedBytes& operator=(const WipedBytes&) = default;
  constexpr WipedBytes(WipedBytes&& other) noexcept : std::array<std::uint8_t, N>(other) { other.wipe(); }
  constexpr WipedBytes& operator=(WipedBytes&& other) noexcept {
    if (this == &other) return *this;
    *this = std::as_const(other);
    other.wipe();
    return *this;
  }
  constexpr ~WipedBytes() { wipe(); }

  friend constexpr auto operator<=>(const WipedBytes&, const WipedBytes&) = default;

 private:
  constexpr void wipe() noexcept {
    this->fill(0);
    // The optimiser must not know that the bytes are read no more, so that it writes the zeros.
    if
      !consteval {
        asm volatile("" : : "r"(this->data()) : "memory");
      }
  }
};

/// A value of N bytes that is not mixed up with other values of N bytes; written as `0x` and lower-case hex. The bytes
/// of a tag that has a kIsWiped are WipedBytes.
template <class Tag, std::size_t N>
class FixedBytes {
 public:
  static constexpr std::size_t kSize = N;

  constexpr FixedBytes() = default;
  constexpr explicit FixedBytes(const std::array<std::uint8_t, N>& bytes) : bytes_(bytes) {}

  /// Reads `0x` and 2N hex digits in either letter case. Errors: InvalidInput naming `field`.
  [[nodiscard]] static Parsed<FixedBytes> parse(std::string_view text, std::string_view field = Tag::kName) {
    if (auto value = try_parse(text)) return *value;
    return std::unexpected(
        InvalidInput{std::string(field), printable(text), "0x and " + std::to_string(2 * N) + " hexadecimal digits"});
  }

  /// As parse(), for text of which no one needs to hear why it is not one.
  [[nodiscard]] static std::optional<FixedBytes> try_parse(std::string_view text) {
    FixedBytes value;
    if (text.size() != 2 + 2 * N || text[0] != '0' || (text[1] != 'x' && text[1] != 'X')) return std::nullopt;
    if (!from_hex(text.substr(2), value.bytes_)) return std::nullopt;
    return value;
  }

  [[nodiscard]] std::string to_string() const {
    std::string text;
    text.reserve(2 + 2 * N);
    append_to(text);
    return text;
  }
  /// What to_string() gives, at the end of `text`.
  void append_to(std::string& text) const {
    text += "0x";
    append_hex(text, bytes_);
  }
  [[nodiscard]] constexpr const std::array<std::uint8_t, N>& bytes() const { return bytes_; }
  [[nodiscard]] constexpr std::array<std::uint8_t, N>& bytes() { return bytes_; }

  friend constexpr auto operator<=>(const FixedBytes&, const FixedBytes&) = default;

 private:
  using Kept = std::conditional_t < requires { Tag::kIsWiped; }
  , WipedBytes<N>, std::array < std::uint8_t, N >> ;
  Kept bytes_{};
};

/// Hashes any value made of random-looking bytes.
template <class Bytes>
struct BytesHash {
  std::size_t operator()(const Bytes& value) const {
    std::size_t hash = 0;
    std::memcpy(&hash, value.bytes().data() + (Bytes::kSize - sizeof(hash)), sizeof(hash));
    return hash;
  }
};

struct EthAddressTag {
  static constexpr std::string_view kName = "address";
};
struct MessageHashTag {
  static constexpr std::string_view kName = "message hash";
};
struct SignatureTag {
  static constexpr bool kIsWiped = true;
  static constexpr std::string_view kName = "signature";
};

/// An Ethereum address: of the rollup contract or of a validator (its attester key).
using EthAddress = FixedBytes<EthAddressTag, 20>;
/// The 32 bytes that are signed; for EIP-712 data its digest.
using MessageHash = FixedBytes<MessageHashTag, 32>;
/// r (32 bytes), s (32 bytes), v (27 or 28). Wiped when it is destroyed or moved away: one that must not get out leaves
/// no copy behind.
using Signature = FixedBytes<SignatureTag, 65>;

}  // namespace hasigner
