#include "hasigner/protection/ha_signer.hpp"

#include <algorithm>
#include <stdexcept>

#include "hasigner/protection/attempt/run_attempt.hpp"
#include "hasigner/protection/cleanup.hpp"
#include "hasigner/protection/plausible_slots.hpp"

namespace hasigner {

namespace {

using Deliver = std::move_only_function<void(SignResult<SignedDuty>)>;

/// How often stop() looks whether the attempts in flight have ended.
constexpr milliseconds kStopLook{2};
/// How long stop() waits for attempts that are recording or releasing.
constexpr milliseconds kStopRecording{2000};

struct CountOutcome {
  using Event = Metrics::Event;
  Event operator()(const DutyAlreadySigned&) const { return Event::kDutyAlreadySigned; }
  Event operator()(const SlashingProtection&) const { return Event::kSlashingProtection; }
  Event operator()(const OutsideWatermark&) const { return Event::kOutsideWatermark; }
  Event operator()(const SigningLockLost&) const { return Event::kLockLost; }
  Event operator()(const InDoubt&) const { return Event::kInDoubt; }
  Event operator()(const auto&) const { return Event::kSigningError; }
};

void count(const Protocol& protocol, const SignResult<SignedDuty>& result, DutyType type, MonotonicTime started_at) {
  auto& metrics = *protocol.ports.metrics;
  if (!result) return metrics.count(std::visit(CountOutcome{}, result.error()), type);
  if (result->is_recorded) return metrics.count(Metrics::Event::kRecordedReturned, type);
  metrics.count(Metrics::Event::kSigningSuccess, type);
  metrics.signing_duration(protocol.ports.clock->now() - started_at, type);
}

/// The caller's part of an answer: the value that this kind of attempt gives, or why there is none.
template <class T>
SignResult<T> result_of(attempt::Answer answer) {
  if (auto* error = std::get_if<SigningError>(&answer)) return std::unexpected(std::move(*error));
  return std::move(std::get<T>(answer));
}

/// The refusal that carries the signature of another attempt. Returns null when there is none in the result.
template <class T>
DutyAlreadySigned* with_recorded_signature(SignResult<T>& result) {
  auto* already = result ? nullptr : std::get_if<DutyAlreadySigned>(&result.error());
  return already && already->signature ? already : nullptr;
}

bool is_returned(const Protocol& protocol, DutyType type) {
  const auto& types = protocol.config.return_recorded;
  return std::ranges::find(types, type) != types.end();
}

/// Whose signature is to be checked.
struct Subject {
  EthAddress validator;
  MessageHash hash;
};

asio::awaitable<bool> call_check(std::shared_ptr<Protocol> protocol, Subject subject, Signature signature) {
  co_return protocol->ports.is_signature_of(subject.validator, subject.hash, signature);
}

asio::awaitable<bool> is_genuine(std::shared_ptr<Protocol> protocol, Subject subject, Signature signature) {
  const auto& executor = protocol->ports.check_executor ? protocol->ports.check_executor : protocol->ports.executor;
  auto checking = call_check(protocol, subject, signature);
  const bool genuine = co_await asio::co_spawn(executor, std::move(checking), asio::use_awaitable);
  co_return genuine;
}

/// Takes a signature out of a refusal unless it is the validator's: others may have written the row.
template <class T>
asio::awaitable<SignResult<T>> without_foreign_signature(std::shared_ptr<Protocol> protocol, Subject subject,
                                                         SignResult<T> result) {
  if (auto* already = with_recorded_signature(result)) {
    auto checking = is_genuine(protocol, subject, *already->signature);
    const bool genuine = co_await std::move(checking);
    if (!genuine) {
      already->signature.reset();
      already->has_unusable_signature = true;
    }
  }
  co_return result;
}

/// A recorded signature comes with the refusal, where a write of our own has confirmed it. It becomes the result where
/// the configuration asks for that.
SignResult<SignedDuty> signed_duty_of(const Protocol& protocol, SignResult<Signature> result) {
  if (result) return SignedDuty{*result};
  const auto* already = with_recorded_signature(result);
  if (!already || !is_returned(protocol, already->duty.duty_type)) return std::unexpected(std::move(result.error()));
  return SignedDuty{.signature = *already->signature, .is_recorded = true};
}

attempt::Facts facts_of(const Protocol& protocol, attempt::Purpose purpose, Duty duty, LockToken token) {
  return {.purpose = purpose,
          .duty = std::move(duty),
          .token = std::move(token),
          .store = protocol.ports.store->capabilities(),
          .deadline = protocol.ports.clock->now() + protocol.config.attempt_timeout,
          .config = protocol.config};
}

/// AUTH_REQUEST and TXS: signing them twice is safe, so only the time is bounded.
Duty unprotected_duty(const Protocol& protocol, const SignRequest& request) {
  return {.key = {protocol.config.rollup, request.validator, request.context.slot, request.context.duty_type,
                  kNoBlockIndex},
          .block_number = {},
          .checkpoint_number = {},
          .message_hash = request.message_hash};
}

std::optional<SigningError> refuse_to_begin(const Protocol& protocol) {
  if (!protocol.accepting) return NotRunning{};
  if (protocol.attempts_in_flight >= protocol.config.max_attempts_in_flight) {
    return Overloaded{protocol.config.max_attempts_in_flight};
  }
  return std::nullopt;
}

/// When the attempt begins, or why this node leaves the duty to others.
std::expected<MonotonicTime, Unhealthy> begins_at(Protocol& protocol, const DutyKey& duty) {
  const auto now = protocol.ports.clock->now();
  if (!is_protected(duty.duty_type)) return now;
  auto at = protocol.claim_delay.claim_at(duty, now);
  auto& metrics = *protocol.ports.metrics;
  if (!at) metrics.count(Metrics::Event::kUnhealthy, duty.duty_type);
  if (at && *at > now) metrics.count(Metrics::Event::kHeldBack, duty.duty_type);
  return at;
}

/// Waits until the moment comes, or until stop().
asio::awaitable<void> hold_back(std::shared_ptr<Protocol> protocol, MonotonicTime until) {
  auto& clock = *protocol->ports.clock;
  const auto never = std::make_shared<Arrival<Unit>>(protocol->ports.executor);
  PendingWait pending(*never);
  protocol->waits.push_back(pending);
  while (protocol->stop == attempt::StopLevel::kRunning && clock.now() < until) {
    auto waiting = Arrival<Unit>::wait(never, clock, until);
    co_await std::move(waiting);
  }
}

/// Until then the attempt has nothing: no turn at its duty, no row, no request to the store.
asio::awaitable<void> run_attempt_at(MonotonicTime moment, std::shared_ptr<Protocol> protocol, attempt::Facts facts,
                                     attempt::Event first, SignCall call, attempt::Deliver deliver) {
  std::optional<Unavailable> failure;
  try {
    auto holding_back = hold_back(protocol, moment);
    co_await std::move(holding_back);
  } catch (...) {
    failure = Unavailable{describe_current_exception("the clock")};
  }
  if (failure) co_return deliver(SigningError(std::move(*failure)));
  // An attempt that signs first would go on until stop() ends sign functions, too.
  if (protocol->stop != attempt::StopLevel::kRunning) co_return deliver(SigningError(NotRunning{}));
  auto running =
      attempt::run_attempt(protocol, std::move(facts), std::move(first), std::move(call), std::move(deliver));
  co_await std::move(running);
}

void begin_attempt(const std::shared_ptr<Protocol>& protocol, MonotonicTime moment, attempt::Facts facts,
                   attempt::Event first, SignCall call, attempt::Deliver deliver) {
  const bool now = moment <= protocol->ports.clock->now();
  auto running =
      now ? attempt::run_attempt(protocol, std::move(facts), std::move(first), std::move(call), std::move(deliver))
          : run_attempt_at(moment, protocol, std::move(facts), std::move(first), std::move(call), std::move(deliver));
  asio::co_spawn(protocol->ports.executor, std::move(running), asio::detached);
}

asio::awaitable<void> check_and_conclude(std::shared_ptr<Protocol> protocol, Subject subject,
                                         SignResult<Signature> result,
                                         std::move_only_function<void(SignResult<Signature>)> conclude) {
  auto checking = without_foreign_signature(protocol, subject, std::move(result));
  auto checked = co_await std::move(checking);
  conclude(std::move(checked));
}

/// The duty of a request for a protected type, if its slot is plausible.
Parsed<Duty> protected_duty(const Protocol& protocol, const SignRequest& request) {
  if (const auto& slots = protocol.ports.plausible_slots) {
    if (auto refused = slots->refuse(request.context.slot)) return std::unexpected(std::move(*refused));
  }
  return make_duty(protocol.config.rollup, request.validator, request.message_hash, request.context);
}

/// Checks what can be checked before anything is written, and sets the attempt going.
void launch(const std::shared_ptr<Protocol>& protocol, SignCall call, Deliver deliver) {
  using attempt::Purpose;
  if (auto refusal = refuse_to_begin(*protocol)) return deliver(std::unexpected(std::move(*refusal)));
  if (*protocol->overdue_sign_calls >= protocol->config.max_overdue_sign_calls) {
    return deliver(
        std::unexpected(Overloaded{protocol->config.max_overdue_sign_calls, Overloaded::By::kHangingSignCalls}));
  }
  const SignRequest& request = call.request;
  const auto type = request.context.duty_type;
  auto duty = is_protected(type) ? protected_duty(*protocol, request) : unprotected_duty(*protocol, request);
  if (!duty) return deliver(std::unexpected(duty.error()));
  const auto begins = begins_at(*protocol, duty->key);
  if (!begins) return deliver(std::unexpected(begins.error()));
  Purpose purpose = Purpose::kSignUnprotected;
  if (is_protected(type)) {
    const bool first = call.effects == SignEffects::kNone && protocol->ports.store->capabilities().signed_claims;
    purpose = first ? Purpose::kSignFirst : Purpose::kSign;
  }
  const bool is_checked = protocol->config.check_signatures ||
                          (call.signatures == SignatureKind::kValidatorKey && protocol->ports.is_signature_of) ||
                          is_returned(*protocol, type);
  ++protocol->attempts_in_flight;
  auto conclude = [protocol, type, started_at = protocol->ports.clock->now(),
                   deliver = std::move(deliver)](SignResult<Signature> result) mutable {
    --protocol->attempts_in_flight;
    auto signed_duty = signed_duty_of(*protocol, std::move(result));
    if (is_protected(type)) count(*protocol, signed_duty, type, started_at);
    deliver(std::move(signed_duty));
  };
  auto finish = [protocol, is_checked, subject = Subject{request.validator, request.message_hash},
                 conclude = std::move(conclude)](attempt::Answer answer) mutable {
    auto result = result_of<Signature>(std::move(answer));
    if (!is_checked || !with_recorded_signature(result)) return conclude(std::move(result));
    asio::co_spawn(protocol->ports.executor,
                   check_and_conclude(protocol, subject, std::move(result), std::move(conclude)), asio::detached);
  };
  auto facts = facts_of(*protocol, purpose, std::move(*duty), protocol->new_token(TokenKind::kFenced));
  begin_attempt(protocol, *begins, std::move(facts), attempt::Begun{}, std::move(call), std::move(finish));
}

/// Longer than any attempt: it bounds itself.
MonotonicTime after_any_attempt(const Protocol& protocol) {
  return protocol.ports.clock->now() + protocol.config.attempt_timeout * 4 + std::chrono::hours(1);
}

asio::awaitable<std::vector<SignResult<SignedDuty>>> launch_all(std::shared_ptr<Protocol> protocol,
                                                                std::vector<SignCall> calls) {
  struct Collector {
    std::vector<SignResult<SignedDuty>> results;
    std::size_t missing;
    std::shared_ptr<Arrival<Unit>> complete;
  };
  auto collector = std::make_shared<Collector>();
  collector->results.resize(calls.size(), std::unexpected(NotRunning{}));
  collector->missing = calls.size();
  collector->complete = std::make_shared<Arrival<Unit>>(protocol->ports.executor);
  if (calls.empty()) co_return std::move(collector->results);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    launch(protocol, std::move(calls[i]), [collector, i](SignResult<SignedDuty> result) {
      collector->results[i] = std::move(result);
      if (--collector->missing == 0) collector->complete->set(Unit{});
    });
  }
  co_await Arrival<Unit>::wait(collector->complete, *protocol->ports.clock, after_any_attempt(*protocol));
  co_return std::move(collector->results);
}

asio::awaitable<SignResult<SignedDuty>> launch_one(std::shared_ptr<Protocol> protocol, SignCall call) {
  const auto& request = call.request;
  const DutyKey key{protocol->config.rollup, request.validator, request.context.slot, request.context.duty_type,
                    kNoBlockIndex};
  auto arrival = std::make_shared<Arrival<SignResult<SignedDuty>>>(protocol->ports.executor);
  launch(protocol, std::move(call), [arrival](SignResult<SignedDuty> result) { arrival->set(std::move(result)); });
  auto result =
      co_await Arrival<SignResult<SignedDuty>>::wait(arrival, *protocol->ports.clock, after_any_attempt(*protocol));
  if (!result) co_return std::unexpected(InDoubt{key, "the attempt gave no result"});
  co_return std::move(*result);
}

/// One step of the step API, as an attempt of its own.
asio::awaitable<attempt::Answer> launch_step(std::shared_ptr<Protocol> protocol, MonotonicTime begins,
                                             attempt::Facts facts, attempt::Event first) {
  auto arrival = std::make_shared<Arrival<attempt::Answer>>(protocol->ports.executor);
  ++protocol->attempts_in_flight;
  auto finish = [protocol, arrival](attempt::Answer answer) {
    --protocol->attempts_in_flight;
    arrival->set(std::move(answer));
  };
  const DutyKey key = facts.duty.key;
  begin_attempt(protocol, begins, std::move(facts), std::move(first), SignCall{}, std::move(finish));
  auto answer = co_await Arrival<attempt::Answer>::wait(arrival, *protocol->ports.clock, after_any_attempt(*protocol));
  if (!answer) co_return SigningError(InDoubt{key, "the attempt gave no result"});
  co_return std::move(*answer);
}

asio::awaitable<SignResult<HeldDuty>> claim_for_caller(std::shared_ptr<Protocol> protocol, SignRequest request) {
  if (auto refusal = refuse_to_begin(*protocol)) co_return std::unexpected(std::move(*refusal));
  auto duty = protected_duty(*protocol, request);
  if (!duty) co_return std::unexpected(duty.error());
  const auto begins = begins_at(*protocol, duty->key);
  if (!begins) co_return std::unexpected(begins.error());
  auto facts =
      facts_of(*protocol, attempt::Purpose::kClaimForCaller, *duty, protocol->new_token(TokenKind::kHandedOut));
  attempt::Event first = attempt::Begun{};
  auto launched = launch_step(protocol, *begins, std::move(facts), std::move(first));
  auto answer = co_await std::move(launched);
  auto held = result_of<attempt::HeldToken>(std::move(answer));
  if (protocol->config.check_signatures) {
    const Subject subject{duty->key.validator, duty->message_hash};
    auto checking = without_foreign_signature(protocol, subject, std::move(held));
    held = co_await std::move(checking);
  }
  if (!held) co_return std::unexpected(std::move(held.error()));
  co_return HeldDuty{std::move(*duty), std::move(held->token)};
}

asio::awaitable<SignResult<std::monostate>> record_for_caller(std::shared_ptr<Protocol> protocol, HeldDuty held,
                                                              Signature signature) {
  if (!protocol->accepting) co_return std::unexpected(NotRunning{});
  if (const auto& slots = protocol->ports.plausible_slots) {
    if (auto refused = slots->refuse(held.duty.key.slot)) co_return std::unexpected(std::move(*refused));
  }
  if (protocol->config.check_signatures) {
    const Subject subject{held.duty.key.validator, held.duty.message_hash};
    auto checking = is_genuine(protocol, subject, signature);
    const bool genuine = co_await std::move(checking);
    if (!genuine) {
      co_return std::unexpected(InvalidInput{
          "signature", "not validator " + subject.validator.to_string() + "'s",
          "the validator's signature of messageHash " + subject.hash.to_string() + ", or of its EIP-191 form"});
    }
  }
  auto facts =
      facts_of(*protocol, attempt::Purpose::kRecordForCaller, std::move(held.duty), std::move(held.lock_token));
  attempt::Event first = attempt::SignatureMade{signature};
  auto launched = launch_step(protocol, protocol->ports.clock->now(), std::move(facts), std::move(first));
  auto answer = co_await std::move(launched);
  auto recorded = result_of<attempt::Recorded>(std::move(answer));
  if (!recorded) co_return std::unexpected(std::move(recorded.error()));
  co_return std::monostate{};
}

asio::awaitable<SignResult<bool>> delete_for_caller(std::shared_ptr<Protocol> protocol, HeldDuty held) {
  if (!protocol->accepting) co_return std::unexpected(NotRunning{});
  auto facts =
      facts_of(*protocol, attempt::Purpose::kReleaseForCaller, std::move(held.duty), std::move(held.lock_token));
  attempt::Event first = attempt::Begun{};
  auto launched = launch_step(protocol, protocol->ports.clock->now(), std::move(facts), std::move(first));
  auto answer = co_await std::move(launched);
  auto released = result_of<attempt::Released>(std::move(answer));
  if (!released) co_return std::unexpected(std::move(released.error()));
  co_return released->was_there;
}

/// Sets the flag for as long as it lives.
class Starting {
 public:
  explicit Starting(bool& flag) : flag_(flag) { flag_ = true; }
  ~Starting() { flag_ = false; }
  Starting(const Starting&) = delete;
  Starting& operator=(const Starting&) = delete;

 private:
  bool& flag_;
};

asio::awaitable<SignResult<std::monostate>> start_protocol(std::shared_ptr<Protocol> protocol,
                                                           std::shared_ptr<Cleanup> cleanup, milliseconds timeout) {
  while (protocol->starting) {
    co_await sleep_until(protocol->ports.executor, *protocol->ports.clock, protocol->ports.clock->now() + kStopLook);
  }
  if (protocol->accepting) co_return std::monostate{};
  if (protocol->stop >= attempt::StopLevel::kStopping) co_return std::unexpected(NotRunning{});
  const Starting starting(protocol->starting);
  auto started = co_await protocol->lease->start(protocol->ports.clock->now() + timeout);
  if (!started) co_return std::unexpected(started.error());
  if (protocol->stop >= attempt::StopLevel::kStopping) co_return std::unexpected(NotRunning{});
  protocol->accepting = true;
  cleanup->start();
  co_return std::monostate{};
}

asio::awaitable<void> wait_for_attempts(std::shared_ptr<Protocol> protocol, milliseconds limit,
                                        std::atomic<std::size_t> Protocol::*counter) {
  const auto until = protocol->ports.clock->now() + limit;
  while ((*protocol).*counter > 0 && protocol->ports.clock->now() < until) {
    co_await sleep_until(protocol->ports.executor, *protocol->ports.clock, protocol->ports.clock->now() + kStopLook);
  }
}

asio::awaitable<void> stop_protocol(std::shared_ptr<Protocol> protocol, std::shared_ptr<Cleanup> cleanup) {
  using attempt::StopLevel;
  if (protocol->stop >= StopLevel::kStopping) co_return;
  protocol->accepting = false;
  protocol->stop_at(StopLevel::kStopping);
  co_await wait_for_attempts(protocol, protocol->config.stop_grace, &Protocol::attempts_in_flight);
  protocol->stop_at(StopLevel::kStopSigning);
  co_await wait_for_attempts(protocol, kStopRecording, &Protocol::attempts_in_flight);
  co_await wait_for_attempts(protocol, protocol->config.stop_grace, &Protocol::unsettled);
  protocol->stop_at(StopLevel::kClosed);
  co_await cleanup->stop();
  co_await protocol->lease->stop();
  co_await wait_for_attempts(protocol, kStopRecording, &Protocol::attempts_in_flight);
  co_await protocol->ports.store->close();
}

}  // namespace

HaSigner::HaSigner(SignerConfig config, Ports ports) {
  auto checked = validated(std::move(config));
  if (!checked) throw std::invalid_argument(checked.error().message());
  if ((checked->check_signatures || !checked->return_recorded.empty()) && !ports.is_signature_of) {
    throw std::invalid_argument("check_signatures and return_recorded need Ports::is_signature_of");
  }
  protocol_ = std::make_shared<Protocol>(std::move(ports), std::move(*checked));
  cleanup_ = std::make_shared<Cleanup>(protocol_);
}

HaSigner::~HaSigner() = default;

asio::awaitable<SignResult<std::monostate>> HaSigner::start(milliseconds timeout) {
  auto result = co_await asio::co_spawn(protocol_->ports.executor, start_protocol(protocol_, cleanup_, timeout),
                                        asio::use_awaitable);
  co_return result;
}

asio::awaitable<void> HaSigner::stop() {
  co_await asio::co_spawn(protocol_->ports.executor, stop_protocol(protocol_, cleanup_), asio::use_awaitable);
}

asio::awaitable<SignResult<SignedDuty>> HaSigner::sign_with_protection(SignRequest request, SignFunction sign_function,
                                                                       SignEffects effects) {
  SignCall call{std::move(request), std::move(sign_function), effects};
  auto launched = launch_one(protocol_, std::move(call));
  auto result = co_await asio::co_spawn(protocol_->ports.executor, std::move(launched), asio::use_awaitable);
  co_return result;
}

asio::awaitable<std::vector<SignResult<SignedDuty>>> HaSigner::sign_many(std::vector<SignCall> calls) {
  auto results =
      co_await asio::co_spawn(protocol_->ports.executor, launch_all(protocol_, std::move(calls)), asio::use_awaitable);
  co_return results;
}

asio::awaitable<SignResult<HeldDuty>> HaSigner::check_and_record(SignRequest request) {
  auto result = co_await asio::co_spawn(protocol_->ports.executor, claim_for_caller(protocol_, std::move(request)),
                                        asio::use_awaitable);
  co_return result;
}

asio::awaitable<SignResult<std::monostate>> HaSigner::record_success(HeldDuty held, Signature signature) {
  auto result = co_await asio::co_spawn(protocol_->ports.executor,
                                        record_for_caller(protocol_, std::move(held), signature), asio::use_awaitable);
  co_return result;
}

asio::awaitable<SignResult<bool>> HaSigner::delete_duty(HeldDuty held) {
  auto result = co_await asio::co_spawn(protocol_->ports.executor, delete_for_caller(protocol_, std::move(held)),
                                        asio::use_awaitable);
  co_return result;
}

SignResult<std::monostate> HaSigner::start_blocking(milliseconds timeout) {
  return asio::co_spawn(protocol_->ports.executor, start_protocol(protocol_, cleanup_, timeout), asio::use_future)
      .get();
}

void HaSigner::stop_blocking() {
  asio::co_spawn(protocol_->ports.executor, stop_protocol(protocol_, cleanup_), asio::use_future).get();
}

SignResult<SignedDuty> HaSigner::sign_with_protection_blocking(SignRequest request, SignFunction sign_function,
                                                               SignEffects effects) {
  return asio::co_spawn(protocol_->ports.executor,
                        launch_one(protocol_, {std::move(request), std::move(sign_function), effects}),
                        asio::use_future)
      .get();
}

std::vector<SignResult<SignedDuty>> HaSigner::sign_many_blocking(std::vector<SignCall> calls) {
  return asio::co_spawn(protocol_->ports.executor, launch_all(protocol_, std::move(calls)), asio::use_future).get();
}

SignResult<HeldDuty> HaSigner::check_and_record_blocking(SignRequest request) {
  return asio::co_spawn(protocol_->ports.executor, claim_for_caller(protocol_, std::move(request)), asio::use_future)
      .get();
}

SignResult<std::monostate> HaSigner::record_success_blocking(HeldDuty held, Signature signature) {
  return asio::co_spawn(protocol_->ports.executor, record_for_caller(protocol_, std::move(held), signature),
                        asio::use_future)
      .get();
}

SignResult<bool> HaSigner::delete_duty_blocking(HeldDuty held) {
  return asio::co_spawn(protocol_->ports.executor, delete_for_caller(protocol_, std::move(held)), asio::use_future)
      .get();
}

const NodeId& HaSigner::node_id() const {
  return protocol_->config.node_id;
}

bool HaSigner::healthy() const {
  return protocol_->accepting && !protocol_->lease->superseded();
}

bool HaSigner::lease_runs() const {
  return protocol_->lease->runs_now();
}

std::size_t HaSigner::requests_queued() const {
  return protocol_->queued();
}

std::size_t HaSigner::attempts_in_flight() const {
  return protocol_->attempts_in_flight;
}

}  // namespace hasigner
