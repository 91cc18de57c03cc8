#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "hasigner/duty/invalid_input.hpp"

namespace hasigner {

/// A secp256k1 private key on a memory page of its own.
///
/// The page is left out of core dumps, kept out of swap where the memory-lock limit allows it, and wiped before it is
/// given back. The type cannot be copied or printed, and no error shows any part of the key.
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

  /// The key itself, for the one call that signs with it; not to be kept.
  [[nodiscard]] std::span<const std::uint8_t, kSize> expose() const;

  /// Takes the same time wherever the keys differ.
  friend bool operator==(const SecretKey& a, const SecretKey& b);

  template <class Stream>
  friend Stream& operator<<(Stream&, const SecretKey&) = delete;

 private:
  struct WipeAndUnmap {
    void operator()(std::uint8_t* page) const;
  };
  using Page = std::unique_ptr<std::uint8_t, WipeAndUnmap>;

  explicit SecretKey(Page page) : page_(std::move(page)) {}
  static Page map_page();
  static Parsed<SecretKey> checked(Page page, std::string_view field);

  Page page_;
};

}  // namespace hasigner
