#pragma once

#include <atomic>
#include <boost/intrusive/list.hpp>
#include <functional>
#include <memory>

#include "hasigner/protection/async.hpp"
#include "hasigner/protection/attempt/state.hpp"
#include "hasigner/protection/batch_lane.hpp"
#include "hasigner/protection/claim_delay.hpp"
#include "hasigner/protection/config.hpp"
#include "hasigner/protection/node_lease.hpp"
#include "hasigner/protection/ports.hpp"

namespace hasigner {

[[nodiscard]] inline const DutyKey& key_of(const StoredSignature& stored) {
  return stored.key;
}

/// A wait of an attempt, in the list of all such as long as this lives.
struct PendingWait : boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
  explicit PendingWait(Awaited& awaited_in) : awaited(awaited_in) {}
  Awaited& awaited;
};

/// What all attempts of one signer share: the ports, one lane of batches for each kind of request, the queue of each
/// duty.
///
/// Thread safety: one executor.
struct Protocol {
  Protocol(Ports ports, SignerConfig config);

  [[nodiscard]] LockToken new_token(TokenKind kind);
  /// A random pause around `base`, so that many waiters do not come back at once.
  [[nodiscard]] milliseconds jittered(milliseconds base);
  /// Requests that wait to be sent to the store.
  [[nodiscard]] std::size_t queued() const;
  /// Ends the actions of attempts that this level ends.
  void stop_at(attempt::StopLevel level);

  Ports ports;
  SignerConfig config;
  ClaimDelay claim_delay;
  std::shared_ptr<NodeLease> lease;
  DutyQueue duty_queue;
  std::shared_ptr<BatchLane<DutyClaim, ClaimOutcome>> claims;
  std::shared_ptr<BatchLane<SignedClaim, SignedClaimOutcome>> signed_claims;
  std::shared_ptr<BatchLane<DutyKey, DutyView>> looks;
  std::shared_ptr<BatchLane<Takeover, RowOutcome>> takeovers;
  std::shared_ptr<BatchLane<DutyRecord, RowOutcome>> records;
  std::shared_ptr<BatchLane<DutyRelease, attempt::ReleaseResult>> releases;
  std::shared_ptr<BatchLane<StoredSignature, bool>> stored_confirmations;
  std::atomic<std::size_t> attempts_in_flight = 0;  ///< read by other threads too
  std::atomic<std::size_t> unsettled = 0;           ///< attempts that have answered but still clean up after themselves
  /// Calls of sign functions that go on behind their time-out; the calls own it too.
  std::shared_ptr<std::size_t> overdue_sign_calls = std::make_shared<std::size_t>(0);
  boost::intrusive::list<PendingWait, boost::intrusive::constant_time_size<false>> waits;  ///< what stop() wakes
  bool starting = false;
  std::atomic<bool> accepting = false;
  attempt::StopLevel stop = attempt::StopLevel::kRunning;
};

}  // namespace hasigner
