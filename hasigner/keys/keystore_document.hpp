#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/crypto/secret_text.hpp"
#include "hasigner/duty/bytes.hpp"

namespace hasigner::keys {

struct FeeRecipientTag {
  static constexpr std::string_view kName = "fee recipient";
};
/// An Aztec address.
using FeeRecipient = FixedBytes<FeeRecipientTag, 32>;

/// The URL of a remote signer, and the certificate that it asks of clients.
struct RemoteSigner {
  std::string url;                                  ///< `http://` or `https://`; may hold a password
  std::optional<std::string> cert_path;             ///< PEM or PKCS#12 file: the client's certificate and key
  std::shared_ptr<const SecretText> cert_password;  ///< null when there is none

  /// The URL without user and password, query and fragment.
  [[nodiscard]] std::string shown_url() const;

  /// Equal when URL and certificate are.
  friend bool operator==(const RemoteSigner& a, const RemoteSigner& b);
};

/// A key at a remote signer.
struct RemoteKey {
  EthAddress address;
  std::optional<RemoteSigner> remote_signer;  ///< nullopt: use the remote signer of the validator, or of the file
};

/// An encrypted JSON V3 file, or a directory of such.
struct EncryptedKeys {
  std::string path;
  std::shared_ptr<const SecretText> password;  ///< null when there is none
};

/// One account as a keystore file has it. Encrypted key files are not opened yet.
struct Account {
  std::string json_path;  ///< for errors and listings: `keys.json validators[0].attester`
  std::variant<SecretKey, RemoteKey, EncryptedKeys> source;
};

/// Keys that derive from a mnemonic: accounts outside, addresses inside.
struct MnemonicKeys {
  std::string json_path;
  SecretText mnemonic;
  std::uint32_t first_account = 0;
  std::uint32_t account_count = 1;
  std::uint32_t first_address = 0;
  std::uint32_t address_count = 1;

  /// How many keys one mnemonic may stand for.
  static constexpr std::uint64_t kMaxKeys = 10'000;
};

using Accounts = std::variant<std::vector<Account>, MnemonicKeys>;

/// What the entries of `validators` and the top level of a file of version 2 have in common.
struct Roles {
  std::optional<EthAddress> coinbase;
  std::shared_ptr<const Accounts> publishers;  ///< null when not given
  std::optional<FeeRecipient> fee_recipient;
};

/// One entry of `validators`.
struct ValidatorEntry {
  std::string json_path;
  Accounts attesters;
  Roles roles;
  std::optional<RemoteSigner> remote_signer;
};

/// An Aztec keystore file, checked as far as possible without opening another file.
///
/// What its top level says is not in its validators: other files have a say in it.
struct KeystoreDocument {
  std::string file;
  int version = 1;
  std::vector<ValidatorEntry> validators;
  Roles defaults;  ///< of version 2
  std::optional<RemoteSigner> remote_signer;
  bool has_prover = false;
  bool holds_secrets = false;  ///< keys, mnemonics, passwords, or a URL that may contain one
  /// Sentences for a person: what Aztec's node refuses although it is unambiguous, and what is probably a mistake.
  std::vector<std::string> doubts;
};

/// Reads an Aztec keystore of version 1 or 2, in all its forms.
///
/// Accepts what Aztec's node accepts: `null` is an absent field. Every object is strict: an unknown field is refused by
/// its name.
/// Errors: InvalidInput naming the file and the JSON path, as in `keys.json validators[0].attester`. The error does not
/// show a secret.
[[nodiscard]] Parsed<KeystoreDocument> parse_keystore(std::string_view json, std::string_view file);

}  // namespace hasigner::keys
