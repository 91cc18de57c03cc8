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
      auto performing = perform(std::move(next->action));
      event = co_await std::move(performing);
      if (std::holds_alternative<StoreFailed>(event))
        protocol_->ports.metrics->count(Metrics::Event::kStoreError, type());
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
  asio::awaitable<Event> perform(Action action) {
    if (auto* claim = std::get_if<SendClaim>(&action)) {
      claim_ = protocol_->claims->submit(DutyClaim{facts_.duty, std::move(claim->token)});
      auto reply = co_await wait(claim_);
      co_return answered<ClaimAnswered>(std::move(reply));
    }
    if (std::holds_alternative<Sign>(action)) {
      auto event = co_await sign();
      co_return event;
    }
    if (auto* record = std::get_if<SendRecord>(&action)) {
      auto arrival = protocol_->records->submit(
          {facts_.duty.key, std::move(record->token), facts_.duty.message_hash, record->signature});
      auto reply = co_await wait(std::move(arrival));
      co_return answered<RecordAnswered>(std::move(reply));
    }
    if (auto* claim = std::get_if<SendSignedClaim>(&action)) {
      auto arrival = protocol_->signed_claims->submit({facts_.duty, facts_.token, claim->signature});
      auto reply = co_await wait(std::move(arrival));
      co_return answered<SignedClaimAnswered>(std::move(reply));
    }
    if (std::holds_alternative<EnsureLease>(action)) {
      auto event = co_await await_lease();
      co_return event;
    }
    if (std::holds_alternative<JoinQueue>(action)) {
      auto event = co_await join_queue();
      co_return event;
    }
    if (std::holds_alternative<SendLook>(action)) {
      auto arrival = protocol_->looks->submit(facts_.duty.key);
      auto reply = co_await wait(std::move(arrival));
      co_return answered<ViewAnswered>(std::move(reply));
    }
    if (auto* takeover = std::get_if<SendTakeover>(&action)) {
      takeover_ = protocol_->takeovers->submit(std::move(takeover->request));
      auto reply = co_await wait(takeover_);
      co_return answered<TakeoverAnswered>(std::move(reply));
    }
    if (auto* confirm = std::get_if<ConfirmStored>(&action)) {
      auto arrival =
          protocol_->stored_confirmations->submit({facts_.duty.key, facts_.duty.message_hash, confirm->signature});
      auto reply = co_await wait(std::move(arrival));
      co_return answered<StoredConfirmed>(std::move(reply));
    }
    if (auto* release = std::get_if<SendRelease>(&action)) {
      auto arrival = protocol_->releases->submit({facts_.duty.key, std::move(release->token)});
      auto reply = co_await wait(std::move(arrival));
      co_return answered<ReleaseAnswered>(std::move(reply));
    }
    if (const auto* late = std::get_if<AwaitInFlight>(&action)) {
      bool has_come = false;
      if (late->origin == Origin::kClaim) {
        auto reply = co_await wait(claim_);
        has_come = reply.has_value();
      } else {
        auto reply = co_await wait(takeover_);
        has_come = reply.has_value();
      }
      if (has_come) co_return InFlightEnded{};
      co_return no_answer();
    }
    if (const auto* pause = std::get_if<Pause>(&action)) {
      const bool is_exact = pause->rhythm == Pause::Rhythm::kExact;
      const auto length = is_exact ? pause->length : protocol_->jittered(pause->length);
      co_await sleep(length);
      co_return no_answer();
    }
    if (auto* last = std::get_if<Finish>(&action)) finish(std::move(last->answer));
    co_return Delivered{};
  }

  /// Waits for a renewal while an outage of the store lasts.
  asio::awaitable<Event> await_lease() {
    auto& lease = *protocol_->lease;
    for (;;) {
      if (lease.held_now()) co_return LeaseHeld{};
      if (auto refusal = lease.refusal()) co_return LeaseRefused{std::move(*refusal)};
      auto answer = lease.next_answer();
      const auto answered = co_await wait(answer);
      if (is_stopped()) co_return Stopped{};
      if (!answered) co_return LeaseRefused{lease.not_renewed()};
    }
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
    asio::co_spawn(protocol_->ports.executor,
                   call_sign_function(std::move(call_.sign_function), std::move(call_.request), arrival,
                                      protocol_->ports.metrics, protocol_->overdue_sign_calls),
                   asio::detached);
    auto outcome = co_await wait(arrival);
    arrival->close();
    if (!outcome) {
      ++*protocol_->overdue_sign_calls;
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
  asio::awaitable<void> sleep(milliseconds length) {
    until_ = std::min(until_, clock().now() + length);
    auto never = std::make_shared<Arrival<Unit>>(protocol_->ports.executor);
    co_await wait(std::move(never));
  }
  [[nodiscard]] bool is_stopped() const { return protocol_->stop >= stopped_by_; }
  [[nodiscard]] Event no_answer() const { return is_stopped() ? Event(Stopped{}) : Event(TimeUp{}); }

  template <class Answered, class T>
  [[nodiscard]] Event answered(std::optional<StoreResult<T>> reply) const {
    if (!reply) return no_answer();
    if (!*reply) return StoreFailed{std::move(reply->error())};
    return Answered{std::move(**reply)};
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
