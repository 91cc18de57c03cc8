#include "hasigner/protection/attempt.hpp"

namespace hasigner {

namespace {

/// Looks at another node's signing come in this rhythm at first, all waiting attempts of the node together.
constexpr milliseconds kFirstLookPause{4};
constexpr milliseconds kEagerPeriod{200};
constexpr milliseconds kLongestStorePause{500};

asio::awaitable<void> call_sign_function(SignFunction sign_function, SignRequest request,
                                         std::shared_ptr<Arrival<SignOutcome>> arrival,
                                         std::shared_ptr<Metrics> metrics, std::shared_ptr<std::size_t> overdue) {
  SignOutcome outcome;
  const DutyType type = request.context.duty_type;
  try {
    outcome = co_await sign_function(std::move(request));
  } catch (...) {
    outcome = std::unexpected(describe_current_exception("the sign function"));
  }
  const bool made_one = outcome.has_value();
  if (arrival->set(std::move(outcome))) co_return;
  --*overdue;
  if (made_one) metrics->count(Metrics::Event::kLateSignatureDestroyed, type);
}

}  // namespace

Attempt::Attempt(std::shared_ptr<Protocol> protocol, Duty duty, TokenKind kind)
    : protocol_(std::move(protocol)),
      standing_{.duty = std::move(duty),
                .claim_token = protocol_->new_token(kind),
                .takeover_token = std::nullopt,
                .may_take_over = protocol_->ports.store->capabilities().take_over},
      kind_(kind),
      deadline_(protocol_->ports.clock->now() + protocol_->config.attempt_timeout) {}

template <class T>
asio::awaitable<std::optional<T>> Attempt::wait(std::shared_ptr<Arrival<T>> arrival, MonotonicTime until,
                                                const bool* interrupt) {
  WaitPlace place(*arrival);
  protocol_->waits.push_back(place);
  for (;;) {
    const auto wait_until = *interrupt ? clock().now() : until;
    if (!arrival->has_come()) {
      const auto timer = clock().call_at(wait_until, [arrival] { arrival->poke(); });
      auto waking = Arrival<T>::until_woken(arrival);
      co_await std::move(waking);
      clock().cancel(timer);
    }
    auto value = arrival->take();
    if (value || *interrupt || clock().now() >= until) co_return value;
  }
}

asio::awaitable<void> Attempt::pause(milliseconds length) {
  co_await sleep_until(protocol_->ports.executor, clock(), std::min(deadline_, clock().now() + length));
}

void Attempt::notice(const StoreError& error) {
  last_error_ = error.reason;
  count(Metrics::Event::kStoreError);
}

SigningError Attempt::gave_up() const {
  if (protocol_->stopping) return NotRunning{};
  return Unavailable{last_error_.empty()
                         ? "no answer within " + std::to_string(protocol_->config.attempt_timeout.count()) + "ms"
                         : last_error_};
}

asio::awaitable<SignResult<Unit>> Attempt::wait_for(std::shared_ptr<Arrival<Unit>> turn) {
  const auto until = std::min(deadline_, clock().now() + protocol_->config.peer_signing_timeout);
  auto granted = co_await wait(turn, until, &protocol_->stopping);
  if (granted) co_return Unit{};
  turn->close();
  if (protocol_->stopping) co_return std::unexpected(NotRunning{});
  co_return std::unexpected(DutyAlreadySigned{standing_.duty.key, std::string(kUnknownTimeout), std::nullopt});
}

void Attempt::leave() {
  if (inside_) protocol_->duty_queue.leave(standing_.duty.key);
  inside_ = false;
}

/// Nothing: the store gave no answer this time.
asio::awaitable<SignResult<std::optional<ClaimOutcome>>> Attempt::claim() {
  if (protocol_->faults.new_token_on_retry && claim_in_doubt_) standing_.claim_token = protocol_->new_token(kind_);
  auto arrival = protocol_->claims->submit(DutyClaim{standing_.duty, standing_.claim_token});
  auto outcome = co_await wait(arrival, deadline_, &protocol_->stopping);
  if (!outcome || (!*outcome && outcome->error().kind == StoreErrorKind::kInDoubt)) claim_in_doubt_ = true;
  if (!outcome) {
    claim_in_flight_ = arrival;
    co_return std::optional<ClaimOutcome>{};
  }
  if (!*outcome) {
    notice(outcome->error());
    if (outcome->error().kind == StoreErrorKind::kIncompatible)
      co_return std::unexpected(Unavailable{outcome->error().reason});
    co_return std::optional<ClaimOutcome>{};
  }
  // A foreign database makes its own token, and is silent about it when it did not insert.
  standing_.claim_token = (*outcome)->token;
  if ((*outcome)->locked) co_return std::optional<ClaimOutcome>{};
  co_return std::optional<ClaimOutcome>(std::move(**outcome));
}

asio::awaitable<SignResult<LockToken>> Attempt::acquire() {
  if (auto turn = protocol_->duty_queue.enter(standing_.duty.key)) {
    auto granted = co_await wait_for(std::move(turn));
    if (!granted) co_return std::unexpected(granted.error());
  }
  inside_ = true;
  auto token = co_await hold();
  if (!token) co_return token;
  row_stays_ = kind_ == TokenKind::kHandedOut;
  count(Metrics::Event::kLockAcquired);
  co_return token;
}

/// Claims, and follows what it finds, until the duty is held or refused.
asio::awaitable<SignResult<LockToken>> Attempt::hold() {
  const LockToken own_token = standing_.claim_token;
  while (!out_of_time() && !protocol_->stopping) {
    if (!protocol_->lease->held_now()) {
      auto leased = co_await protocol_->lease->ensure_held(deadline_);
      if (!leased) co_return std::unexpected(leased.error());
    }
    auto outcome = co_await claim();
    if (!outcome) co_return std::unexpected(outcome.error());
    if (!*outcome) {
      if (!protocol_->faults.new_token_on_retry) standing_.claim_token = own_token;
      co_await pause(protocol_->jittered(store_pause_));
      store_pause_ = std::min(store_pause_ * 2, kLongestStorePause);
      continue;
    }
    store_pause_ = milliseconds(10);
    auto token = co_await follow(std::move((*outcome)->view));
    if (!token) co_return std::unexpected(token.error());
    if (*token) co_return **token;
    standing_.claim_token = own_token;
  }
  co_return std::unexpected(gave_up());
}

/// Decides, and acts, until the duty is held or refused. Nothing: no row is there any more, so claim again.
asio::awaitable<SignResult<std::optional<LockToken>>> Attempt::follow(DutyView view) {
  for (;;) {
    if (view.row && view.row->lock_token != seen_token_) {
      seen_token_ = view.row->lock_token;
      seen_since_ = clock().now();
    }
    claim_stands_ =
        view.row && view.row->status == DutyStatus::kSigning && view.row->lock_token == standing_.claim_token;
    standing_.peer_timeout_passed = view.row && clock().now() >= seen_since_ + protocol_->config.peer_signing_timeout;
    auto decision = decide(view, standing_);
    if (auto* won = std::get_if<Won>(&decision)) co_return std::optional<LockToken>(won->token);
    if (auto* refusal = std::get_if<Refuse>(&decision)) {
      auto refused = co_await refuse(std::move(*refusal));
      co_return refused;
    }
    if (std::holds_alternative<Reclaim>(decision)) co_return std::optional<LockToken>{};
    if (auto* takeover = std::get_if<TakeOver>(&decision)) {
      auto token = co_await take_over(*takeover);
      if (!token || *token) co_return token;
    } else {
      if (waiting_since_ == MonotonicTime{}) waiting_since_ = clock().now();
      co_await pause(wait_pause());
    }
    auto next = co_await look();
    if (!next) co_return std::unexpected(next.error());
    if (!*next) co_return std::unexpected(gave_up());
    view = std::move(**next);
  }
}

/// All waiting attempts wake on the same beats, so that their looks share one statement.
milliseconds Attempt::wait_pause() const {
  const auto now = clock().now();
  const auto longest = protocol_->config.polling_interval;
  const auto waited = std::chrono::duration_cast<milliseconds>(now - waiting_since_);
  auto pause = std::min(kFirstLookPause, longest);
  if (waited >= kEagerPeriod) pause = std::clamp((waited - kEagerPeriod) / 4, pause, longest);
  const auto since_epoch = std::chrono::duration_cast<milliseconds>(now.time_since_epoch());
  return pause - since_epoch % pause;
}

/// Asks until the store answers. Nothing: time is up.
asio::awaitable<SignResult<std::optional<DutyView>>> Attempt::look() {
  auto pause_length = milliseconds(10);
  while (!out_of_time() && !protocol_->stopping) {
    auto arrival = protocol_->looks->submit(standing_.duty.key);
    auto view = co_await wait(arrival, deadline_, &protocol_->stopping);
    if (!view) continue;
    if (*view) co_return std::optional<DutyView>(std::move(**view));
    notice(view->error());
    if (view->error().kind == StoreErrorKind::kIncompatible)
      co_return std::unexpected(Unavailable{view->error().reason});
    co_await pause(protocol_->jittered(pause_length));
    pause_length = std::min(pause_length * 2, kLongestStorePause);
  }
  co_return std::optional<DutyView>{};
}

/// Nothing: look again.
asio::awaitable<SignResult<std::optional<LockToken>>> Attempt::take_over(TakeOver decision) {
  auto leased = co_await protocol_->lease->ensure_held(deadline_);
  if (!leased) co_return std::unexpected(leased.error());
  const auto kind = decision.kind == TakeoverKind::kSameData ? TokenKind::kTakenOver : kind_;
  // Repeated with its token after a lost reply, a takeover recognises its own success; after any other answer it is a
  // new one.
  if (!takeover_in_doubt_ || standing_.takeover_token->kind() != kind)
    standing_.takeover_token = protocol_->new_token(kind);
  auto arrival =
      protocol_->takeovers->submit(Takeover{decision.kind, standing_.duty, decision.seen, *standing_.takeover_token});
  auto outcome = co_await wait(arrival, deadline_, &protocol_->stopping);
  if (!outcome || (!*outcome && outcome->error().kind == StoreErrorKind::kInDoubt)) takeover_in_doubt_ = true;
  if (!outcome) {
    takeover_in_flight_ = arrival;
    co_return std::optional<LockToken>{};
  }
  if (!*outcome) {
    notice(outcome->error());
    co_await pause(protocol_->jittered(milliseconds(20)));
    co_return std::optional<LockToken>{};
  }
  if (**outcome == RowOutcome::kApplied) {
    takeover_stands_ = true;
    count(decision.kind == TakeoverKind::kSameData ? Metrics::Event::kTakenOver : Metrics::Event::kReplaced);
    co_return standing_.takeover_token;
  }
  co_await pause(protocol_->jittered(milliseconds(5)));
  co_return std::optional<LockToken>{};
}

asio::awaitable<SignResult<std::optional<LockToken>>> Attempt::refuse(Refuse refusal) {
  auto* signed_already = std::get_if<DutyAlreadySigned>(&refusal.error);
  if (signed_already && signed_already->signature) {
    // Handing out a recorded signature is a release too: only when a write of our own, which looks at the row once
    // more, has been confirmed.
    auto arrival = protocol_->stored_confirmations->submit(
        StoredSignature{standing_.duty.key, standing_.duty.message_hash, *signed_already->signature});
    auto confirmed = co_await wait(arrival, deadline_, &protocol_->stop_signing);
    if (!confirmed || !*confirmed || !**confirmed) signed_already->signature.reset();
  }
  co_return std::unexpected(std::move(refusal.error));
}

asio::awaitable<SignResult<Signature>> Attempt::sign(SignFunction sign_function, SignRequest request) {
  const auto timeout = protocol_->config.signer_call_timeout;
  auto arrival = std::make_shared<Arrival<SignOutcome>>(protocol_->ports.executor);
  asio::co_spawn(protocol_->ports.executor,
                 call_sign_function(std::move(sign_function), std::move(request), arrival, protocol_->ports.metrics,
                                    protocol_->overdue_sign_calls),
                 asio::detached);
  auto outcome = co_await wait(arrival, std::min(deadline_, clock().now() + timeout), &protocol_->stop_signing);
  arrival->close();
  if (!outcome) {
    ++*protocol_->overdue_sign_calls;
    if (protocol_->stop_signing) co_return std::unexpected(NotRunning{});
    co_return std::unexpected(SignTimedOut{timeout});
  }
  if (!*outcome) co_return std::unexpected(SignFunctionFailed{std::move(outcome->error())});
  co_return std::move(**outcome);
}

asio::awaitable<SignResult<Unit>> Attempt::record(DutyRecord record) {
  bool in_doubt = false;
  auto pause_length = milliseconds(10);
  while (!out_of_time() && !protocol_->closed) {
    auto arrival = protocol_->records->submit(record);
    auto step = co_await wait(arrival, deadline_, &protocol_->closed);
    if (!step) {
      in_doubt = true;
      last_error_ = "no answer in time";
      break;
    }
    if (*step) {
      switch (**step) {
        case RowOutcome::kApplied: row_stays_ = true; co_return Unit{};
        case RowOutcome::kNotMatched: {
          auto token = co_await regain(record.token);
          if (!token) co_return std::unexpected(token.error());
          record.token = *token;
          continue;
        }
        case RowOutcome::kLocked: last_error_ = "the row stayed locked by another session"; break;
      }
    } else {
      notice(step->error());
      // A store that turns out to be another one may do so after it has committed.
      if (step->error().kind != StoreErrorKind::kUnavailable) in_doubt = true;
      if (step->error().kind == StoreErrorKind::kIncompatible) break;
    }
    co_await pause(protocol_->jittered(pause_length));
    pause_length = std::min(pause_length * 2, kLongestStorePause);
  }
  if (!in_doubt) co_return std::unexpected(Unavailable{last_error_});
  row_stays_ = true;
  co_return std::unexpected(InDoubt{standing_.duty.key, last_error_});
}

SigningLockLost Attempt::lost(std::string reason) const {
  return {standing_.duty.key, protocol_->config.node_id.str(), std::move(reason)};
}

/// A record matched nothing, so the row is no longer held under this token. The signature is made all the same: where
/// the row is gone or another attempt holds it for the same data, it becomes ours again by the rules of claim and
/// take-over, and the record is repeated under the new token. So slow signers that overtake each other do not destroy
/// each other's work for ever.
asio::awaitable<SignResult<LockToken>> Attempt::regain(LockToken lost_token) {
  const std::string reason = "another attempt replaced or removed its row";
  // Where a claim cannot be repeated there is nothing to become an owner by again.
  const bool may_claim_again = protocol_->ports.store->capabilities().same_token_retry;
  if (kind_ == TokenKind::kHandedOut || !may_claim_again) co_return std::unexpected(lost(reason));
  auto view = co_await look();
  if (!view || !*view) co_return std::unexpected(lost(reason));
  const auto& row = (*view)->row;
  if (row && row->lock_token == lost_token && row->status == DutyStatus::kSigning) {
    if (auto forbidden = forbidden_by_watermark(standing_.duty.key, (*view)->watermarks)) {
      co_return std::unexpected(*forbidden);
    }
  }
  if (row && row->message_hash != standing_.duty.message_hash) co_return std::unexpected(lost(reason));
  standing_.signature_in_hand = true;
  if (row) {
    auto token = co_await follow(std::move(**view));
    if (!token) co_return std::unexpected(token.error());
    if (*token) co_return **token;
  }
  auto token = co_await hold();
  if (!token && std::holds_alternative<SlashingProtection>(token.error())) co_return std::unexpected(lost(reason));
  co_return token;
}

template <class T>
asio::awaitable<bool> Attempt::still_out(std::shared_ptr<Arrival<T>> arrival, MonotonicTime until) {
  auto result = co_await wait(arrival, until, &protocol_->closed);
  co_return !result.has_value();
}

asio::awaitable<bool> Attempt::release_once(MonotonicTime until) {
  const auto& taken_over = standing_.takeover_token;
  const bool release_taken_over =
      (takeover_stands_ || takeover_in_doubt_) && taken_over &&
      (taken_over->kind() != TokenKind::kTakenOver || protocol_->faults.release_taken_over_row);
  bool settled = true;
  // What has not come back from the store yet could win after its release.
  if (claim_in_flight_) {
    const bool out = co_await still_out(claim_in_flight_, until);
    if (out) settled = false;
    if (!out) claim_in_flight_.reset();
  }
  if (takeover_in_flight_) {
    const bool out = co_await still_out(takeover_in_flight_, until);
    if (out) settled = false;
    if (!out) takeover_in_flight_.reset();
  }
  for (const auto& [wanted, token] : {std::pair(claim_stands_ || claim_in_doubt_, standing_.claim_token),
                                      std::pair(release_taken_over, taken_over.value_or(LockToken{}))}) {
    if (row_stays_ || !wanted || token.empty()) continue;
    auto arrival = protocol_->releases->submit(DutyRelease{standing_.duty.key, token});
    auto step = co_await wait(arrival, until, &protocol_->closed);
    if (!step || !*step || !(*step)->settled) settled = false;
  }
  co_return settled;
}

asio::awaitable<void> Attempt::settle() {
  const auto give_up_at = clock().now() + protocol_->config.max_stuck_duties_age;
  auto pause_length = milliseconds(50);
  // Past the stuck age the clean-up of stuck duties has the row.
  while (!protocol_->closed && clock().now() < give_up_at) {
    const bool settled = co_await release_once(clock().now() + protocol_->config.store_call_timeout);
    if (settled) co_return;
    co_await sleep_until(protocol_->ports.executor, clock(), clock().now() + protocol_->jittered(pause_length));
    pause_length = std::min(pause_length * 2, kLongestStorePause);
  }
}

}  // namespace hasigner
