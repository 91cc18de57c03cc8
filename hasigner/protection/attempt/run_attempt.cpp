#include "hasigner/protection/attempt/run_attempt.hpp"

#include <utility>

#include "hasigner/duty/assert.hpp"

namespace hasigner::attempt {

namespace {

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

/// What an attempt's time goes to while it is in a state; returns nullopt when the metrics do not ask.
struct StepOf {
  using Step = Metrics::Step;
  std::optional<Step> operator()(const Signing&) const { return Step::kSign; }
  std::optional<Step> operator()(const SigningFirst&) const { return Step::kSign; }
  std::optional<Step> operator()(const Recording&) const { return Step::kRecord; }
  std::optional<Step> operator()(const RecordBackingOff&) const { return Step::kRecord; }
  std::optional<Step> operator()(const Inspecting&) const { return Step::kRecord; }
  std::optional<Step> operator()(const Queued&) const { return Step::kClaim; }
  std::optional<Step> operator()(const auto& state) const {
    if constexpr (requires { state.pursuit; }) {
      return std::holds_alternative<NothingSigned>(state.pursuit.hand) ? Step::kClaim : Step::kRecord;
    } else {
      return std::nullopt;
    }
  }
};

/// Counts one for as long as it lives.
class Counted {
 public:
  explicit Counted(std::atomic<std::size_t>& counter) : counter_(counter) { ++counter_; }
  ~Counted() { --counter_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::atomic<std::size_t>& counter_;
};

class Driver {
 public:
  Driver(std::shared_ptr<Protocol> protocol, Facts facts, SignCall call, Deliver deliver)
      : protocol_(std::move(protocol)),
        facts_(std::move(facts)),
        call_(std::move(call)),
        deliver_(std::move(deliver)),
        new_token_([this](TokenKind kind) { return protocol_->new_token(kind); }),
        step_began_(clock().now()) {}

  asio::awaitable<void> run(Event event) {
    State state = New{};
    for (;;) {
      const auto watched = step_watcher ? std::optional(std::pair(state, event)) : std::nullopt;
      auto next =
          transition(facts_, std::move(state), std::move(event),
                     Moment{.now = clock().now(),
                            .stop = protocol_->stop,
                            .new_token = new_token_,
                            .may_settle_later = protocol_->unsettled < protocol_->config.max_attempts_in_flight});
      HASIGNER_ASSERT(next);
      if (watched) step_watcher(facts_, watched->first, watched->second, *next);
      for (const auto counted : next->counts) protocol_->ports.metrics->count(counted, type());
      watch(std::visit(StepOf{}, next->state));
      state = std::move(next->state);
      until_ = next->until;
      stopped_by_ = next->stopped_by;
      auto performing = std::visit([this](auto& action) { return perform(action); }, next->action);
      event = co_await std::move(performing);
      if (std::holds_alternative<Done>(state)) co_return;
      if (std::holds_alternative<Unsettled>(state) && !unsettled_) unsettled_.emplace(protocol_->unsettled);
    }
  }

  /// Gives the answer, once, and lets the next attempt of this process through to the duty.
  void finish(Answer answer) {
    auto deliver = std::exchange(deliver_, nullptr);
    if (!deliver) return;
    leave_queue();
    deliver(std::move(answer));
  }
  [[nodiscard]] const Facts& facts() const { return facts_; }

 private:
  // ---- Each carries an action out, and tells what came of it.

  asio::awaitable<Event> perform(JoinQueue&) { return join_queue(); }
  asio::awaitable<Event> perform(EnsureLease&) { return tell(lease_now()); }
  asio::awaitable<Event> perform(AwaitHeartbeat&) { return await_heartbeat(protocol_->lease->next_answer()); }
  asio::awaitable<Event> perform(Sign&) { return sign(); }
  asio::awaitable<Event> perform(SendClaim& action) {
    claim_ = protocol_->claims->submit(DutyClaim{facts_.duty, std::move(action.token)});
    return answer_of<ClaimAnswered>(claim_);
  }
  asio::awaitable<Event> perform(SendSignedClaim& action) {
    return answer_of<SignedClaimAnswered>(
        protocol_->signed_claims->submit({facts_.duty, facts_.token, action.signature}));
  }
  asio::awaitable<Event> perform(SendLook&) {
    return answer_of<ViewAnswered>(protocol_->looks->submit(facts_.duty.key));
  }
  asio::awaitable<Event> perform(SendTakeover& action) {
    takeover_ = protocol_->takeovers->submit(std::move(action.request));
    return answer_of<TakeoverAnswered>(takeover_);
  }
  asio::awaitable<Event> perform(SendRecord& action) {
    return answer_of<RecordAnswered>(protocol_->records->submit(
        {facts_.duty.key, std::move(action.token), facts_.duty.message_hash, action.signature}));
  }
  asio::awaitable<Event> perform(ConfirmStored& action) {
    return answer_of<StoredConfirmed>(
        protocol_->stored_confirmations->submit({facts_.duty.key, facts_.duty.message_hash, action.signature}));
  }
  asio::awaitable<Event> perform(SendRelease& action) {
    return answer_of<ReleaseAnswered>(protocol_->releases->submit({facts_.duty.key, std::move(action.token)}));
  }
  asio::awaitable<Event> perform(AwaitInFlight& action) {
    return action.origin == Origin::kClaim ? end_of(claim_) : end_of(takeover_);
  }
  asio::awaitable<Event> perform(Pause& action) {
    const bool is_exact = action.rhythm == Pause::Rhythm::kExact;
    return sleep(is_exact ? action.length : protocol_->jittered(action.length));
  }
  asio::awaitable<Event> perform(Finish& action) {
    finish(std::move(action.answer));
    return tell(Delivered{});
  }
  asio::awaitable<Event> perform(End&) { return tell(Delivered{}); }

  // ---- How they are carried out

  static asio::awaitable<Event> tell(Event event) { co_return event; }

  [[nodiscard]] Event lease_now() const {
    const auto& lease = *protocol_->lease;
    if (lease.held_now()) return LeaseHeld{};
    if (auto refusal = lease.refusal()) return LeaseRefused{std::move(*refusal)};
    return LeaseNotRenewed{lease.last_error()};
  }
  asio::awaitable<Event> await_heartbeat(std::shared_ptr<Arrival<Unit>> answer) {
    const auto answered = co_await wait(std::move(answer));
    if (!answered) co_return no_answer();
    co_return lease_now();
  }

  asio::awaitable<Event> join_queue() {
    turn_ = protocol_->duty_queue.enter(facts_.duty.key);
    in_queue_ = true;
    if (turn_) {
      auto granted = co_await wait(turn_);
      if (!granted) co_return no_answer();
      turn_ = nullptr;
    }
    co_return TurnCame{};
  }
  void leave_queue() {
    if (!std::exchange(in_queue_, false)) return;
    // A turn that has not come is given up; one that has come must be handed on.
    if (turn_ && !turn_->has_come()) return turn_->close();
    protocol_->duty_queue.leave(facts_.duty.key);
  }

  asio::awaitable<Event> sign() {
    auto arrival = std::make_shared<Arrival<SignOutcome>>(protocol_->ports.executor);
    const auto overdue = call_.bounds_itself ? std::make_shared<std::size_t>(0) : protocol_->overdue_sign_calls;
    asio::co_spawn(protocol_->ports.executor,
                   call_sign_function(std::move(call_.sign_function), std::move(call_.request), arrival,
                                      protocol_->ports.metrics, overdue),
                   asio::detached);
    auto outcome = co_await wait(arrival);
    arrival->close();
    if (!outcome) {
      ++*overdue;
      co_return no_answer();
    }
    if (!*outcome) co_return SigningFailed{std::move(outcome->error())};
    co_return SignatureMade{**outcome};
  }

  /// Waits until the value has come, the action's time has passed, or stop() ends it; returns nullopt without a value.
  template <class T>
  asio::awaitable<std::optional<T>> wait(std::shared_ptr<Arrival<T>> arrival) {
    PendingWait pending(*arrival);
    protocol_->waits.push_back(pending);
    for (;;) {
      if (!arrival->has_come()) {
        const auto timer = clock().call_at(is_stopped() ? clock().now() : until_, [arrival] { arrival->poke(); });
        auto waking = Arrival<T>::until_woken(arrival);
        co_await std::move(waking);
        clock().cancel(timer);
      }
      auto value = arrival->take();
      if (value || is_stopped() || clock().now() >= until_) co_return value;
    }
  }
  /// Until the pause has ended, the action's time has passed, or stop() ends it.
  asio::awaitable<Event> sleep(milliseconds length) {
    until_ = std::min(until_, clock().now() + length);
    auto never = std::make_shared<Arrival<Unit>>(protocol_->ports.executor);
    co_await wait(std::move(never));
    co_return no_answer();
  }
  [[nodiscard]] bool is_stopped() const { return protocol_->stop >= stopped_by_; }
  [[nodiscard]] Event no_answer() const { return is_stopped() ? Event(Stopped{}) : Event(TimeUp{}); }

  template <class Answered, class T>
  asio::awaitable<Event> answer_of(std::shared_ptr<Arrival<StoreResult<T>>> arrival) {
    auto reply = co_await wait(std::move(arrival));
    if (!reply) co_return no_answer();
    if (!*reply) co_return StoreFailed{std::move(reply->error())};
    co_return Answered{std::move(**reply)};
  }
  template <class T>
  asio::awaitable<Event> end_of(std::shared_ptr<Arrival<T>> arrival) {
    const auto reply = co_await wait(std::move(arrival));
    if (!reply) co_return no_answer();
    co_return InFlightEnded{};
  }

  /// Tells the metrics how long the step took that ends now.
  void watch(std::optional<Metrics::Step> step) {
    if (step == step_ || facts_.purpose > Purpose::kSignFirst) return;
    const auto now = clock().now();
    if (step_) protocol_->ports.metrics->step_duration(*step_, now - step_began_, type());
    step_ = step;
    step_began_ = now;
  }

  [[nodiscard]] DutyType type() const { return facts_.duty.key.duty_type; }
  [[nodiscard]] Clock& clock() const { return *protocol_->ports.clock; }

  std::shared_ptr<Protocol> protocol_;
  Facts facts_;
  SignCall call_;
  Deliver deliver_;
  std::function<LockToken(TokenKind)> new_token_;
  MonotonicTime until_{};
  StopLevel stopped_by_ = StopLevel::kClosed;
  // The latest requests whose answers are waited for again after the attempt has given up.
  std::shared_ptr<Arrival<StoreResult<ClaimOutcome>>> claim_;
  std::shared_ptr<Arrival<StoreResult<RowOutcome>>> takeover_;
  std::shared_ptr<Arrival<Unit>> turn_;  ///< waited for; null when it has come
  bool in_queue_ = false;
  std::optional<Counted> unsettled_;
  std::optional<Metrics::Step> step_;
  MonotonicTime step_began_;
};

}  // namespace

asio::awaitable<void> run_attempt(std::shared_ptr<Protocol> protocol, Facts facts, Event first, SignCall call,
                                  Deliver deliver) {
  Driver driver(protocol, std::move(facts), std::move(call), std::move(deliver));
  try {
    co_await driver.run(std::move(first));
  } catch (...) {
    // No port throws; if one does all the same, it is not known how far it came. A row that is left ends at the stuck
    // age, or when this node's lease has run out.
    driver.finish(SigningError(InDoubt{driver.facts().duty.key, describe_current_exception("a port of the signer")}));
  }
}

}  // namespace hasigner::attempt
