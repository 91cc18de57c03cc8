#include "hasigner/protection/cleanup.hpp"

namespace hasigner {

namespace {

constexpr milliseconds kLongestStuckInterval = std::chrono::minutes(1);
constexpr milliseconds kRetentionInterval = std::chrono::hours(1);
/// More than this is left for the next round, so that no round is endless.
constexpr int kMaxChunks = 10'000;

}  // namespace

Cleanup::Cleanup(std::shared_ptr<Protocol> protocol)
    : protocol_(std::move(protocol)),
      stop_signal_(std::make_shared<Arrival<Unit>>(protocol_->ports.executor)),
      stopped_(std::make_shared<Arrival<Unit>>(protocol_->ports.executor)) {}

void Cleanup::start() {
  started_ = true;
  asio::co_spawn(protocol_->ports.executor, work(shared_from_this()), asio::detached);
}

asio::awaitable<void> Cleanup::remove_all(Removal what, milliseconds max_age) {
  const RemovalRequest request{
      .what = what, .node_id = protocol_->config.node_id, .rollup = protocol_->config.rollup, .max_age = max_age};
  for (int chunk = 0; chunk < kMaxChunks && !stopping_; ++chunk) {
    const auto deadline = protocol_->ports.clock->now() + protocol_->config.store_call_timeout;
    auto outcome = co_await protocol_->ports.store->remove(request, deadline);
    // An error is not repeated here: the next round comes by itself.
    if (!outcome) co_return;
    if (outcome->removed > 0) protocol_->ports.metrics->removed(request.what, outcome->removed);
    if (outcome->removed < request.limit) co_return;
  }
}

asio::awaitable<void> Cleanup::work(std::shared_ptr<Cleanup> self) {
  const auto& config = self->protocol_->config;
  const auto clock = self->protocol_->ports.clock;
  const auto stuck_age = config.max_stuck_duties_age;
  auto next_retention = clock->now();
  bool looks_for_abandoned = true;
  while (!self->stopping_) {
    try {
      if (looks_for_abandoned) co_await self->remove_all(Removal::kAbandoned, milliseconds(0));
      looks_for_abandoned = false;
      co_await self->remove_all(Removal::kStuck, stuck_age);
      if (config.old_duties_max_age && clock->now() >= next_retention) {
        next_retention = clock->now() + kRetentionInterval;
        const milliseconds age = *config.old_duties_max_age;
        co_await self->remove_all(Removal::kOld, age);
        co_await self->remove_all(Removal::kExpired, age);
        co_await self->remove_all(Removal::kReleased, age);
      }
    } catch (...) {  // NOLINT(bugprone-empty-catch): rows wait for their owners until the next round, nothing is lost
    }
    const auto next_round = clock->now() + std::min(stuck_age / 4, kLongestStuckInterval);
    const auto stop_asked = co_await Arrival<Unit>::wait(self->stop_signal_, *clock, next_round);
    if (stop_asked) break;
  }
  self->stopped_->set(Unit{});
}

asio::awaitable<void> Cleanup::stop() {
  if (!started_) co_return;
  started_ = false;
  stopping_ = true;
  stop_signal_->set(Unit{});
  co_await Arrival<Unit>::wait(stopped_, *protocol_->ports.clock, protocol_->ports.clock->now() + milliseconds(1000));
}

}  // namespace hasigner
