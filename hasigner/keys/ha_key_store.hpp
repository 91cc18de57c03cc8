#pragma once

#include <memory>
#include <mutex>

#include "hasigner/keys/key_store.hpp"
#include "hasigner/protection/ha_signer.hpp"

namespace hasigner::keys {

/// One of many things to sign.
struct KeyStoreRequest {
  EthAddress attester;
  std::shared_ptr<const Payload> payload;
  SigningContext context;
};

/// Joins keys with protection: whatever is signed for a protected duty goes through the signer.
///
/// Duty types that need no protection go to the base key store directly. With all attesters, one batch goes to the
/// store; duties that have been signed already are left out of the answer, every other error is in it. Ownership: the
/// signer must outlive it, and is started and stopped by start() and stop().
class HaKeyStore final : public KeyStore {
 public:
  HaKeyStore(std::shared_ptr<KeyStore> base, HaSigner& signer);

  /// As HaSigner::start() and HaSigner::stop().
  [[nodiscard]] asio::awaitable<SignResult<std::monostate>> start(milliseconds timeout = milliseconds(15'000));
  [[nodiscard]] asio::awaitable<void> stop();

  /// Signs with other keys from now on; what is in flight ends with the old ones. Protection stays as it is.
  void replace_base(std::shared_ptr<KeyStore> base);

  [[nodiscard]] std::vector<EthAddress> attester_addresses() const override;
  [[nodiscard]] bool has_attester(const EthAddress& address) const override;
  [[nodiscard]] Parsed<EthAddress> coinbase(const EthAddress& attester) const override;
  [[nodiscard]] Parsed<std::vector<EthAddress>> publishers(const EthAddress& attester) const override;
  [[nodiscard]] Parsed<FeeRecipient> fee_recipient(const EthAddress& attester) const override;
  [[nodiscard]] Parsed<std::optional<RemoteSigner>> remote_signer(const EthAddress& attester) const override;

  [[nodiscard]] asio::awaitable<SignResult<Signature>> sign(EthAddress attester, std::shared_ptr<const Payload> payload,
                                                            SigningContext context) override;
  [[nodiscard]] asio::awaitable<SignedByAll> sign_with_all(std::shared_ptr<const Payload> payload,
                                                           SigningContext context) override;
  /// As sign() for each, at once: one batch goes to the store. The results are in the order of the requests.
  [[nodiscard]] asio::awaitable<std::vector<SignResult<Signature>>> sign_many(std::vector<KeyStoreRequest> requests);

 private:
  [[nodiscard]] std::shared_ptr<KeyStore> base() const;

  HaSigner& signer_;
  mutable std::mutex replacing_;
  std::shared_ptr<KeyStore> base_;
};

}  // namespace hasigner::keys
