#include "hasigner/protection/config.hpp"

#include <algorithm>

namespace hasigner {

namespace {

using std::chrono::hours;

constexpr milliseconds kLongest = hours(24);
constexpr milliseconds kLongestClaimDelay{10'000};

std::optional<InvalidInput> check(std::string_view name, milliseconds value, milliseconds least, milliseconds most) {
  if (value >= least && value <= most) return std::nullopt;
  return InvalidInput{
      std::string(name), std::to_string(value.count()),
      "a whole number of milliseconds from " + std::to_string(least.count()) + " to " + std::to_string(most.count())};
}

std::optional<InvalidInput> check_claim_delay(const SignerConfig& config) {
  if (auto wrong = check("claim_delay", config.claim_delay, milliseconds(0), kLongestClaimDelay)) return wrong;
  const auto longest = longest_claim_delay(config);
  if (config.claim_delay > longest) {
    return InvalidInput{"claim_delay", std::to_string(config.claim_delay.count()),
                        "at most " + std::to_string(longest.count()) + ": after it the attempt (" +
                            std::to_string(config.attempt_timeout.count()) +
                            " ms) must have the time to wait for another node (" +
                            std::to_string(config.peer_signing_timeout.count()) + " ms) and to sign (" +
                            std::to_string(config.signer_call_timeout.count()) + " ms)"};
  }
  if (!config.preferred_validators.empty() && config.claim_delay == milliseconds(0)) {
    return InvalidInput{"preferred_validators",
                        "a list of " + std::to_string(config.preferred_validators.size()) + " validators",
                        "empty without a claim delay, which holds back the duties of the others"};
  }
  return std::nullopt;
}

}  // namespace

milliseconds longest_claim_delay(const SignerConfig& config) {
  const auto rest = config.attempt_timeout - config.peer_signing_timeout - config.signer_call_timeout;
  return std::clamp(rest, milliseconds(0), kLongestClaimDelay);
}

Parsed<SignerConfig> validated(SignerConfig config) {
  const milliseconds stuck = config.max_stuck_duties_age;
  const auto one = milliseconds(1);
  for (const auto& wrong : {check("polling_interval", config.polling_interval, one, std::chrono::minutes(1)),
                            check("peer_signing_timeout", config.peer_signing_timeout, one, kLongest),
                            check("max_stuck_duties_age", stuck, milliseconds(2000), kLongest),
                            check("signer_call_timeout", config.signer_call_timeout, one, stuck / 2),
                            check("attempt_timeout", config.attempt_timeout, one, stuck - one),
                            check("store_call_timeout", config.store_call_timeout, one, kLongest),
                            check("heartbeat_interval", config.heartbeat_interval, one, config.lease / 2),
                            check("stop_grace", config.stop_grace, milliseconds(0), kLongest)}) {
    if (wrong) return std::unexpected(*wrong);
  }
  if (auto wrong = check_claim_delay(config)) return std::unexpected(std::move(*wrong));
  if (config.old_duties_max_age &&
      (*config.old_duties_max_age < hours(1) || *config.old_duties_max_age > hours(24 * 3650))) {
    return std::unexpected(InvalidInput{"old_duties_max_age", std::to_string(config.old_duties_max_age->count()),
                                        "a whole number of hours from 1 to 87600"});
  }
  if (config.rollup == EthAddress{}) {
    return std::unexpected(
        InvalidInput{"rollup", config.rollup.to_string(), "the address of the rollup contract, not zero"});
  }
  for (const auto type : config.return_recorded) {
    if (is_protected(type)) continue;
    return std::unexpected(
        InvalidInput{"return_recorded", std::string(to_string(type)), "protected duty types: this one has no record"});
  }
  if (config.max_batch < 1 || config.max_batch > 10'000) {
    return std::unexpected(
        InvalidInput{"max_batch", std::to_string(config.max_batch), "a whole number from 1 to 10000"});
  }
  if (config.max_overdue_sign_calls < 1 || config.max_overdue_sign_calls > 10'000) {
    return std::unexpected(InvalidInput{"max_overdue_sign_calls", std::to_string(config.max_overdue_sign_calls),
                                        "a whole number from 1 to 10000"});
  }
  return config;
}

}  // namespace hasigner
