#pragma once

#include <cstddef>
#include <deque>
#include <expected>
#include <memory>
#include <unordered_map>
#include <utility>

#include "hasigner/protection/config.hpp"
#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/node_health.hpp"

namespace hasigner {

/// Decides when this node may begin to claim a duty: a preferred node at once, a reserve node and an unhealthy node
/// later.
///
/// That is decided when the node is first asked for the duty and remembered for the stuck-duty age, so that a request
/// that is repeated waits for no more than the rest of the first one's delay, and not at all once the duty is claimed.
/// Thread safety: one executor.
class ClaimDelay {
 public:
  /// `health` is null for a node that is not checked.
  ClaimDelay(const SignerConfig& config, std::shared_ptr<const NodeHealth> health);

  /// The moment from which the duty may be claimed; not after `now` where nothing delays it.
  ///
  /// Errors: Unhealthy.
  [[nodiscard]] std::expected<MonotonicTime, Unhealthy> claim_at(const DutyKey& duty, MonotonicTime now);

  /// So many duties are remembered; the oldest is forgotten for a further one.
  static constexpr std::size_t kMostRemembered = 20'000;

 private:
  [[nodiscard]] milliseconds delay_of(const EthAddress& validator) const;
  void forget(MonotonicTime asked_before);

  milliseconds delay_;
  std::vector<EthAddress> preferred_;  ///< sorted
  milliseconds remembered_;
  std::shared_ptr<const NodeHealth> health_;
  std::unordered_map<DutyKey, MonotonicTime, DutyKeyHash> claim_at_;
  std::deque<std::pair<MonotonicTime, DutyKey>> asked_;  ///< when, oldest first; the keys of `claim_at_`
};

}  // namespace hasigner
