#pragma once

#include <map>
#include <memory>

#include "hasigner/async/asio.hpp"
#include "hasigner/protection/clock.hpp"

namespace hasigner {

/// The steady clock of this machine; one Asio timer for all callbacks.
///
/// Thread safety: one executor, on which callbacks are called.
class SystemClock final : public Clock {
 public:
  explicit SystemClock(asio::any_io_executor executor);
  ~SystemClock() override;

  [[nodiscard]] MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
  TimerId call_at(MonotonicTime time, std::move_only_function<void()> callback) override;
  void cancel(TimerId id) override;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The kernel's random bytes.
class SystemRandom final : public RandomSource {
 public:
  void fill(std::span<std::uint8_t> bytes) override;
};

}  // namespace hasigner
