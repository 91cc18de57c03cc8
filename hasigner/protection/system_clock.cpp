#include "hasigner/protection/system_clock.hpp"

#include <sys/random.h>

#include <cerrno>
#include <vector>

#include "hasigner/duty/assert.hpp"

namespace hasigner {

/// Outlives the clock while a wait of the timer is in flight.
struct SystemClock::State : std::enable_shared_from_this<State> {
  using Key = std::pair<MonotonicTime, std::uint64_t>;
  struct Callback {
    std::move_only_function<void()> function;
    std::uint32_t slot;
  };
  using Callbacks = std::map<Key, Callback>;

  /// Nearly every timer is cancelled, so that must not cost a search: an id says in which slot its callback is noted.
  struct Slot {
    Callbacks::iterator callback;
    std::uint32_t uses = 0;  ///< the upper half of the present id
    bool taken = false;
  };

  explicit State(asio::any_io_executor executor) : timer(std::move(executor)) {}

  TimerId add(MonotonicTime time, std::move_only_function<void()> function) {
    if (free_slots.empty()) {
      free_slots.push_back(static_cast<std::uint32_t>(slots.size()));
      slots.emplace_back();
    }
    const auto index = free_slots.back();
    free_slots.pop_back();
    auto& slot = slots[index];
    const auto id = TimerId{++slot.uses} << 32 | index;
    slot.callback = callbacks.emplace(Key{time, ++added}, Callback{std::move(function), index}).first;
    slot.taken = true;
    return id;
  }

  void remove(TimerId id) {
    const auto index = static_cast<std::uint32_t>(id);
    if (index >= slots.size() || !slots[index].taken || slots[index].uses != id >> 32) return;
    callbacks.erase(slots[index].callback);
    leave(index);
  }

  void leave(std::uint32_t index) {
    slots[index].taken = false;
    free_slots.push_back(index);
  }

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
      leave(node.mapped().slot);
      node.mapped().function();
    }
    arm();
  }

  asio::steady_timer timer;
  Callbacks callbacks;  ///< by time, then in the order of their coming
  std::vector<Slot> slots;
  std::vector<std::uint32_t> free_slots;
  MonotonicTime armed_for{};
  bool armed = false;
  std::uint64_t added = 0;
};

SystemClock::SystemClock(asio::any_io_executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

SystemClock::~SystemClock() {
  state_->slots.clear();
  state_->callbacks.clear();
  state_->timer.cancel();
}

Clock::TimerId SystemClock::call_at(MonotonicTime time, std::move_only_function<void()> callback) {
  const auto id = state_->add(time, std::move(callback));
  state_->arm();
  return id;
}

void SystemClock::cancel(TimerId id) {
  state_->remove(id);
}

void SystemRandom::fill(std::span<std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto got = ::getrandom(bytes.data(), bytes.size(), 0);
    HASIGNER_ASSERT(got > 0 || errno == EINTR);
    if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace hasigner
