#include "hasigner/protection/ha_signer.hpp"

#include <stdexcept>

#include "hasigner/protection/attempt.hpp"
#include "hasigner/protection/cleanup.hpp"

namespace hasigner {

namespace {

using Deliver = std::move_only_function<void(SignResult<Signature>)>;

/// How often stop() looks whether the attempts in flight have ended.
constexpr milliseconds kStopLook{2};
/// How long stop() waits for attempts that are recording or releasing.
constexpr milliseconds kStopRecording{2000};
constexpr milliseconds kReleaseBeforeAnswer{1000};
constexpr std::string_view kPort = "a port of the signer";

struct CountOutcome {
  using Event = Metrics::Event;
  Event operator()(const DutyAlreadySigned&) const { return Event::kDutyAlreadySigned; }
  Event operator()(const SlashingProtection&) const { return Event::kSlashingProtection; }
  Event operator()(const OutsideWatermark&) const { return Event::kOutsideWatermark; }
  Event operator()(const SigningLockLost&) const { return Event::kLockLost; }
  Event operator()(const InDoubt&) const { return Event::kInDoubt; }
  Event operator()(const auto&) const { return Event::kSigningError; }
};

void count(const Protocol& protocol, const SignResult<Signature>& result, DutyType type, MonotonicTime started_at) {
  auto& metrics = *protocol.ports.metrics;
  if (!result) return metrics.count(std::visit(CountOutcome{}, result.error()), type);
  metrics.count(Metrics::Event::kSigningSuccess, type);
  metrics.signing_duration(protocol.ports.clock->now() - started_at, type);
}

/// Tells the metrics how long each step took.
class StepWatch {
 public:
  StepWatch(const Ports& ports, DutyType type) : ports_(ports), type_(type), began_(ports.clock->now()) {}
  void end_of(Metrics::Step step) {
    const auto now = ports_.clock->now();
    ports_.metrics->step_duration(step, now - began_, type_);
    began_ = now;
  }

 private:
  const Ports& ports_;
  DutyType type_;
  MonotonicTime began_;
};

/// Steps 1 to 4; what it returns has been confirmed.
asio::awaitable<SignResult<Signature>> steps(std::shared_ptr<Protocol> protocol, std::shared_ptr<Attempt> attempt,
                                             SignRequest request, SignFunction sign_function) {
  StepWatch watch(protocol->ports, attempt->duty().key.duty_type);
  auto token = co_await attempt->acquire();
  watch.end_of(Metrics::Step::kClaim);
  if (!token) co_return std::unexpected(token.error());
  auto signature = co_await attempt->sign(std::move(sign_function), std::move(request));
  watch.end_of(Metrics::Step::kSign);
  if (!signature) co_return signature;
  const DutyRecord record{attempt->duty().key, *token, attempt->duty().message_hash, *signature};
  auto recorded = co_await attempt->record(record);
  watch.end_of(Metrics::Step::kRecord);
  if (!recorded) co_return std::unexpected(recorded.error());
  co_return signature;
}

/// Goes on behind the answer until nothing of the attempt can stand any more.
asio::awaitable<void> clean_up_after(std::shared_ptr<Protocol> protocol, std::shared_ptr<Attempt> attempt) {
  ++protocol->unsettled;
  try {
    co_await attempt->settle();
  } catch (...) {
    // The row, if there is one, ends at the stuck age or when this node's lease has run out.
  }
  --protocol->unsettled;
}

/// Runs to its end whoever still waits: whatever it claimed is used or released.
asio::awaitable<void> run_attempt(std::shared_ptr<Protocol> protocol, Duty duty, SignRequest request,
                                  SignFunction sign_function, Deliver deliver) {
  const auto started_at = protocol->ports.clock->now();
  const auto type = duty.key.duty_type;
  auto attempt = std::make_shared<Attempt>(protocol, std::move(duty), TokenKind::kFenced);
  SignResult<Signature> result = std::unexpected(NotRunning{});
  bool settled = false;
  try {
    result = co_await steps(protocol, attempt, std::move(request), std::move(sign_function));
    settled = attempt->is_settled();
    if (!settled) settled = co_await attempt->release_once(protocol->ports.clock->now() + kReleaseBeforeAnswer);
  } catch (...) {
    // No port throws; if one does all the same, nobody can say how far it came.
    result = std::unexpected(InDoubt{attempt->duty().key, describe_current_exception(kPort)});
  }
  attempt->leave();
  --protocol->attempts_in_flight;
  count(*protocol, result, type, started_at);
  deliver(std::move(result));
  if (!settled) co_await clean_up_after(protocol, attempt);
}

/// AUTH_REQUEST and TXS: signing them twice is safe, so only the time is bounded.
asio::awaitable<void> run_unprotected(std::shared_ptr<Protocol> protocol, SignRequest request,
                                      SignFunction sign_function, Deliver deliver) {
  const Duty no_duty{.key = {protocol->config.rollup, request.validator, request.context.slot,
                             request.context.duty_type, kNoBlockIndex},
                     .block_number = {},
                     .checkpoint_number = {},
                     .message_hash = request.message_hash};
  auto attempt = std::make_shared<Attempt>(protocol, no_duty, TokenKind::kFenced);
  SignResult<Signature> result = std::unexpected(NotRunning{});
  try {
    result = co_await attempt->sign(std::move(sign_function), std::move(request));
  } catch (...) {
    result = std::unexpected(SignFunctionFailed{describe_current_exception(kPort)});
  }
  --protocol->attempts_in_flight;
  deliver(std::move(result));
}

/// Checks what can be checked before anything is written, and sets the attempt going.
void launch(const std::shared_ptr<Protocol>& protocol, SignRequest request, SignFunction sign_function,
            Deliver deliver) {
  if (!protocol->accepting) return deliver(std::unexpected(NotRunning{}));
  if (protocol->attempts_in_flight >= protocol->config.max_attempts_in_flight) {
    return deliver(std::unexpected(Overloaded{protocol->config.max_attempts_in_flight}));
  }
  if (*protocol->overdue_sign_calls >= protocol->config.max_overdue_sign_calls) {
    return deliver(
        std::unexpected(Overloaded{protocol->config.max_overdue_sign_calls, Overloaded::By::kHangingSignCalls}));
  }
  if (!is_protected(request.context.duty_type)) {
    ++protocol->attempts_in_flight;
    return asio::co_spawn(protocol->ports.executor,
                          run_unprotected(protocol, std::move(request), std::move(sign_function), std::move(deliver)),
                          asio::detached);
  }
  auto duty = make_duty(protocol->config.rollup, request.validator, request.message_hash, request.context);
  if (!duty) return deliver(std::unexpected(duty.error()));
  ++protocol->attempts_in_flight;
  asio::co_spawn(
      protocol->ports.executor,
      run_attempt(protocol, std::move(*duty), std::move(request), std::move(sign_function), std::move(deliver)),
      asio::detached);
}

/// Longer than any attempt: it bounds itself.
MonotonicTime after_any_attempt(const Protocol& protocol) {
  return protocol.ports.clock->now() + protocol.config.attempt_timeout * 4 + std::chrono::hours(1);
}

asio::awaitable<std::vector<SignResult<Signature>>> launch_all(std::shared_ptr<Protocol> protocol,
                                                               std::vector<SignCall> jobs) {
  struct Collector {
    std::vector<SignResult<Signature>> results;
    std::size_t missing;
    std::shared_ptr<Arrival<Unit>> complete;
  };
  auto collector = std::make_shared<Collector>();
  collector->results.resize(jobs.size(), std::unexpected(NotRunning{}));
  collector->missing = jobs.size();
  collector->complete = std::make_shared<Arrival<Unit>>(protocol->ports.executor);
  if (jobs.empty()) co_return std::move(collector->results);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    launch(protocol, std::move(jobs[i].request), std::move(jobs[i].sign_function),
           [collector, i](SignResult<Signature> result) {
             collector->results[i] = std::move(result);
             if (--collector->missing == 0) collector->complete->set(Unit{});
           });
  }
  co_await Arrival<Unit>::wait(collector->complete, *protocol->ports.clock, after_any_attempt(*protocol));
  co_return std::move(collector->results);
}

asio::awaitable<SignResult<Signature>> launch_one(std::shared_ptr<Protocol> protocol, SignRequest request,
                                                  SignFunction sign_function) {
  const DutyKey key{protocol->config.rollup, request.validator, request.context.slot, request.context.duty_type,
                    kNoBlockIndex};
  auto arrival = std::make_shared<Arrival<SignResult<Signature>>>(protocol->ports.executor);
  launch(protocol, std::move(request), std::move(sign_function),
         [arrival](SignResult<Signature> result) { arrival->set(std::move(result)); });
  auto result =
      co_await Arrival<SignResult<Signature>>::wait(arrival, *protocol->ports.clock, after_any_attempt(*protocol));
  if (!result) co_return std::unexpected(InDoubt{key, "the attempt gave no result"});
  co_return std::move(*result);
}

/// Like run_attempt(), up to the claim: from then on the row is the caller's.
asio::awaitable<void> run_claim(std::shared_ptr<Protocol> protocol, Duty duty,
                                std::shared_ptr<Arrival<SignResult<HeldDuty>>> arrival) {
  auto attempt = std::make_shared<Attempt>(protocol, duty, TokenKind::kHandedOut);
  SignResult<LockToken> token = std::unexpected(NotRunning{});
  try {
    token = co_await attempt->acquire();
  } catch (...) {
    token = std::unexpected(Unavailable{describe_current_exception(kPort)});
  }
  attempt->leave();
  --protocol->attempts_in_flight;
  if (token) {
    arrival->set(HeldDuty{std::move(duty), *token});
    co_return;
  }
  arrival->set(std::unexpected(token.error()));
  co_await clean_up_after(protocol, attempt);
}

asio::awaitable<SignResult<HeldDuty>> claim_for_caller(std::shared_ptr<Protocol> protocol, SignRequest request) {
  if (!protocol->accepting) co_return std::unexpected(NotRunning{});
  if (protocol->attempts_in_flight >= protocol->config.max_attempts_in_flight) {
    co_return std::unexpected(Overloaded{protocol->config.max_attempts_in_flight});
  }
  auto duty = make_duty(protocol->config.rollup, request.validator, request.message_hash, request.context);
  if (!duty) co_return std::unexpected(duty.error());
  auto arrival = std::make_shared<Arrival<SignResult<HeldDuty>>>(protocol->ports.executor);
  ++protocol->attempts_in_flight;
  asio::co_spawn(protocol->ports.executor, run_claim(protocol, std::move(*duty), arrival), asio::detached);
  auto result =
      co_await Arrival<SignResult<HeldDuty>>::wait(arrival, *protocol->ports.clock, after_any_attempt(*protocol));
  if (!result) co_return std::unexpected(Unavailable{"the attempt gave no result"});
  co_return std::move(*result);
}

asio::awaitable<SignResult<std::monostate>> record_for_caller(std::shared_ptr<Protocol> protocol, HeldDuty held,
                                                              Signature signature) {
  if (!protocol->accepting) co_return std::unexpected(NotRunning{});
  auto attempt = std::make_shared<Attempt>(protocol, held.duty, TokenKind::kHandedOut);
  const DutyRecord record{held.duty.key, held.lock_token, held.duty.message_hash, signature};
  auto recorded = co_await attempt->record(record);
  if (!recorded) co_return std::unexpected(recorded.error());
  co_return std::monostate{};
}

asio::awaitable<SignResult<bool>> delete_for_caller(std::shared_ptr<Protocol> protocol, HeldDuty held) {
  if (!protocol->accepting) co_return std::unexpected(NotRunning{});
  // A row that was taken over stays, whoever holds it now: an earlier holder may still release its data.
  if (held.lock_token.kind() == TokenKind::kTakenOver) co_return false;
  auto arrival = protocol->releases->submit(DutyRelease{held.duty.key, held.lock_token});
  const auto deadline = protocol->ports.clock->now() + protocol->config.attempt_timeout;
  auto step = co_await Arrival<StoreResult<ReleaseResult>>::wait(arrival, *protocol->ports.clock, deadline);
  if (!step) co_return std::unexpected(Unavailable{"no answer in time"});
  if (!*step) co_return std::unexpected(Unavailable{step->error().reason});
  co_return (*step)->outcome == RowOutcome::kApplied;
}

asio::awaitable<SignResult<std::monostate>> start_protocol(std::shared_ptr<Protocol> protocol,
                                                           std::shared_ptr<Cleanup> cleanup, milliseconds timeout) {
  while (protocol->starting) {
    co_await sleep_until(protocol->ports.executor, *protocol->ports.clock, protocol->ports.clock->now() + kStopLook);
  }
  if (protocol->accepting) co_return std::monostate{};
  if (protocol->stopping) co_return std::unexpected(NotRunning{});
  protocol->starting = true;
  auto started = co_await protocol->lease->start(protocol->ports.clock->now() + timeout);
  protocol->starting = false;
  if (!started) co_return std::unexpected(started.error());
  if (protocol->stopping) co_return std::unexpected(NotRunning{});
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
  if (protocol->stopping) co_return;
  protocol->accepting = false;
  protocol->stopping = true;
  protocol->interrupt_waits();
  co_await wait_for_attempts(protocol, protocol->config.stop_grace, &Protocol::attempts_in_flight);
  protocol->stop_signing = true;
  protocol->interrupt_waits();
  co_await wait_for_attempts(protocol, kStopRecording, &Protocol::attempts_in_flight);
  co_await wait_for_attempts(protocol, protocol->config.stop_grace, &Protocol::unsettled);
  protocol->closed = true;
  protocol->interrupt_waits();
  co_await cleanup->stop();
  co_await protocol->lease->stop();
  co_await wait_for_attempts(protocol, kStopRecording, &Protocol::attempts_in_flight);
  co_await protocol->ports.store->close();
}

}  // namespace

HaSigner::HaSigner(SignerConfig config, Ports ports) {
  auto checked = validated(std::move(config));
  if (!checked) throw std::invalid_argument(checked.error().message());
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

asio::awaitable<SignResult<Signature>> HaSigner::sign_with_protection(SignRequest request, SignFunction sign_function) {
  auto result =
      co_await asio::co_spawn(protocol_->ports.executor,
                              launch_one(protocol_, std::move(request), std::move(sign_function)), asio::use_awaitable);
  co_return result;
}

asio::awaitable<std::vector<SignResult<Signature>>> HaSigner::sign_many(std::vector<SignCall> jobs) {
  auto results =
      co_await asio::co_spawn(protocol_->ports.executor, launch_all(protocol_, std::move(jobs)), asio::use_awaitable);
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

SignResult<Signature> HaSigner::sign_with_protection_blocking(SignRequest request, SignFunction sign_function) {
  return asio::co_spawn(protocol_->ports.executor, launch_one(protocol_, std::move(request), std::move(sign_function)),
                        asio::use_future)
      .get();
}

std::vector<SignResult<Signature>> HaSigner::sign_many_blocking(std::vector<SignCall> jobs) {
  return asio::co_spawn(protocol_->ports.executor, launch_all(protocol_, std::move(jobs)), asio::use_future).get();
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

void HaSigner::set_deliberate_faults(DeliberateFaults faults) {
  protocol_->faults = faults;
}

}  // namespace hasigner
