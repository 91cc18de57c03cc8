#include "hasigner/keys/remote_keys.hpp"

#include <algorithm>

#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/keys/gather.hpp"

namespace hasigner::keys {

namespace {

using Problem = std::optional<KeyStoreError>;

/// How many missing addresses one sentence names.
constexpr std::size_t kMaxNamed = 5;

class Collector {
 public:
  RemoteKeys& want(const RemoteSigner& remote, RemoteKeys::Wanted key) {
    auto found = std::ranges::find(keys, remote, &RemoteKeys::remote);
    if (found == keys.end()) found = keys.insert(keys.end(), RemoteKeys{remote, {}});
    const bool is_new =
        std::ranges::find(found->wanted, key.address, &RemoteKeys::Wanted::address) == found->wanted.end();
    if (is_new) found->wanted.push_back(std::move(key));
    return *found;
  }
  std::vector<RemoteKeys> keys;
};

Problem problem_of(const RemoteKeys& keys, std::vector<EthAddress> held) {
  std::ranges::sort(held);
  std::size_t missing = 0;
  std::string named;
  for (const auto& [address, origin] : keys.wanted) {
    if (std::ranges::binary_search(held, address)) continue;
    if (++missing > kMaxNamed) continue;
    named += (named.empty() ? "" : ", ") + to_checksum(address) + " (" + origin + ")";
  }
  if (missing == 0) return std::nullopt;
  if (missing > kMaxNamed) named += " and " + std::to_string(missing - kMaxNamed) + " more";
  return KeyStoreError{KeyStoreError::Kind::kInvalid,
                       "the remote signer " + keys.remote.shown_url() + " does not hold the key of " + named};
}

asio::awaitable<Problem> check_one(std::shared_ptr<Web3Signer> signer, RemoteKeys keys) {
  auto held = co_await signer->accounts(keys.remote);
  if (held) co_return problem_of(keys, std::move(*held));
  KeyStoreError unavailable{KeyStoreError::Kind::kUnavailable, std::move(held.error())};
  co_return unavailable;
}

}  // namespace

std::vector<RemoteKeys> remote_keys_of(const std::vector<Validator>& validators) {
  Collector collector;
  for (const auto& validator : validators) {
    for (const auto& attester : validator.attesters) {
      const auto* const remote = std::get_if<RemoteSigner>(&attester.signer);
      if (remote) collector.want(*remote, {attester.address, attester.origin}).signs_duties = true;
    }
    for (const auto& publisher : validator.publishers) {
      if (publisher.remote_signer) {
        (void)collector.want(*publisher.remote_signer, {publisher.address, publisher.origin});
      }
    }
  }
  return std::move(collector.keys);
}

Parsed<std::shared_ptr<Web3Signer>> web3signer_for(const std::vector<RemoteKeys>& keys,
                                                   const Web3SignerSettings& settings,
                                                   const asio::any_io_executor& network) {
  std::vector<RemoteSigner> remotes;
  remotes.reserve(keys.size());
  for (const auto& each : keys) remotes.push_back(each.remote);
  return Web3Signer::create(remotes, settings, network);
}

asio::awaitable<std::vector<Problem>> check_remote_keys(std::shared_ptr<Web3Signer> signer,
                                                        std::vector<RemoteKeys> keys) {
  std::vector<asio::awaitable<Problem>> checks;
  checks.reserve(keys.size());
  for (auto& each : keys) checks.push_back(check_one(signer, std::move(each)));
  return gather(std::move(checks));
}

}  // namespace hasigner::keys
