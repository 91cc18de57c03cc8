#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "hasigner/duty/duty.hpp"
#include "hasigner/duty/ownership.hpp"
#include "hasigner/protection/clock.hpp"

namespace hasigner {

/// The settings of a signer. The defaults stand here alone: the program and the Node.js package take them from here.
struct SignerConfig {
  NodeId node_id;
  EthAddress rollup;
  milliseconds polling_interval{100};                    ///< longest pause between looks at another node's signing
  milliseconds peer_signing_timeout{3000};               ///< how long to wait for another node's signing
  milliseconds signer_call_timeout{30000};               ///< bound on one call of the sign function
  milliseconds attempt_timeout{60000};                   ///< the whole attempt, claim to confirmation
  milliseconds max_stuck_duties_age{144000};             ///< two slots of 72 s
  std::optional<std::chrono::hours> old_duties_max_age;  ///< retention; nullopt: no row is removed
  /// Duty types for which a duty that another attempt has signed with the same data gives the recorded signature
  /// instead of DutyAlreadySigned.
  std::vector<DutyType> return_recorded = {};
  /// Every signature must be the validator's, over the message hash itself or over its EIP-191 form: the step API
  /// records no other, and a refusal carries no other. Needs Ports::is_signature_of. Off, since the signatures of a
  /// caller's own sign function may be of any kind; calls with SignCall::signatures of kValidatorKey are checked
  /// always.
  bool check_signatures = false;
  /// How long this node waits, from when it is first asked for a duty, before it begins to claim it: more than 0 makes
  /// it a reserve node, which leaves duties to nodes that are asked for them at the same time and wait less.
  milliseconds claim_delay{0};
  std::vector<EthAddress> preferred_validators = {};  ///< whose duties claim_delay does not hold back

  // Not settings of the published package, and rarely changed.
  milliseconds store_call_timeout{10000};  ///< bound on one batch
  milliseconds heartbeat_interval{500};
  milliseconds lease{2000};
  milliseconds stop_grace{1000};  ///< how long stop() waits for sign functions in flight
  std::size_t max_attempts_in_flight = 100'000;
  std::size_t max_batch = 1'000;
  /// Calls of sign functions that go on behind their time-out, without those that bound themselves
  /// (SignCall::bounds_itself); with as many, nothing new is claimed.
  std::size_t max_overdue_sign_calls = 64;
};

/// How it is known which slots can have begun. All of it is optional.
struct SlotRules {
  std::optional<std::chrono::sys_seconds> genesis;    ///< when slot 0 of the rollup began; needs slot_duration
  std::optional<std::chrono::seconds> slot_duration;  ///< nullopt: taken as one second, the shortest
  std::optional<std::uint64_t> slots_ahead;           ///< nullopt: kAheadOfClock with genesis, else kAheadOfSeen

  static constexpr std::uint64_t kAheadOfClock = 100;
  static constexpr std::uint64_t kAheadOfSeen = 100'000;
};

/// How long a claim may be held back at most: after it, an attempt must still have the time to wait for another node
/// and to sign.
[[nodiscard]] milliseconds longest_claim_delay(const SignerConfig& config);

/// Checks every value against what is allowed and against the others.
///
/// Errors: InvalidInput naming the field of SignerConfig, its value and what is allowed.
[[nodiscard]] Parsed<SignerConfig> validated(SignerConfig config);

}  // namespace hasigner
