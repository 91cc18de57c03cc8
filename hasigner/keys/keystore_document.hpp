#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hasigner/crypto/secret_key.hpp"
#include "hasigner/crypto/secret_text.hpp"
#include "hasigner/duty/bytes.hpp"

namespace hasigner::keys {

struct FeeRecipientTag {
  static constexpr std::string_view kName = "fee recipient";
};
/// An Aztec address.
using FeeRecipient = FixedBytes<FeeRecipientTag, 32>;

/// Where a remote signer listens, and what it asks of its clients.
struct RemoteSigner {
  std::string url;                                  ///< `http://` or `https://`; may hold a password
  std::optional<std::string> cert_path;             ///< PEM or PKCS#12 file: the client's certificate and key
  std::shared_ptr<const SecretText> cert_password;  ///< null: none

  /// The URL without user and password, query and fragment.
  [[nodiscard]] std::string shown_url() const;

  /// The same place, asked with the same certificate.
  friend bool operator==(const RemoteSigner& a, const RemoteSigner& b);
};

/// A key that is at a remote signer.
struct RemoteKey {
  EthAddress address;
  std::optional<RemoteSigner> remote_signer;  ///< nothing: that of the validator, or of the file
};

/// An encrypted JSON V3 file, or a directory of such.
struct EncryptedKeys {
  std::string path;
  std::shared_ptr<const SecretText> password;  ///< null: none was given
};

/// One account of a keystore file as it stands there; the key of a file is not opened yet.
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

/// What one entry of `validators` says, or the defaults of a file of version 2.
struct ValidatorEntry {
  std::string json_path;
  Accounts attesters;  ///< none in the defaults
  std::optional<EthAddress> coinbase;
  std::shared_ptr<const Accounts> publishers;  ///< null: not said
  std::optional<FeeRecipient> fee_recipient;
  std::optional<RemoteSigner> remote_signer;
};

/// An Aztec keystore file, checked as far as it can be without opening another file.
///
/// Defaults of version 2 have been given to its validators; its remote signer has not, since the last file's wins.
struct KeystoreDocument {
  std::string file;
  std::vector<ValidatorEntry> validators;
  std::optional<RemoteSigner> remote_signer;
  bool has_prover = false;
  bool holds_secrets = false;  ///< keys, mnemonics, passwords, or a URL with something in it that may be one
};

/// Reads an Aztec keystore of version 1 or 2, in all its forms.
///
/// Every object is strict: a field that it does not have is refused by its name.
/// Errors: InvalidInput naming file and place, as in `keys.json validators[0].attester`; none shows a secret.
[[nodiscard]] Parsed<KeystoreDocument> parse_keystore(std::string_view json, std::string_view file);

}  // namespace hasigner::keys
