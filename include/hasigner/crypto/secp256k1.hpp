#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "hasigner/duty/bytes.hpp"
#include "hasigner/duty/invalid_input.hpp"

namespace hasigner {

/// A secp256k1 private key on a memory page that holds only keys.
///
/// Core dumps do not contain the page, and it is not swapped where the memory-lock limit allows that. The key is wiped
/// before its cell is given back. The type cannot be copied or printed, and no error shows any part of the key.
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
  using Cell = std::unique_ptr<std::uint8_t, std::function<void(std::uint8_t*)>>;  ///< of SecretPages

  explicit SecretKey(Cell cell) : cell_(std::move(cell)) {}
  static Parsed<SecretKey> checked(Cell cell, std::string_view field);

  Cell cell_;
};

struct PublicKeyTag {
  static constexpr std::string_view kName = "public key";
};
/// The point's coordinates x and y, big-endian: SEC 1's uncompressed form without its leading 04.
using PublicKey = FixedBytes<PublicKeyTag, 64>;

[[nodiscard]] PublicKey public_key_of(const SecretKey& key);

/// The last 20 bytes of the key's keccak-256.
///
/// Source: the Ethereum yellow paper, appendix F.
[[nodiscard]] EthAddress address_of(const PublicKey& key);
[[nodiscard]] EthAddress address_of(const SecretKey& key);

/// The key plus a number, modulo the group order. Returns nullopt when the sum is 0, or the number is not below the
/// group order.
///
/// Source: BIP-32's derivation of private keys.
[[nodiscard]] std::optional<SecretKey> add_to_key(const SecretKey& key,
                                                  std::span<const std::uint8_t, SecretKey::kSize> number);

/// Signs a hash; equal arguments give equal signatures, with low s and v = 27 or 28.
///
/// Thread safety: any number of threads, with one key too.
/// Source: RFC 6979 for the nonce, EIP-2 for the low s.
[[nodiscard]] Signature sign(const SecretKey& key, const MessageHash& hash);

/// The signature in the form in which sign() makes it: v of 0 or 1 becomes 27 or 28, and a high s the low s of its
/// twin, which recovers to the same address. What is not a signature comes back as it is.
///
/// Source: EIP-2.
[[nodiscard]] Signature normalized(const Signature& signature);

/// The address whose key made the signature.
///
/// Returns nullopt for a signature that sign() could not have made: v other than 27 or 28, r or s outside the group,
/// high s (EIP-2: every signature would have a twin that recovers to the same address), a point that is not on the
/// curve. Thread safety: any number of threads.
[[nodiscard]] std::optional<EthAddress> recover(const MessageHash& hash, const Signature& signature);

}  // namespace hasigner
