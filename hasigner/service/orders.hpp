#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "hasigner/crypto/json.hpp"
#include "hasigner/duty/lock_token.hpp"
#include "hasigner/keys/key_store.hpp"
#include "hasigner/protection/ha_signer.hpp"
#include "hasigner/service/aztec_payload.hpp"
#include "hasigner/service/clients.hpp"
#include "hasigner/service/problem.hpp"

namespace hasigner::service {

// What clients ask for, read from JSON. Every object is strict: a member that it does not have is refused by its name.

/// One thing to sign with a key that is here.
struct SignOrder {
  EthAddress validator;
  std::shared_ptr<const keys::Payload> payload;
  std::optional<SigningContext> context;  ///< nothing: none was given
};

/// One duty whose key is elsewhere.
struct ClaimOrder {
  EthAddress validator;
  MessageHash message_hash;
  SigningContext context;
};
struct ReleaseOrder {
  ClaimOrder duty;
  LockToken lock_token;
};
struct RecordOrder {
  ClaimOrder duty;
  LockToken lock_token;
  Signature signature;
};

template <class T>
using Ordered = std::expected<T, Problem>;

/// The signing context: `dutyType`, `slot`, and `blockNumber`, `checkpointNumber`, `blockIndexWithinCheckpoint` where
/// the type has them; whole numbers, or texts of their decimal digits.
[[nodiscard]] Parsed<SigningContext> read_context(const JsonValue& value, std::string_view place);
/// Typed data, as an object or as a text that holds one.
[[nodiscard]] Parsed<std::shared_ptr<const keys::Payload>> read_typed_payload(const JsonValue& value,
                                                                              std::string_view place);
/// A message as `0x` and hex digits, as `eth_sign` takes it.
[[nodiscard]] Parsed<std::shared_ptr<const keys::Payload>> read_message_payload(const JsonValue& value,
                                                                                std::string_view place);

[[nodiscard]] Ordered<SignOrder> read_sign_order(const JsonValue& value, std::string_view place);
[[nodiscard]] Ordered<ClaimOrder> read_claim_order(const JsonValue& value, std::string_view place);
[[nodiscard]] Ordered<ReleaseOrder> read_release_order(const JsonValue& value, std::string_view place);
[[nodiscard]] Ordered<RecordOrder> read_record_order(const JsonValue& value, std::string_view place);

/// One order, or many under `duties`.
template <class T>
struct Orders {
  bool many = false;
  std::vector<Ordered<T>> list;
};

/// The orders of a body. Errors: a body that is no JSON, or has more orders than `most`; one that is wrong is an error
/// of its own in the list.
template <class T>
[[nodiscard]] Ordered<Orders<T>> read_orders(std::string_view body, std::size_t most,
                                             Ordered<T> (*read)(const JsonValue&, std::string_view));

/// Why this client must not have it signed; nothing: it may.
[[nodiscard]] std::optional<Problem> refuse_order(const SignOrder& order, const Client& client,
                                                  const SigningDomain& domain);
/// Why this client must not take the steps for it; nothing: it may.
[[nodiscard]] std::optional<Problem> refuse_steps(const ClaimOrder& order, const Client& client);

}  // namespace hasigner::service
