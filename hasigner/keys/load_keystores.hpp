#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "hasigner/keys/keystore_document.hpp"

namespace hasigner::keys {

/// An attester with its key or its remote signer.
struct AttesterKey {
  EthAddress address;
  std::variant<std::shared_ptr<const SecretKey>, RemoteSigner> signer;  ///< the pointer is never null
  std::string origin;  ///< where the key comes from, for a person: file, JSON path, and path or URL; not the key
};

/// The sender of transactions for a validator. Its key signs no duties.
struct Publisher {
  EthAddress address;
  std::optional<RemoteSigner> remote_signer;  ///< nullopt when the key is local
  std::string origin;
  std::shared_ptr<const SecretKey> key = {};  ///< null when it is at a remote signer
};

/// One entry of `validators`, with all defaults filled in.
struct Validator {
  std::vector<AttesterKey> attesters;  ///< at least one
  std::optional<EthAddress> coinbase;  ///< nullopt: each attester's own address
  std::vector<Publisher> publishers;   ///< by default the attesters
  bool names_publishers = false;       ///< false: they are the attesters, whose keys sign no transactions
  FeeRecipient fee_recipient;
};

/// The validators of all files.
struct LoadedKeystores {
  std::vector<Validator> validators;
  /// Sentences for a person: what Aztec's node refuses although it is unambiguous, and what is probably a mistake.
  std::vector<std::string> doubts;
};

/// Reads keystore files, opens every encrypted key and derives every mnemonic's.
///
/// A path is a file, or a directory whose `.json` files are read in the order of their names. Paths within a file are
/// relative to the working directory. What the last file says at its top level serves all validators that do not say it
/// themselves; publishers of several files are put together. Takes about a second for an encrypted key.
/// Other users must not be able to read a keystore file that holds secrets, nor a key file.
/// Errors: InvalidInput naming the file and the JSON path: what parse_keystore(), read_secret_file() and decrypt_key()
/// refuse, an attester that occurs twice, two provers, an address without a remote signer, and a requested `stop`,
/// which is checked before each key.
[[nodiscard]] Parsed<LoadedKeystores> load_keystores(std::vector<std::filesystem::path> paths,
                                                     std::stop_token stop = {});

/// As load_keystores(), of a document that is not a file. `name` stands for it in errors.
[[nodiscard]] Parsed<LoadedKeystores> load_keystore_document(std::string_view json, std::string_view name,
                                                             std::stop_token stop = {});

}  // namespace hasigner::keys
