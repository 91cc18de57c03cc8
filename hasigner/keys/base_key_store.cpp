#include "hasigner/keys/base_key_store.hpp"

#include "hasigner/keys/gather.hpp"

namespace hasigner::keys {

namespace {

asio::awaitable<SignResult<Signature>> refused_signature(SigningError error) {
  co_return std::unexpected(std::move(error));
}

}  // namespace

BaseKeyStore::BaseKeyStore(std::vector<Validator> validators, asio::any_io_executor work,
                           std::shared_ptr<RemoteSigning> remote, std::vector<std::string> doubts)
    : validators_(std::move(validators)),
      local_(std::move(work)),
      remote_(std::move(remote)),
      doubts_(std::move(doubts)) {
  for (std::size_t i = 0; i < validators_.size(); ++i) {
    for (std::size_t j = 0; j < validators_[i].attesters.size(); ++j) {
      const auto& address = validators_[i].attesters[j].address;
      addresses_.push_back(address);
      indexes_.emplace(address, KeyIndex{i, j});
    }
    if (!validators_[i].names_publishers) continue;
    for (const auto& publisher : validators_[i].publishers) {
      const auto [known, is_new] = publishers_.try_emplace(publisher.address, &publisher);
      if (is_new) publisher_addresses_.push_back(publisher.address);
      // One validator may name the key, and another only its address.
      if (!known->second->key) known->second = &publisher;
    }
  }
}

Parsed<BaseKeyStore::KeyIndex> BaseKeyStore::find(const EthAddress& attester) const {
  const auto found = indexes_.find(attester);
  if (found == indexes_.end()) return std::unexpected(unknown_attester(attester));
  return found->second;
}

Parsed<EthAddress> BaseKeyStore::coinbase(const EthAddress& attester) const {
  const auto index = find(attester);
  if (!index) return std::unexpected(index.error());
  return validator_at(*index).coinbase.value_or(attester);
}

Parsed<std::vector<EthAddress>> BaseKeyStore::publishers(const EthAddress& attester) const {
  const auto index = find(attester);
  if (!index) return std::unexpected(index.error());
  std::vector<EthAddress> addresses;
  for (const auto& publisher : validator_at(*index).publishers) addresses.push_back(publisher.address);
  return addresses;
}

Parsed<FeeRecipient> BaseKeyStore::fee_recipient(const EthAddress& attester) const {
  const auto index = find(attester);
  if (!index) return std::unexpected(index.error());
  return validator_at(*index).fee_recipient;
}

Parsed<std::optional<RemoteSigner>> BaseKeyStore::remote_signer(const EthAddress& attester) const {
  const auto index = find(attester);
  if (!index) return std::unexpected(index.error());
  const auto* const remote = std::get_if<RemoteSigner>(&key_at(*index).signer);
  return remote ? std::optional(*remote) : std::nullopt;
}

Parsed<std::string> BaseKeyStore::origin(const EthAddress& attester) const {
  const auto index = find(attester);
  if (!index) return std::unexpected(index.error());
  return key_at(*index).origin;
}

asio::awaitable<SignResult<Signature>> BaseKeyStore::sign(EthAddress attester, std::shared_ptr<const Payload> payload,
                                                          SigningContext context) {
  return sign_for({}, attester, std::move(payload), context);
}

asio::awaitable<SignResult<Signature>> BaseKeyStore::sign_for(std::string client, EthAddress attester,
                                                              std::shared_ptr<const Payload> payload, SigningContext) {
  const auto index = find(attester);
  if (!index) return refused_signature(index.error());
  const auto& signer = key_at(*index).signer;
  if (const auto* const key = std::get_if<std::shared_ptr<const SecretKey>>(&signer)) {
    return local_.sign(*key, digest_of(*payload));
  }
  if (!remote_)
    return refused_signature(
        SignFunctionFailed{"the key is at a remote signer, and this program does not use remote signers"});
  return remote_->sign(std::get<RemoteSigner>(signer), std::move(client), attester, std::move(payload));
}

asio::awaitable<SignResult<Signature>> BaseKeyStore::sign_transaction(EthAddress publisher, MessageHash digest) {
  const auto found = publishers_.find(publisher);
  if (found == publishers_.end()) return refused_signature(unknown_publisher(publisher));
  if (!found->second->key) {
    return refused_signature(SignFunctionFailed{"the key of publisher " + publisher.to_string() +
                                                " is at a remote signer: let the node ask that one"});
  }
  return local_.sign(found->second->key, digest);
}

asio::awaitable<SignedByAll> BaseKeyStore::sign_with_all(std::shared_ptr<const Payload> payload,
                                                         SigningContext context) {
  std::vector<asio::awaitable<SignResult<Signature>>> attempts;
  attempts.reserve(addresses_.size());
  for (const auto& address : addresses_) attempts.push_back(sign(address, payload, context));
  auto signatures = co_await gather(std::move(attempts));
  SignedByAll all;
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    if (signatures[i]) {
      all.signatures.push_back({addresses_[i], *signatures[i]});
    } else {
      all.errors.push_back({addresses_[i], std::move(signatures[i].error())});
    }
  }
  co_return all;
}

}  // namespace hasigner::keys
