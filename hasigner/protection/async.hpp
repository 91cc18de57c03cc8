#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "hasigner/async/asio.hpp"
#include "hasigner/duty/assert.hpp"
#include "hasigner/duty/duty.hpp"
#include "hasigner/protection/clock.hpp"

namespace hasigner {

struct Unit {};

/// Suspends the coroutine that awaits the result and gives `arm` the function that resumes it; call that once, by way
/// of an executor. Name what is passed and what is returned: GCC 12 destroys unnamed lambdas of a co_await expression
/// twice.
template <class Arm>
asio::awaitable<void> suspend(Arm arm) {
  auto initiate = [arm = std::move(arm)](auto handler) mutable {
    arm(std::move_only_function<void()>([handler = std::move(handler)]() mutable { std::move(handler)(); }));
  };
  return asio::async_initiate<const asio::use_awaitable_t<>&, void()>(std::move(initiate), asio::use_awaitable);
}

/// What can be woken without its value.
class Awaited {
 public:
  /// Makes the waiting coroutine go on without a value, as if its deadline had passed.
  virtual void poke() = 0;

 protected:
  ~Awaited() = default;
};

/// A value that arrives once, and at most one coroutine at a time that waits for it.
///
/// Thread safety: one executor, which is also where the waiting coroutine goes on.
template <class T>
class Arrival final : public Awaited {
 public:
  explicit Arrival(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  /// Hands the value over. Returns false when no one will take it: there is one already, or close() was called.
  bool set(T value) {
    if (value_ || closed_) return false;
    value_.emplace(std::move(value));
    wake();
    return true;
  }

  /// The waiter gives up; a later set() is told so.
  void close() { closed_ = true; }

  void poke() override { wake(); }

  /// Waits for the value until `deadline`. Returns nullopt when it has not come by then; may be called again after
  /// that.
  static asio::awaitable<std::optional<T>> wait(std::shared_ptr<Arrival> self, Clock& clock, MonotonicTime deadline) {
    if (!self->value_) {
      const auto timer = clock.call_at(deadline, [self] { self->wake(); });
      auto waking = until_woken(self);
      co_await std::move(waking);
      clock.cancel(timer);
    }
    co_return self->take();
  }

  // The parts of wait(), for a coroutine that waits again and again.

  /// Suspends until the value has come, or until poke().
  [[nodiscard]] static asio::awaitable<void> until_woken(std::shared_ptr<Arrival> self) {
    HASIGNER_ASSERT(!self->value_ && !self->resume_);
    auto keep_resume = [self](std::move_only_function<void()> resume) { self->resume_ = std::move(resume); };
    return suspend(std::move(keep_resume));
  }
  [[nodiscard]] bool has_come() const { return value_.has_value(); }
  /// Takes the value out; returns nullopt when it has not come.
  [[nodiscard]] std::optional<T> take() {
    std::optional<T> value = std::move(value_);
    if (value) value_.reset();
    if (value) closed_ = true;
    return value;
  }

 private:
  void wake() {
    if (!resume_) return;
    asio::post(executor_, std::exchange(resume_, nullptr));
  }

  asio::any_io_executor executor_;
  std::optional<T> value_;
  std::move_only_function<void()> resume_;
  bool closed_ = false;
};

/// Lets the calling coroutine sleep on the given clock.
inline asio::awaitable<void> sleep_until(asio::any_io_executor executor, Clock& clock, MonotonicTime time) {
  auto never = std::make_shared<Arrival<Unit>>(executor);
  co_await Arrival<Unit>::wait(never, clock, time);
}

/// Lets one attempt of this process at a time through to each duty, in the order of arrival.
class DutyQueue {
 public:
  explicit DutyQueue(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  /// Returns nullptr when the duty was free and is now the caller's, otherwise the arrival of its turn. A caller that
  /// gives up closes that arrival.
  [[nodiscard]] std::shared_ptr<Arrival<Unit>> enter(const DutyKey& key) {
    const auto [queue, is_free] = queues_.try_emplace(key);
    if (is_free) return nullptr;
    auto turn = std::make_shared<Arrival<Unit>>(executor_);
    queue->second.push_back(turn);
    return turn;
  }

  /// Hands the duty to the next attempt that still waits.
  void leave(const DutyKey& key) {
    const auto queue = queues_.find(key);
    HASIGNER_ASSERT(queue != queues_.end());
    while (!queue->second.empty()) {
      auto next = std::move(queue->second.front());
      queue->second.pop_front();
      if (next->set(Unit{})) return;
    }
    queues_.erase(queue);
  }

 private:
  asio::any_io_executor executor_;
  std::unordered_map<DutyKey, std::list<std::shared_ptr<Arrival<Unit>>>, DutyKeyHash> queues_;  ///< nearly all empty
};

}  // namespace hasigner
