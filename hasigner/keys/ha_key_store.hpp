#pragma once

#include <memory>
#include <mutex>

#include "hasigner/keys/key_store.hpp"
#include "hasigner/protection/ha_signer.hpp"

namespace hasigner::keys {

/// One of several payloads to sign.
struct KeyStoreRequest {
  EthAddress attester;
  std::shared_ptr<const Payload> payload;
  SigningContext context;
  std::string client = {};  ///< see KeyStore::sign_for()
};

/// In which order a duty whose key a remote signer holds is claimed and signed. Duties of local keys are signed first.
enum class RemoteSigners : std::uint8_t {
  kClaimFirst,  ///< the remote signer is asked only for duties that this node has won
  /// One round trip to the store instead of two. The remote signer is then also asked for duties that another node
  /// wins, with other data too: it sees, signs and perhaps logs messages whose signatures are destroyed.
  kSignFirst,
};

/// Joins keys with protection: every signature for a protected duty goes through the signer.
///
/// Duty types that need no protection go to the base key store directly. sign_with_all() signs all at once, in few
/// batches for the store. Its answer leaves out duties that were signed already, and has every other error, time-outs
/// included. Ownership: the signer must outlive the key store.
class HaKeyStore final : public KeyStore {
 public:
  HaKeyStore(std::shared_ptr<KeyStore> base, HaSigner& signer,
             RemoteSigners remote_signers = RemoteSigners::kClaimFirst);

  /// Signs with other keys from now on. Attempts in flight end with the old keys. Protection does not change.
  void replace_base(std::shared_ptr<KeyStore> base);

  [[nodiscard]] std::vector<EthAddress> attester_addresses() const override;
  [[nodiscard]] bool has_attester(const EthAddress& address) const override;
  [[nodiscard]] Parsed<EthAddress> coinbase(const EthAddress& attester) const override;
  [[nodiscard]] Parsed<std::vector<EthAddress>> publishers(const EthAddress& attester) const override;
  [[nodiscard]] Parsed<FeeRecipient> fee_recipient(const EthAddress& attester) const override;
  [[nodiscard]] Parsed<std::optional<RemoteSigner>> remote_signer(const EthAddress& attester) const override;

  [[nodiscard]] asio::awaitable<SignResult<Signature>> sign(EthAddress attester, std::shared_ptr<const Payload> payload,
                                                            SigningContext context) override;
  [[nodiscard]] asio::awaitable<SignResult<Signature>> sign_for(std::string client, EthAddress attester,
                                                                std::shared_ptr<const Payload> payload,
                                                                SigningContext context) override;
  [[nodiscard]] std::vector<EthAddress> publisher_addresses() const override;
  [[nodiscard]] asio::awaitable<SignResult<Signature>> sign_transaction(EthAddress publisher,
                                                                        MessageHash digest) override;
  [[nodiscard]] asio::awaitable<SignedByAll> sign_with_all(std::shared_ptr<const Payload> payload,
                                                           SigningContext context) override;
  /// As sign() for each request, all at once and in few batches for the store. The results are in the order of the
  /// requests.
  [[nodiscard]] asio::awaitable<std::vector<SignResult<SignedDuty>>> sign_many(std::vector<KeyStoreRequest> requests);

 private:
  [[nodiscard]] std::shared_ptr<KeyStore> base() const;

  HaSigner& signer_;
  RemoteSigners remote_signers_;
  mutable std::mutex replacing_;
  std::shared_ptr<KeyStore> base_;
};

}  // namespace hasigner::keys
