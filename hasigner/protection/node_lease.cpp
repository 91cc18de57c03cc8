#include "hasigner/protection/node_lease.hpp"

#include <utility>

namespace hasigner {

namespace {

/// Pause between two looks at another incarnation's lease, and between two tries to reach a store that does not answer.
constexpr milliseconds kRetryPause{100};

}  // namespace

NodeLease::NodeLease(Ports ports, const SignerConfig& config)
    : ports_(std::move(ports)),
      registration_{config.node_id, Incarnation{}, config.lease},
      heartbeat_interval_(config.heartbeat_interval),
      call_timeout_(config.store_call_timeout),
      stop_signal_(std::make_shared<Arrival<Unit>>(ports_.executor)),
      stopped_(std::make_shared<Arrival<Unit>>(ports_.executor)) {
  if (ports_.incarnation) {
    registration_.incarnation = *ports_.incarnation;
  } else {
    ports_.random->fill(registration_.incarnation.bytes());
  }
}

NodeIdTaken NodeLease::taken(std::string reason) const {
  return NodeIdTaken{registration_.node_id.str(), std::move(reason)};
}

asio::awaitable<SignResult<Unit>> NodeLease::start(MonotonicTime deadline) {
  if (!ports_.store->capabilities().registry) {
    running_ = true;
    co_return Unit{};
  }
  std::string heartbeat;
  auto heartbeat_since = ports_.clock->now();
  auto registration = registration_;
  while (!stopping_) {
    const auto sent_at = ports_.clock->now();
    auto outcome = co_await ports_.store->register_node(registration, std::min(deadline, sent_at + call_timeout_));
    if (outcome && outcome->registered) {
      renewed_at_ = sent_at;
      running_ = true;
      asio::co_spawn(ports_.executor, keep_alive(shared_from_this()), asio::detached);
      if (!stopping_) co_return Unit{};
      break;
    }
    if (outcome) {
      if (heartbeat.empty()) {
        heartbeat = outcome->heartbeat;
        heartbeat_since = ports_.clock->now();
      }
      if (outcome->certainly_alive || outcome->heartbeat != heartbeat) {
        co_return std::unexpected(taken("incarnation " + outcome->holder + " is alive"));
      }
      last_error_ = "waiting for the lease of incarnation " + outcome->holder;
      // Two leases of silence by our own clock: it is dead, whatever the store's clock, which may have been set back,
      // says.
      if (ports_.clock->now() >= heartbeat_since + 2 * registration_.lease) registration.silent_heartbeat = heartbeat;
    } else if (outcome.error().kind == StoreErrorKind::kIncompatible) {
      co_return std::unexpected(Unavailable{outcome.error().reason});
    } else if (last_error_.empty()) {
      last_error_ = outcome.error().reason;
    }
    const auto now = ports_.clock->now();
    if (now >= deadline) co_return std::unexpected(Unavailable{last_error_});
    co_await sleep_until(ports_.executor, *ports_.clock, std::min(deadline, now + kRetryPause));
  }
  co_await give_back();
  co_return std::unexpected(NotRunning{});
}

bool NodeLease::fresh() const {
  return ports_.clock->now() < renewed_at_ + registration_.lease;
}

bool NodeLease::runs_now() const {
  return !ports_.store->capabilities().registry || fresh();
}

bool NodeLease::held_now() const {
  return !ports_.store->capabilities().registry || (!superseded_ && running_ && fresh());
}

std::optional<SigningError> NodeLease::refusal() const {
  if (!ports_.store->capabilities().registry) return std::nullopt;
  if (superseded_) return taken("another incarnation has been registered in place of this one");
  if (!running_) return NotRunning{};
  if (permanent_ && !fresh()) return Unavailable{last_error_};
  return std::nullopt;
}

std::shared_ptr<Arrival<Unit>> NodeLease::next_answer() {
  return waiting_.emplace_back(std::make_shared<Arrival<Unit>>(ports_.executor));
}

void NodeLease::tell_waiting() {
  for (const auto& waiting : std::exchange(waiting_, {})) waiting->set(Unit{});
}

asio::awaitable<bool> NodeLease::renew_once() {
  const auto sent_at = ports_.clock->now();
  auto renewed = co_await ports_.store->renew(registration_, sent_at + std::min(call_timeout_, registration_.lease));
  permanent_ = !renewed && renewed.error().kind == StoreErrorKind::kIncompatible;
  if (!renewed) {
    last_error_ = renewed.error().reason;
    ports_.metrics->count(Metrics::Event::kStoreError, DutyType::kAttestation);
    co_return false;
  }
  if (*renewed) {
    renewed_at_ = sent_at;
    co_return true;
  }
  // Another incarnation is there, or none: a restored or failed-over store may never have heard of this one.
  auto registration_outcome =
      co_await ports_.store->register_node(registration_, sent_at + std::min(call_timeout_, registration_.lease));
  if (registration_outcome && registration_outcome->registered) renewed_at_ = sent_at;
  if (registration_outcome && !registration_outcome->registered) superseded_ = true;
  co_return registration_outcome.has_value();
}

asio::awaitable<void> NodeLease::keep_alive(std::shared_ptr<NodeLease> self) {
  while (self->running_ && !self->superseded_) {
    bool answered = false;
    try {
      answered = co_await self->renew_once();
    } catch (...) {
      // Without a heartbeat the lease runs out, and a node without a lease claims nothing.
      self->last_error_ = describe_current_exception("the store");
    }
    self->tell_waiting();
    const auto pause = answered ? self->heartbeat_interval_ : kRetryPause;
    const auto stop_asked =
        co_await Arrival<Unit>::wait(self->stop_signal_, *self->ports_.clock, self->ports_.clock->now() + pause);
    if (stop_asked) break;
  }
  self->stopped_->set(Unit{});
}

asio::awaitable<void> NodeLease::stop() {
  stopping_ = true;
  if (running_) co_await give_back();
}

asio::awaitable<void> NodeLease::give_back() {
  if (!running_) co_return;
  running_ = false;
  tell_waiting();
  if (!ports_.store->capabilities().registry) co_return;
  stop_signal_->set(Unit{});
  const auto deadline = ports_.clock->now() + registration_.lease;
  co_await Arrival<Unit>::wait(stopped_, *ports_.clock, deadline);
  if (superseded_) co_return;
  // Should this fail, the lease runs out by itself.
  [[maybe_unused]] auto lease_ended = co_await ports_.store->end_lease(registration_, deadline);
}

}  // namespace hasigner
