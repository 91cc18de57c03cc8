#pragma once

#include <memory>

#include "hasigner/factory/ha_node.hpp"
#include "hasigner/keys/ha_key_store.hpp"
#include "hasigner/protection/batch_lane.hpp"
#include "hasigner/protection/claimed_messages.hpp"
#include "hasigner/service/duty_requests.hpp"
#include "hasigner/service/service_metrics.hpp"

namespace hasigner::service {

/// Signs on the claims of nodes that ask without a signing context.
///
/// A signature of a local key is made first and leaves when the store has confirmed it as the one of its duty. A remote
/// signer is asked only when the message has been reserved so, and its answer leaves when it is confirmed.
/// Thread safety: the node's executor.
class ClaimedSigning : public std::enable_shared_from_this<ClaimedSigning> {
 public:
  /// The node must have claimed_messages(). `time_limit`: for one request.
  ClaimedSigning(HaNode& node, keys::HaKeyStore& keys, std::shared_ptr<ServiceMetrics> metrics, NodeId node_id,
                 milliseconds time_limit);

  /// Errors: duty_not_claimed, which says what stands instead of the row; slashing_protection, outside_watermark;
  /// forbidden for an AUTH_REQUEST that a row has; in_doubt and unavailable when the store does not answer; what the
  /// key store says.
  [[nodiscard]] static asio::awaitable<std::expected<Signature, Problem>> sign(
      std::shared_ptr<ClaimedSigning> self, ClaimedRequest request, std::shared_ptr<const keys::Payload> payload);

 private:
  static asio::awaitable<std::expected<Signature, Problem>> sign_claimed(std::shared_ptr<ClaimedSigning> self,
                                                                         ClaimedRequest request,
                                                                         std::shared_ptr<const keys::Payload> payload);
  using Lane = BatchLane<ClaimedMessage, ClaimedOutcome>;
  using Outcome = std::expected<Released, Problem>;

  static asio::awaitable<Outcome> release(std::shared_ptr<ClaimedSigning> self, ClaimedMessage message,
                                          MonotonicTime deadline);
  static asio::awaitable<StoreResult<std::vector<FoundDuty>>> find(std::shared_ptr<ClaimedSigning> self,
                                                                   ClaimedMessage message);
  static asio::awaitable<std::expected<Signature, Problem>> sign_auth_request(
      std::shared_ptr<ClaimedSigning> self, ClaimedRequest request, std::shared_ptr<const keys::Payload> payload);
  static asio::awaitable<SignResult<Signature>> sign_now(std::shared_ptr<ClaimedSigning> self, std::string client,
                                                         EthAddress validator,
                                                         std::shared_ptr<const keys::Payload> payload);

  HaNode& node_;
  keys::HaKeyStore& keys_;
  std::shared_ptr<ServiceMetrics> metrics_;
  milliseconds time_limit_;
  std::shared_ptr<Lane> lane_;
};

}  // namespace hasigner::service
