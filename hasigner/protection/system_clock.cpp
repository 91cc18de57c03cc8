#include "hasigner/protection/system_clock.hpp"

#include <sys/random.h>

#include <cerrno>
#include <unordered_map>

#include "hasigner/duty/assert.hpp"

namespace hasigner {

/// Outlives the clock while a wait of the timer is in flight.
struct SystemClock::State : std::enable_shared_from_this<State> {
  using Place = std::pair<MonotonicTime, TimerId>;

  explicit State(asio::any_io_executor executor) : timer(std::move(executor)) {}

  void arm() {
    if (callbacks.empty()) return;
    const auto first = callbacks.begin()->first.first;
    if (armed && armed_for <= first) return;
    armed = true;
    armed_for = first;
    timer.expires_at(first);
    timer.async_wait([self = shared_from_this(), first](const boost::system::error_code& error) {
      if (!error && self->armed_for == first) self->ring();
    });
  }

  void ring() {
    armed = false;
    const auto now = std::chrono::steady_clock::now();
    while (!callbacks.empty() && callbacks.begin()->first.first <= now) {
      auto node = callbacks.extract(callbacks.begin());
      times.erase(node.key().second);
      node.mapped()();
    }
    arm();
  }

  asio::steady_timer timer;
  std::map<Place, std::move_only_function<void()>> callbacks;
  std::unordered_map<TimerId, MonotonicTime> times;
  MonotonicTime armed_for{};
  bool armed = false;
  TimerId next_id = 1;
};

SystemClock::SystemClock(asio::any_io_executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

SystemClock::~SystemClock() {
  state_->callbacks.clear();
  state_->timer.cancel();
}

Clock::TimerId SystemClock::call_at(MonotonicTime time, std::move_only_function<void()> callback) {
  const auto id = state_->next_id++;
  state_->callbacks.emplace(State::Place{time, id}, std::move(callback));
  state_->times.emplace(id, time);
  state_->arm();
  return id;
}

void SystemClock::cancel(TimerId id) {
  const auto time = state_->times.find(id);
  if (time == state_->times.end()) return;
  state_->callbacks.erase(State::Place{time->second, id});
  state_->times.erase(time);
}

void SystemRandom::fill(std::span<std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto got = ::getrandom(bytes.data(), bytes.size(), 0);
    HASIGNER_ASSERT(got > 0 || errno == EINTR);
    if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace hasigner
