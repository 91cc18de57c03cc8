#pragma once

#include <atomic>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "hasigner/keys/base_key_store.hpp"
#include "hasigner/keys/http_client.hpp"

namespace hasigner::keys {

/// The signature in the answer to request `id`, if the attester's key made it of this digest; its s is low.
///
/// Errors: the predicate of a sentence whose subject is the remote signer. It does not show a secret of the URL.
[[nodiscard]] std::expected<Signature, std::string> signature_in(const HttpAnswer& answer, std::uint64_t id,
                                                                 const RemoteUrl& url, const EthAddress& attester,
                                                                 const MessageHash& digest);
/// The addresses in the answer to request `id`. Errors: as signature_in().
[[nodiscard]] std::expected<std::vector<EthAddress>, std::string> accounts_in(const HttpAnswer& answer,
                                                                              std::uint64_t id, const RemoteUrl& url);

/// Asks remote signers that have the interface of Web3Signer: JSON-RPC over HTTP or HTTPS.
///
/// Typed data is sent with `eth_signTypedData [address, JSON text]`; the type of its domain is added when it was left
/// out. A message is sent with `eth_sign [address, 0x…]`. A signature is accepted only if it has 65 bytes
/// and recovers to the attester's address for the digest that was to be signed. v of 0 or 1 becomes 27 or 28, and a
/// high s low. Every call is bounded in time and answer size; HttpClient says which requests are repeated. Redirects
/// are not followed. Thread safety: any thread, and any executor.
class Web3Signer final : public RemoteSigning {
 public:
  /// Prepares for these remote signers; equal ones share their connections. Reads the files of certificates, and sends
  /// nothing.
  ///
  /// Errors: InvalidInput for a file that cannot be used, and for a client certificate without https. The error does
  /// not show a secret.
  [[nodiscard]] static Parsed<std::shared_ptr<Web3Signer>> create(const std::vector<RemoteSigner>& remotes,
                                                                  const Web3SignerSettings& settings,
                                                                  const asio::any_io_executor& network);

  /// Errors: SignFunctionFailed naming the remote signer and what went wrong.
  [[nodiscard]] asio::awaitable<SignResult<Signature>> sign(RemoteSigner remote, std::string client,
                                                            EthAddress attester,
                                                            std::shared_ptr<const Payload> payload) override;

  /// The addresses whose keys the remote signer holds, by `eth_accounts`.
  ///
  /// Errors: a sentence naming the remote signer and what went wrong.
  [[nodiscard]] asio::awaitable<std::expected<std::vector<EthAddress>, std::string>> accounts(RemoteSigner remote);

 private:
  struct Server {
    RemoteSigner remote;
    std::shared_ptr<HttpClient> client;
  };

  explicit Web3Signer(std::vector<Server> servers) : servers_(std::move(servers)) {}
  [[nodiscard]] const std::shared_ptr<HttpClient>& client_of(const RemoteSigner& remote) const;

  std::vector<Server> servers_;
  std::atomic<std::uint64_t> next_id_ = 1;
};

}  // namespace hasigner::keys
