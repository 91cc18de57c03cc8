#include "hasigner/keys/load_keystores.hpp"

#include <algorithm>
#include <map>
#include <system_error>

#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/keys/encrypted_key.hpp"
#include "hasigner/keys/mnemonic.hpp"
#include "hasigner/keys/secret_file.hpp"

namespace hasigner::keys {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kByteOrderMarkDoubt = " begins with a byte order mark, which Aztec's node refuses";

template <class T>
std::unexpected<InvalidInput> failure(const Parsed<T>& parsed) {
  return std::unexpected(parsed.error());
}

std::unexpected<InvalidInput> refuse(std::string json_path, std::string value, std::string allowed) {
  return std::unexpected(InvalidInput{std::move(json_path), std::move(value), std::move(allowed)});
}

bool is_key_directory(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

/// Opens the keys of accounts. `remote` serves accounts that do not name a remote signer themselves.
class Resolver {
 public:
  Resolver(std::optional<RemoteSigner> remote, std::stop_token stop, std::vector<std::string>& doubts)
      : remote_(std::move(remote)), stop_(std::move(stop)), doubts_(doubts) {}

  Parsed<std::vector<AttesterKey>> resolve(const Accounts& accounts) const {
    if (const auto* mnemonic = std::get_if<MnemonicKeys>(&accounts)) return derive(*mnemonic);
    std::vector<AttesterKey> keys;
    for (const auto& account : std::get<std::vector<Account>>(accounts)) {
      if (stop_.stop_requested()) return stopped(account.json_path);
      auto found = std::visit([&](const auto& source) { return open(account.json_path, source); }, account.source);
      if (!found) return found;
      std::ranges::move(*found, std::back_inserter(keys));
    }
    return keys;
  }

 private:
  using Keys = Parsed<std::vector<AttesterKey>>;

  static std::unexpected<InvalidInput> stopped(const std::string& json_path) {
    return refuse(json_path, "not opened, since the program is about to end", "opened when it is started again");
  }

  static AttesterKey local(SecretKey key, std::string origin) {
    const auto address = address_of(key);
    return {address, std::make_shared<const SecretKey>(std::move(key)), std::move(origin)};
  }
  static Keys one(AttesterKey key) {
    std::vector<AttesterKey> keys;
    keys.push_back(std::move(key));
    return keys;
  }

  Keys open(const std::string& json_path, const SecretKey& key) const {
    auto copy = SecretKey::from_bytes(key.expose(), json_path);
    if (!copy) return failure(copy);
    return one(local(std::move(*copy), json_path + ": private key"));
  }

  Keys open(const std::string& json_path, const RemoteKey& key) const {
    const auto& remote = key.remote_signer ? key.remote_signer : remote_;
    if (!remote) {
      return refuse(json_path, key.address.to_string(),
                    "a private key, or an address with a remoteSigner in its account, its validator or the file");
    }
    return one({key.address, *remote, json_path + ": remote signer " + remote->shown_url()});
  }

  Keys open(const std::string& json_path, const EncryptedKeys& encrypted) const {
    if (!encrypted.password || encrypted.password->empty()) {
      doubts_.push_back(json_path + " has no password, which Aztec's node refuses");
    }
    if (!is_key_directory(encrypted.path)) {
      const SecretText no_password;
      auto key = open_file(encrypted.path, encrypted.password ? *encrypted.password : no_password);
      if (!key) return at_json_path(json_path, key.error());
      return one(local(std::move(*key), json_path + ": encrypted file " + printable(encrypted.path, 300)));
    }
    if (!encrypted.password) {
      return refuse(json_path + ".password", "missing", "there: a directory's keys are opened with one password");
    }
    const auto files = json_files_in(encrypted.path);
    if (!files) return at_json_path(json_path, files.error());
    std::vector<AttesterKey> keys;
    for (const auto& file : *files) {
      if (stop_.stop_requested()) return stopped(json_path);
      auto key = open_file(file, *encrypted.password);
      if (!key) return at_json_path(json_path, key.error());
      keys.push_back(local(std::move(*key), json_path + ": encrypted file " + printable(file.string(), 300)));
      const auto& added = keys.back();
      const auto twin = std::ranges::find(keys, added.address, &AttesterKey::address);
      if (&*twin != &added) {
        return refuse(json_path + ".path",
                      "a directory with " + to_checksum(added.address) + " twice, the second time in " +
                          printable(file.string(), 300),
                      "a directory in which each address occurs once");
      }
    }
    return keys;
  }

  Parsed<SecretKey> open_file(const fs::path& path, const SecretText& password) const {
    const auto guarded = read_guarded_file(path);
    if (!guarded) return failure(guarded);
    if (guarded->readable_by_others) return std::unexpected(*guarded->readable_by_others);
    const auto name = "the key file " + printable(path.string(), 300);
    auto key = decrypt_key(guarded->text.view(), password, name);
    if (!key) return key;
    if (guarded->had_byte_order_mark) doubts_.push_back(name + std::string(kByteOrderMarkDoubt));
    std::ranges::move(doubts_about_key_file(guarded->text.view(), name), std::back_inserter(doubts_));
    return key;
  }

  /// What is wrong with another file, and the account that needs the file.
  static std::unexpected<InvalidInput> at_json_path(const std::string& json_path, InvalidInput why) {
    why.field = json_path + ": " + why.field;
    return std::unexpected(std::move(why));
  }

  Keys derive(const MnemonicKeys& mnemonic) const {
    const auto seed = seed_of(mnemonic.mnemonic, mnemonic.json_path + ".mnemonic");
    if (!seed) return failure(seed);
    if (const auto doubt = doubt_about(mnemonic.mnemonic)) {
      doubts_.push_back(mnemonic.json_path + ".mnemonic: " + *doubt +
                        ": its keys are used as they are; check that their addresses are right");
    }
    std::vector<AttesterKey> keys;
    for (std::uint32_t account = 0; account < mnemonic.account_count; ++account) {
      for (std::uint32_t address = 0; address < mnemonic.address_count; ++address) {
        if (stop_.stop_requested()) return stopped(mnemonic.json_path);
        const DerivationPath path{mnemonic.first_account + account, mnemonic.first_address + address};
        auto key = derive_key(*seed, path, mnemonic.json_path);
        if (!key) return failure(key);
        keys.push_back(local(std::move(*key), mnemonic.json_path + ": mnemonic, " + path.to_string()));
      }
    }
    return keys;
  }

  std::optional<RemoteSigner> remote_;
  std::stop_token stop_;
  std::vector<std::string>& doubts_;
};

std::vector<Publisher> publishers_from(const std::vector<AttesterKey>& keys) {
  std::vector<Publisher> publishers;
  publishers.reserve(keys.size());
  for (const auto& key : keys) {
    const auto* const remote = std::get_if<RemoteSigner>(&key.signer);
    const auto* const local = std::get_if<std::shared_ptr<const SecretKey>>(&key.signer);
    publishers.push_back(
        {key.address, remote ? std::optional(*remote) : std::nullopt, key.origin, local ? *local : nullptr});
  }
  return publishers;
}

/// What all files together say at their top levels.
class TopLevel {
 public:
  explicit TopLevel(const std::vector<KeystoreDocument>& documents) {
    for (const auto& document : documents) {
      if (document.remote_signer) remote_ = document.remote_signer;
      const auto& [coinbase, publishers, fee_recipient] = document.defaults;
      if (coinbase) coinbase_ = coinbase;
      if (fee_recipient) fee_recipient_ = fee_recipient;
      if (publishers) add(publishers);
    }
  }

  [[nodiscard]] const std::optional<RemoteSigner>& remote() const { return remote_; }
  [[nodiscard]] std::optional<EthAddress> coinbase_of(const ValidatorEntry& entry) const {
    return entry.roles.coinbase ? entry.roles.coinbase : coinbase_;
  }
  [[nodiscard]] FeeRecipient fee_recipient_of(const ValidatorEntry& entry) const {
    // Each file gives one to all of its validators that have none.
    return entry.roles.fee_recipient ? *entry.roles.fee_recipient : fee_recipient_.value();
  }
  /// None: the attesters publish themselves.
  [[nodiscard]] std::optional<std::vector<std::shared_ptr<const Accounts>>> publishers_of(
      const ValidatorEntry& entry) const {
    if (entry.roles.publishers) return std::vector{entry.roles.publishers};
    return publishers_.empty() ? std::nullopt : std::optional(publishers_);
  }

 private:
  /// Aztec's node puts the publishers of several files together, except for mnemonics: there the last file counts.
  void add(const std::shared_ptr<const Accounts>& publishers) {
    const auto is_mnemonic = [](const auto& accounts) { return std::holds_alternative<MnemonicKeys>(*accounts); };
    if (is_mnemonic(publishers) || std::ranges::any_of(publishers_, is_mnemonic)) publishers_.clear();
    publishers_.push_back(publishers);
  }

  std::optional<RemoteSigner> remote_;
  std::optional<EthAddress> coinbase_;
  std::optional<FeeRecipient> fee_recipient_;
  std::vector<std::shared_ptr<const Accounts>> publishers_;
};

/// Returns nullopt for an entry without attesters.
Parsed<std::optional<Validator>> resolve_validator(const ValidatorEntry& entry, const TopLevel& top_level,
                                                   const std::stop_token& stop, std::vector<std::string>& doubts) {
  const Resolver resolver(entry.remote_signer ? entry.remote_signer : top_level.remote(), stop, doubts);
  auto attesters = resolver.resolve(entry.attesters);
  if (!attesters) return failure(attesters);
  if (attesters->empty()) return std::nullopt;
  Validator validator{.attesters = std::move(*attesters),
                      .coinbase = top_level.coinbase_of(entry),
                      .fee_recipient = top_level.fee_recipient_of(entry)};
  const auto publishers = top_level.publishers_of(entry);
  if (!publishers) {
    validator.publishers = publishers_from(validator.attesters);
    return validator;
  }
  validator.names_publishers = true;
  for (const auto& accounts : *publishers) {
    const auto keys = resolver.resolve(*accounts);
    if (!keys) return failure(keys);
    std::ranges::move(publishers_from(*keys), std::back_inserter(validator.publishers));
  }
  return validator;
}

std::optional<InvalidInput> find_duplicate(const std::vector<Validator>& validators) {
  std::map<EthAddress, const std::string*> origins;
  for (const auto& validator : validators) {
    for (const auto& attester : validator.attesters) {
      const auto [known, is_new] = origins.try_emplace(attester.address, &attester.origin);
      if (is_new) continue;
      return InvalidInput{attester.origin, to_checksum(attester.address) + ", which is also " + *known->second,
                          "an attester that no other entry has"};
    }
  }
  return std::nullopt;
}

/// Other users may read a file without secrets: a configuration that names remote signers only.
Parsed<KeystoreDocument> read_document(const fs::path& path) {
  const auto guarded = read_guarded_file(path);
  if (!guarded) return failure(guarded);
  const auto name = printable(path.string(), 300);
  auto document = parse_keystore(guarded->text.view(), name);
  if (document && guarded->had_byte_order_mark) {
    document->doubts.push_back(name + std::string(kByteOrderMarkDoubt));
  }
  if (!document || !document->holds_secrets || !guarded->readable_by_others) return document;
  return std::unexpected(*guarded->readable_by_others);
}

Parsed<std::vector<KeystoreDocument>> read_documents(const std::vector<fs::path>& paths) {
  std::vector<KeystoreDocument> documents;
  const KeystoreDocument* with_prover = nullptr;
  for (const auto& path : paths) {
    auto document = read_document(path);
    if (!document) return failure(document);
    documents.push_back(std::move(*document));
  }
  for (const auto& document : documents) {
    if (!document.has_prover) continue;
    if (with_prover) {
      return refuse(document.file + " prover", "a second one, after that of " + with_prover->file, "in one file only");
    }
    with_prover = &document;
  }
  return documents;
}

/// Aztec's node merges validators of version 1 with nothing of version 2.
std::optional<std::string> doubt_about_versions(const std::vector<KeystoreDocument>& documents) {
  const auto newer = std::ranges::find(documents, 2, &KeystoreDocument::version);
  if (newer == documents.end()) return std::nullopt;
  const auto older = std::ranges::find_if(
      documents, [](const auto& document) { return document.version == 1 && !document.validators.empty(); });
  if (older == documents.end()) return std::nullopt;
  return older->file + " schemaVersion is 1 and that of " + newer->file + " is 2, which Aztec's node refuses together";
}

Parsed<std::vector<fs::path>> files_of(const std::vector<fs::path>& paths) {
  std::vector<fs::path> files;
  for (const auto& path : paths) {
    if (!is_key_directory(path)) {
      files.push_back(path);
      continue;
    }
    const auto found = json_files_in(path);
    if (!found) return failure(found);
    files.insert(files.end(), found->begin(), found->end());
  }
  return files;
}

Parsed<LoadedKeystores> resolve_all(const std::vector<KeystoreDocument>& documents, const std::stop_token& stop) {
  const TopLevel top_level(documents);
  LoadedKeystores loaded;
  for (const auto& document : documents) {
    std::ranges::copy(document.doubts, std::back_inserter(loaded.doubts));
    for (const auto& entry : document.validators) {
      auto validator = resolve_validator(entry, top_level, stop, loaded.doubts);
      if (!validator) return failure(validator);
      if (*validator) loaded.validators.push_back(std::move(**validator));
    }
  }
  if (auto duplicate = find_duplicate(loaded.validators)) return std::unexpected(std::move(*duplicate));
  if (auto doubt = doubt_about_versions(documents)) loaded.doubts.push_back(std::move(*doubt));
  return loaded;
}

}  // namespace

Parsed<LoadedKeystores> load_keystores(std::vector<fs::path> paths, std::stop_token stop) {
  const auto files = files_of(paths);
  if (!files) return failure(files);
  const auto documents = read_documents(*files);
  if (!documents) return failure(documents);
  return resolve_all(*documents, stop);
}

Parsed<LoadedKeystores> load_keystore_document(std::string_view json, std::string_view name, std::stop_token stop) {
  auto document = parse_keystore(json, name);
  if (!document) return failure(document);
  std::vector<KeystoreDocument> documents;
  documents.push_back(std::move(*document));
  return resolve_all(documents, stop);
}

}  // namespace hasigner::keys
