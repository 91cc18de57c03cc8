#pragma once

#include <algorithm>
#include <memory>

#include "hasigner/service/fair_queue.hpp"
#include "hasigner/service/reads.hpp"

namespace hasigner::service {

/// Bounds what the changes of watermarks take from signing: on PostgreSQL each waits for the lock of the table, and all
/// claims wait behind it. One change goes on at a time, clients take turns, and after each signing has nine times as
/// long for itself, or three seconds.
///
/// Thread safety: the executor of the node.
struct WatermarkTurns {
  static constexpr std::chrono::milliseconds kLongestPause{3'000};

  explicit WatermarkTurns(const asio::any_io_executor& executor)
      : queue(std::make_shared<FairQueue>(executor,
                                          FairQueue::Limits{.of_all = 1, .of_one_alone = 1, .of_one_beside = 1})) {}

  void changed(MonotonicTime began, MonotonicTime ended) {
    next = ended + std::min<MonotonicTime::duration>(9 * (ended - began), kLongestPause);
  }

  /// Waits until the next change may begin. The executor keeps what waits, so it goes with the executor.
  static asio::awaitable<void> pause(std::shared_ptr<WatermarkTurns> self) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, self->next);
    co_await timer.async_wait(asio::use_awaitable);
  }

  std::shared_ptr<FairQueue> queue;
  std::shared_ptr<Reads> waiting = std::make_shared<Reads>();  ///< requests for changes, a few of each client
  MonotonicTime next{};  ///< the next change begins at this moment at the earliest
};

}  // namespace hasigner::service
