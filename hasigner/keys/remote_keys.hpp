#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/keys/web3signer.hpp"

namespace hasigner::keys {

/// Why there is no key store: one sentence that says what to do next, without secrets.
struct KeyStoreError {
  enum class Kind : std::uint8_t {
    kInvalid,      ///< a file, a setting, or what a remote signer holds is not as it must be
    kUnavailable,  ///< a remote signer did not answer; asking again may help
  };
  Kind kind = Kind::kInvalid;
  std::string reason;
};

/// What one remote signer should hold.
struct RemoteKeys {
  struct Wanted {
    EthAddress address;
    std::string origin;  ///< which account of which file says so
  };
  RemoteSigner remote;
  std::vector<Wanted> wanted;
};

/// The remote signers of attesters and publishers, each once, with what they should hold.
[[nodiscard]] std::vector<RemoteKeys> remote_keys_of(const std::vector<Validator>& validators);

/// Speaks to each of these remote signers. Errors as Web3Signer::create().
[[nodiscard]] Parsed<std::shared_ptr<Web3Signer>> web3signer_for(const std::vector<RemoteKeys>& keys,
                                                                 const Web3SignerSettings& settings,
                                                                 const asio::any_io_executor& network);

/// Asks each remote signer once, all at the same time, which keys it holds. `signer` must know them all.
///
/// In the order of `keys`: nothing, or what is wrong. Addresses are compared without letter case.
[[nodiscard]] asio::awaitable<std::vector<std::optional<KeyStoreError>>> check_remote_keys(
    std::shared_ptr<Web3Signer> signer, std::vector<RemoteKeys> keys);

}  // namespace hasigner::keys
