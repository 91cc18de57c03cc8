#include "hasigner/keys/ha_key_store.hpp"

namespace hasigner::keys {

namespace {

asio::awaitable<SignOutcome> sign_with_base(std::shared_ptr<KeyStore> base, std::string client,
                                            std::shared_ptr<const Payload> payload, SignRequest request) {
  auto signature = co_await base->sign_for(std::move(client), request.validator, std::move(payload), request.context);
  if (signature) co_return *signature;
  if (const auto* const failed = std::get_if<SignFunctionFailed>(&signature.error())) {
    co_return std::unexpected(failed->cause);
  }
  co_return std::unexpected(message(signature.error()));
}

/// A local key signs unseen. A remote signer sees what it signs.
SignEffects effects_of(const KeyStore& keys, const EthAddress& attester, RemoteSigners remote_signers) {
  const auto remote = keys.remote_signer(attester);
  const bool is_remote = !remote || remote->has_value();
  return is_remote && remote_signers == RemoteSigners::kClaimFirst ? SignEffects::kOutside : SignEffects::kNone;
}

/// One duty for one attester. The store records the same digest that the key signs.
SignCall sign_call(const std::shared_ptr<KeyStore>& base, RemoteSigners remote_signers, const EthAddress& attester,
                   const std::shared_ptr<const Payload>& payload, const MessageHash& digest,
                   const SigningContext& context, const std::string& client = {}) {
  SignFunction sign_function = [base, payload, client](SignRequest request) {
    return sign_with_base(base, client, payload, std::move(request));
  };
  return {.request = {attester, digest, context},
          .sign_function = std::move(sign_function),
          .effects = effects_of(*base, attester, remote_signers),
          .signatures = SignatureKind::kValidatorKey,
          .bounds_itself = true};
}

/// Keeps the keys alive until they have signed, even when a reload replaces them meanwhile.
asio::awaitable<SignResult<Signature>> pass_through(std::shared_ptr<KeyStore> keys, std::string client,
                                                    EthAddress attester, std::shared_ptr<const Payload> payload,
                                                    SigningContext context) {
  auto signature = co_await keys->sign_for(std::move(client), attester, std::move(payload), context);
  co_return signature;
}

asio::awaitable<SignResult<Signature>> protect(HaSigner& signer, SignCall call) {
  std::vector<SignCall> calls;
  calls.push_back(std::move(call));
  auto attempts = signer.sign_many(std::move(calls));
  auto results = co_await std::move(attempts);
  if (!results.front()) co_return std::unexpected(std::move(results.front().error()));
  co_return results.front()->signature;
}

asio::awaitable<SignResult<Signature>> refuse(SigningError error) {
  co_return std::unexpected(std::move(error));
}

asio::awaitable<SignResult<Signature>> sign_transaction_with(std::shared_ptr<KeyStore> keys, EthAddress publisher,
                                                             MessageHash digest) {
  auto signature = co_await keys->sign_transaction(publisher, digest);
  co_return signature;
}

}  // namespace

HaKeyStore::HaKeyStore(std::shared_ptr<KeyStore> base, HaSigner& signer, RemoteSigners remote_signers)
    : signer_(signer), remote_signers_(remote_signers), base_(std::move(base)) {}

void HaKeyStore::replace_base(std::shared_ptr<KeyStore> base) {
  const std::scoped_lock lock(replacing_);
  base_.swap(base);
}

std::shared_ptr<KeyStore> HaKeyStore::base() const {
  const std::scoped_lock lock(replacing_);
  return base_;
}

std::vector<EthAddress> HaKeyStore::attester_addresses() const {
  return base()->attester_addresses();
}

bool HaKeyStore::has_attester(const EthAddress& address) const {
  return base()->has_attester(address);
}

Parsed<EthAddress> HaKeyStore::coinbase(const EthAddress& attester) const {
  return base()->coinbase(attester);
}

Parsed<std::vector<EthAddress>> HaKeyStore::publishers(const EthAddress& attester) const {
  return base()->publishers(attester);
}

Parsed<FeeRecipient> HaKeyStore::fee_recipient(const EthAddress& attester) const {
  return base()->fee_recipient(attester);
}

Parsed<std::optional<RemoteSigner>> HaKeyStore::remote_signer(const EthAddress& attester) const {
  return base()->remote_signer(attester);
}

asio::awaitable<SignResult<Signature>> HaKeyStore::sign(EthAddress attester, std::shared_ptr<const Payload> payload,
                                                        SigningContext context) {
  return sign_for({}, attester, std::move(payload), context);
}

asio::awaitable<SignResult<Signature>> HaKeyStore::sign_for(std::string client, EthAddress attester,
                                                            std::shared_ptr<const Payload> payload,
                                                            SigningContext context) {
  const auto keys = base();
  // Checked before the claim: a row for an address without a key would have to be released again.
  if (!keys->has_attester(attester)) return refuse(unknown_attester(attester));
  if (!is_protected(context.duty_type)) {
    return pass_through(keys, std::move(client), attester, std::move(payload), context);
  }
  auto call = sign_call(keys, remote_signers_, attester, payload, digest_of(*payload), context, client);
  return protect(signer_, std::move(call));
}

std::vector<EthAddress> HaKeyStore::publisher_addresses() const {
  return base()->publisher_addresses();
}

/// A transaction is not a duty: nothing protects it but its nonce.
asio::awaitable<SignResult<Signature>> HaKeyStore::sign_transaction(EthAddress publisher, MessageHash digest) {
  return sign_transaction_with(base(), publisher, digest);
}

asio::awaitable<SignedByAll> HaKeyStore::sign_with_all(std::shared_ptr<const Payload> payload, SigningContext context) {
  const auto keys = base();
  if (!is_protected(context.duty_type)) {
    auto unprotected = co_await keys->sign_with_all(std::move(payload), context);
    co_return unprotected;
  }
  const auto digest = digest_of(*payload);
  const auto addresses = keys->attester_addresses();
  std::vector<SignCall> calls;
  calls.reserve(addresses.size());
  for (const auto& address : addresses)
    calls.push_back(sign_call(keys, remote_signers_, address, payload, digest, context));
  auto results = co_await signer_.sign_many(std::move(calls));
  SignedByAll all;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i]) {
      all.signatures.push_back({addresses[i], *results[i]});
    } else if (const auto* already = std::get_if<DutyAlreadySigned>(&results[i].error());
               !already || already->signed_by == kUnknownTimeout) {
      all.errors.push_back({addresses[i], std::move(results[i].error())});
    }
  }
  co_return all;
}

asio::awaitable<std::vector<SignResult<SignedDuty>>> HaKeyStore::sign_many(std::vector<KeyStoreRequest> requests) {
  const auto keys = base();
  std::vector<SignResult<SignedDuty>> results(requests.size(), std::unexpected(NotRunning{}));
  std::vector<SignCall> calls;
  std::vector<std::size_t> indexes;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto& [attester, payload, context, client] = requests[i];
    if (const auto known = keys->coinbase(attester); !known) {
      results[i] = std::unexpected(known.error());
      continue;
    }
    // The signer calls the sign function directly for duty types that need no protection.
    calls.push_back(sign_call(keys, remote_signers_, attester, payload, digest_of(*payload), context, client));
    indexes.push_back(i);
  }
  auto signatures = co_await signer_.sign_many(std::move(calls));
  for (std::size_t i = 0; i < signatures.size(); ++i) results[indexes[i]] = std::move(signatures[i]);
  co_return results;
}

}  // namespace hasigner::keys
