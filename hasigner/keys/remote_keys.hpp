#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/keys/web3signer.hpp"

namespace hasigner::keys {

/// Why the key store could not be opened: one sentence that says what to do next, without secrets.
struct KeyStoreError {
  enum class Kind : std::uint8_t {
    kInvalid,      ///< a file, a setting or the keys of a remote signer are wrong
    kUnavailable,  ///< a remote signer did not answer; asking again may help
  };
  Kind kind = Kind::kInvalid;
  std::string reason;
};

/// The keys that one remote signer should hold.
struct RemoteKeys {
  struct Wanted {
    EthAddress address;
    std::string origin;  ///< the account and file that name it
  };
  RemoteSigner remote;
  std::vector<Wanted> wanted;
  bool signs_duties = false;  ///< false when it should hold keys of publishers only
};

/// The remote signers of attesters and publishers, each once, with the keys that they should hold.
[[nodiscard]] std::vector<RemoteKeys> remote_keys_of(const std::vector<Validator>& validators);

/// A client for these remote signers. Errors as Web3Signer::create().
[[nodiscard]] Parsed<std::shared_ptr<Web3Signer>> web3signer_for(const std::vector<RemoteKeys>& keys,
                                                                 const Web3SignerSettings& settings,
                                                                 const asio::any_io_executor& network);

/// Asks all remote signers at once, each one time, which keys it holds. `signer` must know them all.
///
/// Returns, in the order of `keys`, nullopt or what is wrong. Letter case of addresses does not matter.
[[nodiscard]] asio::awaitable<std::vector<std::optional<KeyStoreError>>> check_remote_keys(
    std::shared_ptr<Web3Signer> signer, std::vector<RemoteKeys> keys);

}  // namespace hasigner::keys
