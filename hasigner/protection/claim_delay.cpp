#include "hasigner/protection/claim_delay.hpp"

#include <algorithm>

namespace hasigner {

ClaimDelay::ClaimDelay(const SignerConfig& config, std::shared_ptr<const NodeHealth> health)
    : delay_(config.claim_delay),
      preferred_(config.preferred_validators),
      remembered_(config.max_stuck_duties_age),
      health_(std::move(health)) {
  std::ranges::sort(preferred_);
}

std::expected<MonotonicTime, Unhealthy> ClaimDelay::claim_at(const DutyKey& duty, MonotonicTime now) {
  if (delay_ == milliseconds(0) && !health_) return now;
  forget(now - remembered_);
  if (const auto before = claim_at_.find(duty); before != claim_at_.end()) return before->second;
  auto at = now + delay_of(duty.validator);
  if (health_ && !health_->is_healthy()) {
    if (health_->rules().action == NodeHealth::Action::kRefuse) return std::unexpected(Unhealthy{health_->failure()});
    at += health_->rules().delay;
  }
  claim_at_.emplace(duty, at);
  asked_.emplace_back(now, duty);
  return at;
}

milliseconds ClaimDelay::delay_of(const EthAddress& validator) const {
  return std::ranges::binary_search(preferred_, validator) ? milliseconds(0) : delay_;
}

/// Also makes room for one more.
void ClaimDelay::forget(MonotonicTime asked_before) {
  while (!asked_.empty() && (asked_.front().first < asked_before || asked_.size() >= kMostRemembered)) {
    claim_at_.erase(asked_.front().second);
    asked_.pop_front();
  }
}

}  // namespace hasigner
