#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "hasigner/crypto/secret_text.hpp"
#include "hasigner/keys/base_key_store.hpp"
#include "hasigner/keys/ha_key_store.hpp"
#include "hasigner/keys/remote_keys.hpp"

namespace hasigner::keys {

/// The keystore files, and how remote signers are reached.
struct KeyStoreSettings {
  std::vector<std::filesystem::path> paths;         ///< Aztec keystore files, and directories of them
  std::shared_ptr<const SecretText> document = {};  ///< in place of files: the text of one
  std::string document_name = {};                   ///< of `document`, for errors
  Web3SignerSettings remote;
  RemoteSigners remote_signers = RemoteSigners::kClaimFirst;
  std::stop_token stop = {};  ///< ends the opening of keys with an error
  /// Called with a sentence about what keeps no duty from being signed; may be empty.
  std::function<void(const std::string&)> warn = {};
};

/// The validators of the files, or of the document. Errors as load_keystores().
[[nodiscard]] Parsed<LoadedKeystores> load_validators(const KeyStoreSettings& settings);

struct KeyStoreExecutors {
  asio::any_io_executor network;  ///< for calls to remote signers
  asio::any_io_executor work;     ///< a thread pool: opens key files, signs with local keys
  /// Opens key files instead of `work`, so that signing does not wait for them. nullopt: `work` opens them.
  std::optional<asio::any_io_executor> opening = std::nullopt;
};

/// Reads keystore files, opens every key, and asks each remote signer once whether it holds the expected keys.
///
/// Takes about a second for an encrypted key, and at most Web3SignerSettings::call_timeout for the remote signers.
/// Errors: kInvalid for what load_keystores() and Web3Signer::create() refuse, and for an attester or publisher that
/// its remote signer does not hold. kUnavailable for a remote signer that does not answer as one; if it should hold
/// keys of publishers only, this is a warning. Thread safety: may be awaited on any executor.
[[nodiscard]] asio::awaitable<std::expected<std::shared_ptr<BaseKeyStore>, KeyStoreError>> open_key_store(
    KeyStoreSettings settings, KeyStoreExecutors executors);

/// Opens the key store again and lets `store` sign with it from then on.
///
/// Duties stay protected at every moment: only the keys change, not the signer. Attempts in flight end with the keys
/// that they began with. On an error the keys do not change. Ownership: `store` must outlive the call.
[[nodiscard]] asio::awaitable<std::expected<std::shared_ptr<BaseKeyStore>, KeyStoreError>> reload_key_store(
    KeyStoreSettings settings, KeyStoreExecutors executors, HaKeyStore& store);

}  // namespace hasigner::keys
