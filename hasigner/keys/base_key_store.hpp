#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "hasigner/keys/key_store.hpp"
#include "hasigner/keys/local_signing.hpp"

namespace hasigner::keys {

/// Port: asks a remote signer for a signature. An implementation bounds the time of a call itself.
class RemoteSigning {
 public:
  virtual ~RemoteSigning() = default;
  /// `client`: see KeyStore::sign_for().
  [[nodiscard]] virtual asio::awaitable<SignResult<Signature>> sign(RemoteSigner remote, std::string client,
                                                                    EthAddress attester,
                                                                    std::shared_ptr<const Payload> payload) = 0;
};

/// The keys of keystore files, without protection.
///
/// It never changes: a reload makes another one.
class BaseKeyStore final : public KeyStore {
 public:
  /// Local keys sign on `work`. `remote` may be null; then an attester at a remote signer gets SignFunctionFailed.
  BaseKeyStore(std::vector<Validator> validators, asio::any_io_executor work,
               std::shared_ptr<RemoteSigning> remote = nullptr, std::vector<std::string> doubts = {});

  [[nodiscard]] std::vector<EthAddress> attester_addresses() const override { return addresses_; }
  [[nodiscard]] bool has_attester(const EthAddress& address) const override { return indexes_.contains(address); }
  [[nodiscard]] Parsed<EthAddress> coinbase(const EthAddress& attester) const override;
  [[nodiscard]] Parsed<std::vector<EthAddress>> publishers(const EthAddress& attester) const override;
  [[nodiscard]] Parsed<FeeRecipient> fee_recipient(const EthAddress& attester) const override;
  [[nodiscard]] Parsed<std::optional<RemoteSigner>> remote_signer(const EthAddress& attester) const override;
  /// Where a key comes from, for a person. It does not show the key.
  [[nodiscard]] Parsed<std::string> origin(const EthAddress& attester) const;
  /// See LoadedKeystores.
  [[nodiscard]] const std::vector<std::string>& doubts() const { return doubts_; }

  [[nodiscard]] asio::awaitable<SignResult<Signature>> sign(EthAddress attester, std::shared_ptr<const Payload> payload,
                                                            SigningContext context) override;
  [[nodiscard]] asio::awaitable<SignResult<Signature>> sign_for(std::string client, EthAddress attester,
                                                                std::shared_ptr<const Payload> payload,
                                                                SigningContext context) override;
  [[nodiscard]] std::vector<EthAddress> publisher_addresses() const override { return publisher_addresses_; }
  [[nodiscard]] asio::awaitable<SignResult<Signature>> sign_transaction(EthAddress publisher,
                                                                        MessageHash digest) override;
  [[nodiscard]] asio::awaitable<SignedByAll> sign_with_all(std::shared_ptr<const Payload> payload,
                                                           SigningContext context) override;

 private:
  struct KeyIndex {
    std::size_t validator;
    std::size_t attester;
  };

  [[nodiscard]] Parsed<KeyIndex> find(const EthAddress& attester) const;
  [[nodiscard]] const Validator& validator_at(KeyIndex index) const { return validators_[index.validator]; }
  [[nodiscard]] const AttesterKey& key_at(KeyIndex index) const {
    return validator_at(index).attesters[index.attester];
  }

  std::vector<Validator> validators_;
  std::vector<EthAddress> addresses_;
  std::vector<EthAddress> publisher_addresses_;
  std::unordered_map<EthAddress, const Publisher*, BytesHash<EthAddress>> publishers_;
  std::unordered_map<EthAddress, KeyIndex, BytesHash<EthAddress>> indexes_;
  LocalSigning local_;
  std::shared_ptr<RemoteSigning> remote_;
  std::vector<std::string> doubts_;
};

}  // namespace hasigner::keys
