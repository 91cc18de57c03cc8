#pragma once

#include <optional>
#include <span>

#include "hasigner/crypto/secret_key.hpp"
#include "hasigner/duty/bytes.hpp"

namespace hasigner {

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

/// The address whose key made the signature.
///
/// Returns nullopt for a signature that sign() could not have made: v other than 27 or 28, r or s outside the group,
/// high s (EIP-2: every signature would have a twin that recovers to the same address), a point that is not on the
/// curve. Thread safety: any number of threads.
[[nodiscard]] std::optional<EthAddress> recover(const MessageHash& hash, const Signature& signature);

}  // namespace hasigner
