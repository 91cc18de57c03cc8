#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include "hasigner/async/asio.hpp"
#include "hasigner/service/fair_queue.hpp"

namespace hasigner::service {

/// The duties of one turn for signing. Few enough that another client's duty waits little for their signatures and
/// their transaction, and enough for a client alone: it may use many turns at once.
inline constexpr std::size_t kDutiesInTurn = 8;

/// How clients share what requests cost: threads of their own for reading bodies, apart from those that sign, and turns
/// for duties.
///
/// Thread safety: the executor of the node.
class FairWork {
 public:
  explicit FairWork(const asio::any_io_executor& node);
  /// As close().
  ~FairWork();
  FairWork(const FairWork&) = delete;
  FairWork& operator=(const FairWork&) = delete;

  /// Destroys the coroutines that wait for a turn or are being run by a reader, and ends the readers. Such a coroutine
  /// keeps this object, so the destructor alone would never be called. The node's threads must have ended; nothing else
  /// may be asked for afterwards. A second call has no effect.
  void close();

  /// Turns for reading a body of this size. Large ones do not keep small ones waiting.
  [[nodiscard]] const std::shared_ptr<FairQueue>& reading(std::size_t body_bytes) const;
  /// Turns for signing; a unit is one duty.
  [[nodiscard]] const std::shared_ptr<FairQueue>& signing() const { return signing_; }
  /// Places for duties that have begun and not ended; a unit is one duty. Each costs memory for as long as another node
  /// or a remote signer lets it wait, which may be a minute.
  [[nodiscard]] const std::shared_ptr<FairQueue>& in_flight() const { return in_flight_; }
  /// The threads that read bodies.
  [[nodiscard]] asio::any_io_executor readers() const { return readers_->get_executor(); }

  /// A body of at most this size may be read on the node's thread, in less time than a change of threads takes.
  static constexpr std::size_t kInlineBytes = 2 * 1024;
  /// Whether the node's thread has time to read a small body itself.
  [[nodiscard]] bool may_read_inline();
  void has_read_inline(std::chrono::nanoseconds took) { inline_ += took; }

 private:
  std::shared_ptr<FairQueue> small_;
  std::shared_ptr<FairQueue> large_;
  std::shared_ptr<FairQueue> signing_;
  std::shared_ptr<FairQueue> in_flight_;
  std::unique_ptr<asio::thread_pool> readers_;
  std::chrono::steady_clock::time_point inline_since_ = {};
  std::chrono::nanoseconds inline_{0};
};

}  // namespace hasigner::service
