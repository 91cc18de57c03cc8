#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/crypto/secret_text.hpp"

namespace hasigner::keys {

/// The path of a key of a mnemonic: `m/44'/60'/{account}'/0/{address}`.
struct DerivationPath {
  std::uint32_t account = 0;
  std::uint32_t address = 0;

  /// Below 2^31: above begins what BIP-32 calls hardened.
  static constexpr std::uint32_t kMax = 0x7fff'ffff;
  [[nodiscard]] std::string to_string() const;
};

/// The seed of a mnemonic without passphrase.
///
/// Errors: InvalidInput naming `field`: the number of words is not 12, 15, 18, 21 or 24, they are not separated by
/// single spaces, or they contain other characters than small English letters. The error does not show the words.
/// Source: BIP-39. As in viem, the checksum is not checked, so that every mnemonic that works there works here;
/// doubt_about() checks it.
[[nodiscard]] Parsed<SecretBytes> seed_of(const SecretText& mnemonic, std::string_view field);

/// Why a mnemonic that seed_of() accepts is probably mistyped: a word is not in BIP-39's English list, or the checksum
/// does not fit. Returns nullopt for a mnemonic of BIP-39. The text does not show the words.
[[nodiscard]] std::optional<std::string> doubt_about(const SecretText& mnemonic);

/// Derives a key from a seed.
///
/// Errors: InvalidInput naming `field` for an index above DerivationPath::kMax, or the key that BIP-32 leaves out (one
/// in 2^127).
/// Source: BIP-32, BIP-44.
[[nodiscard]] Parsed<SecretKey> derive_key(const SecretBytes& seed, DerivationPath path, std::string_view field);

}  // namespace hasigner::keys
