#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include "hasigner/factory/ha_node.hpp"

namespace hasigner {

/// Bounds of the threads for calls that block.
struct BlockingLimits {
  std::size_t threads = 1;           ///< for calls that come to an end
  std::size_t spare_threads = 64;    ///< at most so many more, in place of those whose call does not end
  milliseconds stalled_after{20};    ///< calls wait and none has begun for so long: one spare thread more
  milliseconds longest_wait{30000};  ///< a call that has waited for so long is not made: its caller no longer waits
};

/// Threads for functions that compute or block, made when they are needed.
///
/// A call that hangs does not take the place of others: while calls wait and none begins, a spare thread is added; it
/// ends when those that hung have returned. Where all threads hang, calls wait and then fail.
/// Thread safety: any thread.
class BlockingCalls {
 public:
  /// Ownership: each thread owns `keep_alive`, one that hangs included.
  BlockingCalls(BlockingLimits limits, std::weak_ptr<void> keep_alive);
  /// Stops without waiting.
  ~BlockingCalls();
  BlockingCalls(const BlockingCalls&) = delete;
  BlockingCalls& operator=(const BlockingCalls&) = delete;

  /// A sign function that calls `function` on these threads. It may outlive this object; it fails then.
  [[nodiscard]] SignFunction sign_function(BlockingSignFunction function) const;

  /// Answers every call with an error at once, and waits for the threads until `deadline`. One that hangs is left to
  /// itself then, and what it returns is destroyed.
  void stop(std::chrono::steady_clock::time_point deadline);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace hasigner
