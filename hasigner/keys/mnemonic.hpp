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

/// The seed of a mnemonic without passphrase. White space round the mnemonic is not part of it.
///
/// Errors: InvalidInput naming `field`: the number of words, which single spaces separate, is not 12, 15, 18, 21 or 24.
/// The error does not show the words.
/// Source: BIP-39. As in viem, neither words nor checksum are checked, so that every mnemonic that works there works
/// here and gives the same keys; doubt_about() checks them.
[[nodiscard]] Parsed<SecretBytes> seed_of(const SecretText& mnemonic, std::string_view field);

/// Why a mnemonic that seed_of() accepts is probably mistyped: a word is not in BIP-39's English list, or the checksum
/// does not fit. Returns nullopt for a mnemonic of BIP-39. The text does not show the words.
[[nodiscard]] std::optional<std::string> doubt_about(const SecretText& mnemonic);

/// The mnemonic with one space between its words, for a file that has them on several lines or in columns.
[[nodiscard]] SecretText with_single_spaces(const SecretText& mnemonic);

/// Derives a key from a seed.
///
/// Errors: InvalidInput naming `field` for an index above DerivationPath::kMax, or the key that BIP-32 leaves out (one
/// in 2^127).
/// Source: BIP-32, BIP-44.
[[nodiscard]] Parsed<SecretKey> derive_key(const SecretBytes& seed, DerivationPath path, std::string_view field);

}  // namespace hasigner::keys
