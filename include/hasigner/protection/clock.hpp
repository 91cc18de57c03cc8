#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>

namespace hasigner {

/// A point on this node's monotonic clock. All deadlines and waits of an attempt are measured on it.
using MonotonicTime = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

/// Port: time. The protocol uses no other clock and no timer of its own, so that a simulation can run it.
///
/// Thread safety: all calls and all callbacks happen on the protocol's executor.
class Clock {
 public:
  using TimerId = std::uint64_t;

  virtual ~Clock() = default;
  [[nodiscard]] virtual MonotonicTime now() const = 0;
  /// Calls `callback` once, at `time` or soon after, never from within this call.
  virtual TimerId call_at(MonotonicTime time, std::move_only_function<void()> callback) = 0;
  /// Drops a callback that has not been called; does nothing for one that has.
  virtual void cancel(TimerId id) = 0;
};

/// Port: randomness for incarnations, lock tokens and jitter. The real one is the kernel's.
class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual void fill(std::span<std::uint8_t> bytes) = 0;
};

}  // namespace hasigner
