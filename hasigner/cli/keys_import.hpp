#pragma once

#include <string>
#include <vector>

#include "hasigner/cli/command.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/crypto/secret_text.hpp"
#include "hasigner/keys/mnemonic.hpp"

namespace hasigner::cli {

/// Which of a mnemonic's keys: `count` neighbours, from `first` on.
struct MnemonicRange {
  keys::DerivationPath first;
  std::uint32_t count = 1;
};

/// The keys that a text stands for: `0x` and 64 hexadecimal digits, or a mnemonic.
///
/// Throws CommandError naming `field`; it shows nothing of the text.
[[nodiscard]] std::vector<SecretKey> keys_in(const SecretText& text, const MnemonicRange& range,
                                             const std::string& field);

/// `ha-signer keys import`
[[nodiscard]] Command keys_import_command();

}  // namespace hasigner::cli
