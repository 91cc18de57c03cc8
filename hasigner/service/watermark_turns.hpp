#pragma once

#include <algorithm>
#include <memory>

#include "hasigner/service/fair_queue.hpp"
#include "hasigner/service/reads.hpp"

namespace hasigner::service {

/// Bounds what the changes of watermarks take from signing: on PostgreSQL each waits for the lock of the table, and all
/// claims wait behind it. One change goes on at a time, clients take turns, and after each signing has nine times as
/// long for itself.
///
/// Thread safety: the executor of the node.
struct WatermarkTurns {
  explicit WatermarkTurns(asio::any_io_executor executor)
      : queue(std::make_shared<FairQueue>(std::move(executor),
                                          FairQueue::Limits{.of_all = 1, .of_one_alone = 1, .of_one_beside = 1})) {}

  void changed(MonotonicTime began, MonotonicTime ended) { next = ended + 9 * (ended - began); }

  std::shared_ptr<FairQueue> queue;
  std::shared_ptr<Reads> waiting = std::make_shared<Reads>();  ///< requests for changes, a few of each client
  MonotonicTime next{};  ///< the next change begins at this moment at the earliest
};

}  // namespace hasigner::service
