#include "hasigner/service/fair_work.hpp"

#include <limits>
#include <utility>

#include "hasigner/async/signals_blocked.hpp"

namespace hasigner::service {

namespace {

constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kSmallBytes = 64 * 1024;

/// A thread for each kind of body, so that clients use each in turn.
constexpr FairQueue::Limits kReading{.of_all = 1, .of_one_alone = 1, .of_one_beside = 1};
/// Duties are not limited as a whole: those of one client that wait, for another node or a remote signer, must not keep
/// others from theirs. Beside others a client has one turn at a time: what it has
/// signed together is what another client's duty waits for.
constexpr FairQueue::Limits kSigning{.of_all = kUnlimited, .of_one_alone = 4'096, .of_one_beside = kDutiesInTurn};
constexpr FairQueue::Limits kInFlight{.of_all = kUnlimited, .of_one_alone = 4'096, .of_one_beside = 4'096};

/// A fifth of the node's thread.
constexpr std::chrono::milliseconds kInlineWindow{10};
constexpr std::chrono::milliseconds kInlineOfWindow{2};

std::shared_ptr<FairQueue> queue(const asio::any_io_executor& node, FairQueue::Limits limits) {
  return std::make_shared<FairQueue>(node, limits);
}

}  // namespace

FairWork::FairWork(const asio::any_io_executor& node)
    : small_(queue(node, kReading)),
      large_(queue(node, kReading)),
      signing_(queue(node, kSigning)),
      in_flight_(queue(node, kInFlight)) {
  const SignalsBlocked signals_blocked;
  readers_ = std::make_unique<asio::thread_pool>(2);
}

FairWork::~FairWork() {
  close();
}

void FairWork::close() {
  const auto readers = std::exchange(readers_, nullptr);
  if (!readers) return;
  readers->stop();
  readers->join();
  for (const auto& each : {small_, large_, signing_, in_flight_}) each->close();
}

const std::shared_ptr<FairQueue>& FairWork::reading(std::size_t body_bytes) const {
  return body_bytes <= kSmallBytes ? small_ : large_;
}

bool FairWork::may_read_inline() {
  const auto now = std::chrono::steady_clock::now();
  if (now - inline_since_ >= kInlineWindow) {
    inline_since_ = now;
    inline_ = std::chrono::nanoseconds(0);
  }
  return inline_ < kInlineOfWindow;
}

}  // namespace hasigner::service
