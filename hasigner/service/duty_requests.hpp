#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "hasigner/crypto/json.hpp"
#include "hasigner/duty/ownership.hpp"
#include "hasigner/keys/key_store.hpp"
#include "hasigner/protection/claimed_messages.hpp"
#include "hasigner/protection/ha_signer.hpp"
#include "hasigner/service/aztec_payload.hpp"
#include "hasigner/service/clients.hpp"
#include "hasigner/service/problem.hpp"

namespace hasigner::service {

// What clients ask for, read from JSON. Every object is strict: an unknown member is refused by its name. A `json_path`
// says where in the document a value is, for errors, as in `duties[3].context`.

/// A request to sign one thing with a key of this service.
struct SignDutyRequest {
  EthAddress validator;
  std::shared_ptr<const keys::Payload> payload;
  std::optional<SigningContext> context;  ///< nullopt when the client gave none
};

/// A request to claim one duty whose key is elsewhere.
struct ClaimRequest {
  EthAddress validator;
  MessageHash message_hash;
  SigningContext context;
};
struct ReleaseRequest {
  ClaimRequest duty;
  LockToken lock_token;
};
struct RecordRequest {
  ClaimRequest duty;
  LockToken lock_token;
  Signature signature;
};

template <class T>
using ReadResult = std::expected<T, Problem>;
template <class T>
using RequestReader = std::function<ReadResult<T>(const JsonValue& value, std::string_view json_path)>;

/// Reads a signing context: `dutyType`, `slot`, and `blockNumber`, `checkpointNumber`, `blockIndexWithinCheckpoint`
/// where the type has them. Numbers are whole numbers, or texts of their decimal digits.
[[nodiscard]] Parsed<SigningContext> read_context(const JsonValue& value, std::string_view json_path);
/// Reads typed data: an object, or a text that holds one.
[[nodiscard]] Parsed<std::shared_ptr<const keys::Payload>> read_typed_payload(const JsonValue& value,
                                                                              std::string_view json_path);
/// Reads a message as `eth_sign` takes it: `0x` and hex digits.
[[nodiscard]] Parsed<std::shared_ptr<const keys::Payload>> read_message_payload(const JsonValue& value,
                                                                                std::string_view json_path);

/// Returns why this client must not have anything signed for the validator in this context. Asked before the payload is
/// read and hashed; refuse_request() asks it again, with the payload.
[[nodiscard]] std::optional<Problem> refuse_unread(const EthAddress& validator,
                                                   const std::optional<SigningContext>& context, const Client& client);

/// Reads a request of this client. Nothing is hashed for a client that must not have it signed.
[[nodiscard]] ReadResult<SignDutyRequest> read_sign_request(const JsonValue& value, std::string_view json_path,
                                                            const Client& client);
[[nodiscard]] ReadResult<ClaimRequest> read_claim_request(const JsonValue& value, std::string_view json_path);
[[nodiscard]] ReadResult<ReleaseRequest> read_release_request(const JsonValue& value, std::string_view json_path);
[[nodiscard]] ReadResult<RecordRequest> read_record_request(const JsonValue& value, std::string_view json_path);

/// Whether a body holds one request, or a list. The answer has the same shape.
enum class RequestShape : std::uint8_t { kOne, kMany };

/// One request, or many under `duties`.
template <class T>
struct RequestList {
  RequestShape shape = RequestShape::kOne;
  std::vector<ReadResult<T>> list;
};

/// Reads the requests of a body.
///
/// Errors: a body that is not JSON, or that has more requests than `most`. A request that is wrong is an error in the
/// list.
template <class T>
[[nodiscard]] ReadResult<RequestList<T>> read_requests(std::string_view body, std::size_t most, RequestReader<T> read);

/// Returns why the client must not have this signed, or nullopt when it may.
[[nodiscard]] std::optional<Problem> refuse_request(const SignDutyRequest& request, const Client& client,
                                                    const SigningDomain& domain);
/// A request without a context, to be signed on the claim of the client's own node.
struct ClaimedRequest {
  ClaimedMessage message;
  /// Whether it is signed as AUTH_REQUEST, if no row has it; see Right::kAuthRequests.
  bool is_auth_request = false;
  std::string client = {};  ///< see keys::KeyStore::sign_for()
};

/// Reads what a client with the right `claimed` asks for without a context: an Aztec payload that needs protection, or
/// a message of 32 bytes. Returns nullopt for what no node claims; refuse_request() judges that.
///
/// Errors: what the client may not have signed so.
[[nodiscard]] ReadResult<std::optional<ClaimedRequest>> read_claimed(const SignDutyRequest& request,
                                                                     const Client& client, const SigningDomain& domain);

/// Returns why the client must not take steps for this duty, or nullopt when it may.
[[nodiscard]] std::optional<Problem> refuse_steps(const ClaimRequest& request, const Client& client);

}  // namespace hasigner::service
