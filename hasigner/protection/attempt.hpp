#pragma once

#include <memory>

#include "hasigner/protection/decide.hpp"
#include "hasigner/protection/protocol.hpp"

namespace hasigner {

/// One call to sign one duty: claim, wait or take over, sign, record. Runs to its end whoever still waits for it, so
/// that a claim that may stand always has an owner that uses it or releases it.
///
/// Thread safety: one executor; one coroutine.
class Attempt {
 public:
  Attempt(std::shared_ptr<Protocol> protocol, Duty duty, TokenKind kind);

  /// Steps 1 and 2: the lock token under which this attempt holds the duty, or the refusal.
  [[nodiscard]] asio::awaitable<SignResult<LockToken>> acquire();

  /// Step 3, bounded; a failure leaves the duty to be released by settle().
  [[nodiscard]] asio::awaitable<SignResult<Signature>> sign(SignFunction sign_function, SignRequest request);

  /// Step 4: returns only what the store has confirmed.
  [[nodiscard]] asio::awaitable<SignResult<Unit>> record(DutyRecord record);

  /// Whether release_once() would have nothing to do: the row stays, and nothing is on its way to the store.
  [[nodiscard]] bool is_settled() const { return row_stays_ && !claim_in_flight_ && !takeover_in_flight_; }
  /// Releases what this attempt may still hold, once, and says whether that is settled.
  [[nodiscard]] asio::awaitable<bool> release_once(MonotonicTime until);
  /// Goes on releasing until nothing of this attempt can stand or appear any more.
  [[nodiscard]] asio::awaitable<void> settle();

  /// Lets the next attempt of this process through to the duty.
  void leave();

  [[nodiscard]] const Duty& duty() const { return standing_.duty; }

 private:
  [[nodiscard]] asio::awaitable<SignResult<Unit>> wait_for(std::shared_ptr<Arrival<Unit>> turn);
  [[nodiscard]] asio::awaitable<SignResult<std::optional<ClaimOutcome>>> claim();
  [[nodiscard]] asio::awaitable<SignResult<std::optional<LockToken>>> follow(DutyView view);
  [[nodiscard]] asio::awaitable<SignResult<std::optional<LockToken>>> refuse(Refuse refusal);
  [[nodiscard]] asio::awaitable<SignResult<std::optional<LockToken>>> take_over(TakeOver decision);
  [[nodiscard]] asio::awaitable<SignResult<std::optional<DutyView>>> look();
  [[nodiscard]] asio::awaitable<SignResult<LockToken>> hold();
  [[nodiscard]] asio::awaitable<SignResult<LockToken>> regain(LockToken lost_token);
  [[nodiscard]] SigningLockLost lost(std::string reason) const;
  [[nodiscard]] asio::awaitable<void> pause(milliseconds length);
  void notice(const StoreError& error);
  [[nodiscard]] SigningError gave_up() const;
  [[nodiscard]] bool out_of_time() const { return clock().now() >= deadline_; }
  [[nodiscard]] Clock& clock() const { return *protocol_->ports.clock; }
  [[nodiscard]] milliseconds wait_pause() const;
  void count(Metrics::Event event) { protocol_->ports.metrics->count(event, standing_.duty.key.duty_type); }

  template <class T>
  asio::awaitable<bool> still_out(std::shared_ptr<Arrival<T>> arrival, MonotonicTime until);
  template <class T>
  asio::awaitable<std::optional<T>> wait(std::shared_ptr<Arrival<T>> arrival, MonotonicTime until,
                                         const bool* interrupt);

  std::shared_ptr<Protocol> protocol_;
  Standing standing_;
  TokenKind kind_;
  MonotonicTime deadline_;
  std::string last_error_;
  LockToken seen_token_;  ///< of the row that is waited for
  MonotonicTime seen_since_{};
  MonotonicTime waiting_since_{};
  milliseconds store_pause_{10};  ///< before the store is asked again after an error
  std::shared_ptr<Arrival<StoreResult<ClaimOutcome>>> claim_in_flight_;  ///< sent, and not waited for any more
  std::shared_ptr<Arrival<StoreResult<RowOutcome>>> takeover_in_flight_;
  bool inside_ = false;          ///< through the duty_queue
  bool claim_stands_ = false;    ///< the row was last seen under the claim's token
  bool claim_in_doubt_ = false;  ///< a claim got no answer, so it may stand or still appear
  bool takeover_stands_ = false;
  bool takeover_in_doubt_ = false;
  bool row_stays_ = false;  ///< recorded, in doubt, or the caller's
};

}  // namespace hasigner
