#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "hasigner/protection/async.hpp"
#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/store.hpp"

namespace hasigner {

[[nodiscard]] inline const DutyKey& key_of(const DutyKey& key) {
  return key;
}
[[nodiscard]] inline const DutyKey& key_of(const DutyClaim& claim) {
  return claim.duty.key;
}
[[nodiscard]] inline const DutyKey& key_of(const SignedClaim& claim) {
  return claim.duty.key;
}
[[nodiscard]] inline const DutyKey& key_of(const Takeover& takeover) {
  return takeover.duty.key;
}
[[nodiscard]] inline const DutyKey& key_of(const DutyRecord& record) {
  return record.key;
}
[[nodiscard]] inline const DutyKey& key_of(const DutyRelease& release) {
  return release.key;
}

/// Collects requests of one kind while earlier batches of that kind are in flight, and sends what has come as one
/// batch.
///
/// There is no timer: a lone request goes out at once. Every batch is in key order, so that two nodes take their locks
/// in the same order, and holds no key twice: of several requests for one key the first goes, and the others wait for
/// the next batches, in order of arrival. A batch that was sent always delivers to all of its arrivals, also when the
/// callers wait no longer. Errors: a full queue gives kUnavailable. Thread safety: one executor.
template <class Request, class Outcome>
class BatchLane : public std::enable_shared_from_this<BatchLane<Request, Outcome>> {
 public:
  using Result = StoreResult<Outcome>;
  using Send =
      std::function<asio::awaitable<StoreResult<std::vector<Outcome>>>(std::vector<Request>, MonotonicTime deadline)>;

  struct Limits {
    std::size_t max_batch = 1'000;
    std::size_t max_in_flight = 1;
    std::size_t max_queue = 100'000;
    milliseconds call_timeout{10'000};
  };

  BatchLane(asio::any_io_executor executor, std::shared_ptr<Clock> clock, Limits limits, Send send)
      : executor_(std::move(executor)), clock_(std::move(clock)), limits_(limits), send_(std::move(send)) {}

  [[nodiscard]] std::shared_ptr<Arrival<Result>> submit(Request request) {
    auto arrival = std::make_shared<Arrival<Result>>(executor_);
    if (queue_.size() >= limits_.max_queue) {
      arrival->set(std::unexpected(StoreError{StoreErrorKind::kUnavailable, "too many requests wait for the store"}));
      return arrival;
    }
    queue_.push_back({std::move(request), arrival});
    schedule();
    return arrival;
  }

  [[nodiscard]] std::size_t queued() const { return queue_.size(); }

 private:
  struct Entry {
    Request request;
    std::shared_ptr<Arrival<Result>> arrival;
  };

  static const auto& key(const Entry& entry) { return key_of(entry.request); }

  /// Posting lets everything that is ready to run now join the batch.
  void schedule() {
    if (scheduled_ || in_flight_ >= limits_.max_in_flight || queue_.empty()) return;
    scheduled_ = true;
    asio::post(executor_, [self = this->shared_from_this()] { self->send_batches(); });
  }

  void send_batches() {
    scheduled_ = false;
    while (in_flight_ < limits_.max_in_flight && !queue_.empty()) {
      ++in_flight_;
      asio::co_spawn(executor_, carry(this->shared_from_this(), take_batch()), asio::detached);
    }
  }

  /// Takes the first requests of the queue, in key order. A request whose key is taken already stays at its head.
  [[nodiscard]] std::vector<Entry> take_batch() {
    const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(next_batch_size());
    std::vector<Entry> batch(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
    queue_.erase(queue_.begin(), end);
    std::ranges::stable_sort(batch, {}, key);
    std::vector<Entry> repeated;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const bool is_repeated = kept > 0 && key(batch[i]) == key(batch[kept - 1]);
      if (is_repeated) {
        repeated.push_back(std::move(batch[i]));
      } else if (kept++ != i) {
        batch[kept - 1] = std::move(batch[i]);
      }
    }
    batch.erase(batch.begin() + static_cast<std::ptrdiff_t>(kept), batch.end());
    queue_.insert(queue_.begin(), std::make_move_iterator(repeated.begin()), std::make_move_iterator(repeated.end()));
    return batch;
  }

  /// A queue that needs several batches is cut evenly: the store then works on one while this side works on another.
  [[nodiscard]] std::size_t next_batch_size() const {
    const auto batches = (queue_.size() + limits_.max_batch - 1) / limits_.max_batch;
    return (queue_.size() + batches - 1) / batches;
  }

  static asio::awaitable<void> carry(std::shared_ptr<BatchLane> self, std::vector<Entry> batch) {
    std::vector<Request> requests;
    requests.reserve(batch.size());
    for (auto& entry : batch) requests.push_back(std::move(entry.request));
    StoreResult<std::vector<Outcome>> outcomes;
    try {
      const auto deadline = self->clock_->now() + self->limits_.call_timeout;
      outcomes = co_await self->send_(std::move(requests), deadline);
    } catch (...) {
      // A store reports errors as values; after an exception it is not known how far it came.
      outcomes = std::unexpected(StoreError{StoreErrorKind::kInDoubt, describe_current_exception("the store")});
    }
    --self->in_flight_;
    self->schedule();
    if (outcomes) HASIGNER_ASSERT(outcomes->size() == batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (outcomes) {
        batch[i].arrival->set(std::move((*outcomes)[i]));
      } else {
        batch[i].arrival->set(std::unexpected(outcomes.error()));
      }
    }
  }

  asio::any_io_executor executor_;
  std::shared_ptr<Clock> clock_;
  Limits limits_;
  Send send_;
  std::deque<Entry> queue_;
  std::size_t in_flight_ = 0;
  bool scheduled_ = false;
};

}  // namespace hasigner
