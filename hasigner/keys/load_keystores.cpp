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
  Resolver(std::optional<RemoteSigner> remote, std::stop_token stop)
      : remote_(std::move(remote)), stop_(std::move(stop)) {}

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

  static Parsed<SecretKey> open_file(const fs::path& path, const SecretText& password) {
    const auto text = read_secret_file(path);
    if (!text) return failure(text);
    return decrypt_key(text->view(), password, "the key file " + printable(path.string(), 300));
  }

  /// What is wrong with another file, and the account that needs the file.
  static std::unexpected<InvalidInput> at_json_path(const std::string& json_path, InvalidInput why) {
    why.field = json_path + ": " + why.field;
    return std::unexpected(std::move(why));
  }

  Keys derive(const MnemonicKeys& mnemonic) const {
    const auto seed = seed_of(mnemonic.mnemonic, mnemonic.json_path + ".mnemonic");
    if (!seed) return failure(seed);
    const auto doubt = doubt_about(mnemonic.mnemonic);
    std::vector<AttesterKey> keys;
    for (std::uint32_t account = 0; account < mnemonic.account_count; ++account) {
      for (std::uint32_t address = 0; address < mnemonic.address_count; ++address) {
        if (stop_.stop_requested()) return stopped(mnemonic.json_path);
        const DerivationPath path{mnemonic.first_account + account, mnemonic.first_address + address};
        auto key = derive_key(*seed, path, mnemonic.json_path);
        if (!key) return failure(key);
        keys.push_back(local(std::move(*key), mnemonic.json_path + ": mnemonic, " + path.to_string()));
        if (doubt) keys.back().doubt = mnemonic.json_path + ".mnemonic: " + *doubt;
      }
    }
    return keys;
  }

  std::optional<RemoteSigner> remote_;
  std::stop_token stop_;
};

std::vector<Publisher> publishers_from(const std::vector<AttesterKey>& keys) {
  std::vector<Publisher> publishers;
  publishers.reserve(keys.size());
  for (const auto& key : keys) {
    const auto* const remote = std::get_if<RemoteSigner>(&key.signer);
    publishers.push_back({key.address, remote ? std::optional(*remote) : std::nullopt, key.origin});
  }
  return publishers;
}

Parsed<Validator> resolve_validator(const ValidatorEntry& entry, const std::optional<RemoteSigner>& file_remote,
                                    const std::stop_token& stop) {
  const Resolver resolver(entry.remote_signer ? entry.remote_signer : file_remote, stop);
  auto attesters = resolver.resolve(entry.attesters);
  if (!attesters) return failure(attesters);
  Validator validator{.attesters = std::move(*attesters), .fee_recipient = *entry.fee_recipient};
  validator.coinbase = entry.coinbase.value_or(validator.attesters.front().address);
  if (!entry.publishers) {
    validator.publishers = publishers_from(validator.attesters);
    return validator;
  }
  const auto publishers = resolver.resolve(*entry.publishers);
  if (!publishers) return failure(publishers);
  validator.publishers = publishers_from(*publishers);
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
  auto document = parse_keystore(guarded->text.view(), printable(path.string(), 300));
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

}  // namespace

Parsed<std::vector<Validator>> load_keystores(std::vector<fs::path> paths, std::stop_token stop) {
  const auto files = files_of(paths);
  if (!files) return failure(files);
  const auto documents = read_documents(*files);
  if (!documents) return failure(documents);
  std::optional<RemoteSigner> remote;
  for (const auto& document : *documents) {
    if (document.remote_signer) remote = document.remote_signer;
  }
  std::vector<Validator> validators;
  for (const auto& document : *documents) {
    for (const auto& entry : document.validators) {
      auto validator = resolve_validator(entry, remote, stop);
      if (!validator) return failure(validator);
      validators.push_back(std::move(*validator));
    }
  }
  if (auto duplicate = find_duplicate(validators)) return std::unexpected(std::move(*duplicate));
  return validators;
}

}  // namespace hasigner::keys
