#pragma once

#include <memory>

#include "hasigner/async/asio.hpp"
#include "hasigner/service/fair_queue.hpp"

namespace hasigner::service {

/// Where the steps of TLS handshakes are done. Each may cost milliseconds, and asks for no token: so they have a thread
/// of their own, and turns by the address of the client.
///
/// Thread safety: the executor of the server.
class HandshakeThread {
 public:
  explicit HandshakeThread(const asio::any_io_executor& server);
  /// As close().
  ~HandshakeThread();
  HandshakeThread(const HandshakeThread&) = delete;
  HandshakeThread& operator=(const HandshakeThread&) = delete;

  /// Ends the thread, and destroys the coroutines that wait for a turn or use one. The threads of the server must have
  /// ended; nothing else may be asked for afterwards. A second call has no effect.
  void close();

  /// A unit is one step.
  [[nodiscard]] const std::shared_ptr<FairQueue>& turns() const { return turns_; }
  [[nodiscard]] asio::any_io_executor executor() const { return thread_->get_executor(); }

 private:
  std::shared_ptr<FairQueue> turns_;
  std::unique_ptr<asio::thread_pool> thread_;
};

}  // namespace hasigner::service
