#include "hasigner/keys/open_key_store.hpp"

namespace hasigner::keys {

namespace {

using Opened = std::expected<std::shared_ptr<BaseKeyStore>, KeyStoreError>;

/// The validators of the files, and the remote signers that some of their keys are at.
struct Loaded {
  LoadedKeystores files;
  std::vector<RemoteKeys> remote_keys;
  std::shared_ptr<Web3Signer> signer;  ///< null when all keys are local
};

std::unexpected<KeyStoreError> invalid(const InvalidInput& why) {
  return std::unexpected(KeyStoreError{KeyStoreError::Kind::kInvalid, why.message()});
}

std::expected<Loaded, KeyStoreError> load(KeyStoreSettings settings, const asio::any_io_executor& network) {
  auto files = load_validators(settings);
  if (!files) return invalid(files.error());
  Loaded loaded{std::move(*files), {}, nullptr};
  loaded.remote_keys = remote_keys_of(loaded.files.validators);
  if (loaded.remote_keys.empty()) return loaded;
  auto signer = web3signer_for(loaded.remote_keys, settings.remote, network);
  if (!signer) return invalid(signer.error());
  loaded.signer = std::move(*signer);
  return loaded;
}

/// Opens key files. That takes seconds, so it runs on the work threads.
asio::awaitable<std::optional<std::expected<Loaded, KeyStoreError>>> load_now(KeyStoreSettings settings,
                                                                              asio::any_io_executor network) {
  co_return load(std::move(settings), network);
}

/// Takes out what keeps no duty from being signed: a remote signer that is away and should hold keys of publishers
/// only.
std::vector<std::string> take_warnings(std::vector<std::optional<KeyStoreError>>& problems,
                                       const std::vector<bool>& sign_duties) {
  std::vector<std::string> warnings;
  for (std::size_t i = 0; i < problems.size(); ++i) {
    if (!problems[i] || sign_duties[i] || problems[i]->kind != KeyStoreError::Kind::kUnavailable) continue;
    warnings.push_back(problems[i]->reason + "; it holds keys of publishers only, so duties are signed without it");
    problems[i].reset();
  }
  return warnings;
}

/// All problems with the remote signers as one error. It is kUnavailable only when asking again can mend all of them.
std::optional<KeyStoreError> joined(const std::vector<std::optional<KeyStoreError>>& problems) {
  std::optional<KeyStoreError> all;
  for (const auto& problem : problems) {
    if (!problem) continue;
    if (!all) {
      all = *problem;
      continue;
    }
    all->reason += "; " + problem->reason;
    if (problem->kind == KeyStoreError::Kind::kInvalid) all->kind = KeyStoreError::Kind::kInvalid;
  }
  return all;
}

}  // namespace

Parsed<LoadedKeystores> load_validators(const KeyStoreSettings& settings) {
  if (settings.document)
    return load_keystore_document(settings.document->view(), settings.document_name, settings.stop);
  return load_keystores(settings.paths, settings.stop);
}

asio::awaitable<Opened> open_key_store(KeyStoreSettings settings, KeyStoreExecutors executors) {
  const auto warn = settings.warn;
  auto loading = load_now(std::move(settings), executors.network);
  const auto opening = executors.opening.value_or(executors.work);
  auto loaded = co_await asio::co_spawn(opening, std::move(loading), asio::use_awaitable);
  if (!*loaded) co_return std::unexpected(std::move(loaded->error()));
  auto& [files, remote_keys, signer] = **loaded;
  if (signer) {
    std::vector<bool> sign_duties;
    for (const auto& keys : remote_keys) sign_duties.push_back(keys.signs_duties);
    auto problems = co_await check_remote_keys(signer, std::move(remote_keys));
    for (const auto& warning : take_warnings(problems, sign_duties)) {
      if (warn) warn(warning);
    }
    if (auto problem = joined(problems)) co_return std::unexpected(std::move(*problem));
  }
  auto store = std::make_shared<BaseKeyStore>(std::move(files.validators), executors.work, std::move(signer),
                                              std::move(files.doubts));
  co_return store;
}

asio::awaitable<Opened> reload_key_store(KeyStoreSettings settings, KeyStoreExecutors executors, HaKeyStore& store) {
  auto opened = co_await open_key_store(std::move(settings), std::move(executors));
  if (opened) store.replace_base(*opened);
  co_return opened;
}

}  // namespace hasigner::keys
