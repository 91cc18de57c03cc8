#pragma once

#include <map>
#include <memory>
#include <random>
#include <stdexcept>

#include "hasigner/async/asio.hpp"
#include "hasigner/protection/clock.hpp"

namespace hasigner::simulation {

/// The one source of chance of a run: the same seed gives the same run.
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : engine_(seed) {}
  bool happens(double probability) { return std::uniform_real_distribution<>(0, 1)(engine_) < probability; }
  std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
  milliseconds between(milliseconds least, milliseconds most) {
    return least + milliseconds(below(static_cast<std::uint64_t>((most - least).count()) + 1));
  }
  std::mt19937_64& engine() { return engine_; }

 private:
  std::mt19937_64 engine_;
};

/// Time that passes only when nothing is left to do; events at one instant happen in the order in which they were asked
/// for.
class SimTime {
 public:
  using Event = std::move_only_function<void()>;
  using Key = std::pair<MonotonicTime, std::uint64_t>;

  Key at(MonotonicTime time, Event event) {
    const Key key{std::max(time, now_), next_++};
    events_.emplace(key, std::move(event));
    return key;
  }
  void drop(const Key& key) { events_.erase(key); }

  /// Runs everything that is ready, or else moves time to the next event and lets it happen. False: there is none.
  bool step() {
    io.restart();
    if (io.poll() > 0) return true;
    if (events_.empty()) return false;
    do {
      auto node = events_.extract(events_.begin());
      now_ = node.key().first;
      node.mapped()();
    } while (all_of_an_instant && !events_.empty() && events_.begin()->first.first == now_);
    return true;
  }

  [[nodiscard]] MonotonicTime now() const { return now_; }

  asio::io_context io{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};  ///< one thread, so without locks
  bool all_of_an_instant = false;  ///< events of one instant happen before anything that follows from them

 private:
  MonotonicTime now_ = MonotonicTime{} + std::chrono::hours(1000);
  std::uint64_t next_ = 0;
  std::map<Key, Event> events_;
};

/// Thrown by every port of a process that has been killed, so that its coroutines end.
struct Killed : std::runtime_error {
  Killed() : std::runtime_error("killed") {}
};

/// The clock of the store, which can be set forward or back.
class StoreClock final : public Clock {
 public:
  explicit StoreClock(const SimTime& time) : time_(time) {}
  [[nodiscard]] MonotonicTime now() const override { return time_.now() + offset_; }
  void jump(milliseconds by) { offset_ += by; }
  TimerId call_at(MonotonicTime, std::move_only_function<void()>) override { throw std::logic_error("not a timer"); }
  void cancel(TimerId) override {}

 private:
  const SimTime& time_;
  milliseconds offset_{};
};

/// One life of one process as its ports see it: whether it lives, whether it is paused, how fast its clock is, which
/// timers it has set.
class Life : public Clock, public RandomSource, public std::enable_shared_from_this<Life> {
 public:
  /// `rate`: how many of its seconds pass in a second.
  Life(SimTime& time, Chance& chance, double rate = 1) : time_(time), chance_(chance), rate_(rate) {}

  [[nodiscard]] MonotonicTime now() const override {
    return start_ + std::chrono::duration_cast<MonotonicTime::duration>((time_.now() - start_) * rate_);
  }
  /// When its clock shows this.
  [[nodiscard]] MonotonicTime when(MonotonicTime shown) const {
    // Far deadlines stand for no deadline at all.
    if (rate_ == 1 || shown - start_ > std::chrono::hours(1000)) return shown;
    return start_ + std::chrono::ceil<MonotonicTime::duration>((shown - start_) / rate_);
  }

  TimerId call_at(MonotonicTime time, std::move_only_function<void()> callback) override {
    require_alive();
    const auto id = next_id_++;
    callbacks_[id] = std::move(callback);
    keys_[id] = time_.at(std::max(when(time), time_.now() + std::chrono::microseconds(1)),
                         [self = shared_from_this(), id] { self->ring(id); });
    return id;
  }
  void cancel(TimerId id) override {
    const auto key = keys_.find(id);
    if (key == keys_.end()) return;
    time_.drop(key->second);
    keys_.erase(key);
    callbacks_.erase(id);
  }
  void fill(std::span<std::uint8_t> bytes) override {
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(chance_.below(256));
  }

  /// Runs `event` in this process: now if it runs, on waking if it is paused, never if it is dead.
  void run_inside(SimTime::Event event) {
    if (!alive_) return;
    if (time_.now() >= paused_until_) return event();
    time_.at(paused_until_,
             [self = shared_from_this(), event = std::move(event)]() mutable { self->run_inside(std::move(event)); });
  }

  void pause_until(MonotonicTime time) { paused_until_ = std::max(paused_until_, time); }

  [[nodiscard]] bool was_paused_since(MonotonicTime time) const { return paused_until_ > time; }

  /// kill -9: nothing of this process happens any more but that its coroutines end.
  void kill() {
    alive_ = false;
    paused_until_ = time_.now();
    auto callbacks = std::move(callbacks_);
    for (auto& [id, key] : keys_) time_.drop(key);
    keys_.clear();
    callbacks_.clear();
    for (auto& [id, callback] : callbacks) callback();
  }

  [[nodiscard]] bool alive() const { return alive_; }
  void require_alive() const {
    if (!alive_) throw Killed();
  }

 private:
  void ring(TimerId id) {
    if (alive_ && time_.now() < paused_until_) {
      keys_[id] = time_.at(paused_until_, [self = shared_from_this(), id] { self->ring(id); });
      return;
    }
    const auto entry = callbacks_.find(id);
    if (entry == callbacks_.end()) return;
    auto callback = std::move(entry->second);
    callbacks_.erase(entry);
    keys_.erase(id);
    callback();
  }

  SimTime& time_;
  Chance& chance_;
  const double rate_;
  const MonotonicTime start_ = time_.now();
  bool alive_ = true;
  MonotonicTime paused_until_{};
  TimerId next_id_ = 1;
  std::map<TimerId, std::move_only_function<void()>> callbacks_;
  std::map<TimerId, SimTime::Key> keys_;
};

}  // namespace hasigner::simulation
