#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "hasigner/crypto/secret_pages.hpp"
#include "hasigner/duty/invalid_input.hpp"

namespace hasigner {

/// A secp256k1 private key on a memory page that holds only keys.
///
/// Core dumps do not contain the page, and it is not swapped where the memory-lock limit allows that (see
/// SecretPages::count()). The key is wiped before its cell is given back. The type cannot be copied or printed, and no
/// error shows any part of the key.
/// Ownership: a moved-from key may only be destroyed or assigned to.
class SecretKey {
 public:
  static constexpr std::size_t kSize = 32;

  /// Reads `0x` and 64 hex digits in either letter case.
  ///
  /// Errors: InvalidInput naming `field` and never the text: wrong length or alphabet, 0, or not below the group order.
  /// The caller still owns, and should wipe, the text.
  [[nodiscard]] static Parsed<SecretKey> parse(std::string_view text, std::string_view field = "private key");

  /// As parse(), from the big-endian bytes.
  [[nodiscard]] static Parsed<SecretKey> from_bytes(std::span<const std::uint8_t, kSize> bytes,
                                                    std::string_view field = "private key");

  /// The key itself, for the one call that signs with it. The caller must not keep it.
  [[nodiscard]] std::span<const std::uint8_t, kSize> expose() const;

  /// Takes the same time for any two keys.
  friend bool operator==(const SecretKey& a, const SecretKey& b);

  template <class Stream>
  friend Stream& operator<<(Stream&, const SecretKey&) = delete;

 private:
  using Cell = SecretPages::Cell;

  explicit SecretKey(Cell cell) : cell_(std::move(cell)) {}
  static Parsed<SecretKey> checked(Cell cell, std::string_view field);

  Cell cell_;
};

}  // namespace hasigner
