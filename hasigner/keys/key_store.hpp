#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "hasigner/async/asio.hpp"
#include "hasigner/crypto/eip712.hpp"
#include "hasigner/keys/load_keystores.hpp"
#include "hasigner/protection/errors.hpp"

namespace hasigner::keys {

/// A message as `eth_sign` takes it: EIP-191 puts its prefix before it.
struct PersonalMessage {
  explicit PersonalMessage(std::vector<std::uint8_t> message);

  std::vector<std::uint8_t> bytes;
  MessageHash digest;  ///< what is signed
};

/// Data to sign.
using Payload = std::variant<TypedData, PersonalMessage>;

/// The 32 bytes that are signed, and that the store records.
[[nodiscard]] MessageHash digest_of(const Payload& payload);

struct ValidatorSignature {
  EthAddress validator;
  Signature signature;
};
struct ValidatorError {
  EthAddress validator;
  SigningError error;
};

/// The signatures and errors of a payload that every attester was asked to sign, both in the order of the attesters.
struct SignedByAll {
  std::vector<ValidatorSignature> signatures;
  std::vector<ValidatorError> errors;
};

/// The keys and the roles of validators, as in the published `ExtendedValidatorKeyStore`.
///
/// A base key store signs without protection; HaKeyStore protects.
/// Thread safety: any thread, and any executor.
class KeyStore {
 public:
  virtual ~KeyStore() = default;

  /// In the order of the keystore files.
  [[nodiscard]] virtual std::vector<EthAddress> attester_addresses() const = 0;
  [[nodiscard]] virtual bool has_attester(const EthAddress& address) const = 0;
  /// Errors: InvalidInput when there are fewer.
  [[nodiscard]] Parsed<EthAddress> attester_address(std::size_t index) const;

  // Roles. Errors: InvalidInput for an address that is not an attester of this key store.
  [[nodiscard]] virtual Parsed<EthAddress> coinbase(const EthAddress& attester) const = 0;
  [[nodiscard]] virtual Parsed<std::vector<EthAddress>> publishers(const EthAddress& attester) const = 0;
  [[nodiscard]] virtual Parsed<FeeRecipient> fee_recipient(const EthAddress& attester) const = 0;
  /// Returns nullopt for a local key.
  [[nodiscard]] virtual Parsed<std::optional<RemoteSigner>> remote_signer(const EthAddress& attester) const = 0;

  /// Signs with one attester's key. Returns within a time of its own, and holds no thread while it waits.
  ///
  /// Errors: InvalidInput for an address that is not an attester of this key store, SignFunctionFailed with the cause;
  /// with protection also every refusal of errors.hpp.
  [[nodiscard]] virtual asio::awaitable<SignResult<Signature>> sign(EthAddress attester,
                                                                    std::shared_ptr<const Payload> payload,
                                                                    SigningContext context) = 0;
  /// As sign(), for a client of a service: where calls wait for a remote signer, clients take turns.
  [[nodiscard]] virtual asio::awaitable<SignResult<Signature>> sign_for(std::string client, EthAddress attester,
                                                                        std::shared_ptr<const Payload> payload,
                                                                        SigningContext context);
  /// Signs with every attester's key.
  [[nodiscard]] virtual asio::awaitable<SignedByAll> sign_with_all(std::shared_ptr<const Payload> payload,
                                                                   SigningContext context) = 0;

  /// What the keystore files name as publishers, each once: the keys that sign transactions.
  [[nodiscard]] virtual std::vector<EthAddress> publisher_addresses() const { return {}; }
  /// Signs a transaction with the key of a publisher; `digest` is that of the transaction.
  ///
  /// Errors: InvalidInput for an address that is not a publisher of this key store, SignFunctionFailed when its key is
  /// at a remote signer.
  [[nodiscard]] virtual asio::awaitable<SignResult<Signature>> sign_transaction(EthAddress publisher,
                                                                                MessageHash digest);
};

/// The refusal of an address that is not a publisher of the key store.
[[nodiscard]] InvalidInput unknown_publisher(const EthAddress& address);

/// The refusal of an address that is not an attester of the key store.
[[nodiscard]] InvalidInput unknown_attester(const EthAddress& address);

}  // namespace hasigner::keys
