#include "hasigner/service/handshake_thread.hpp"

#include <utility>

#include "hasigner/async/signals_blocked.hpp"

namespace hasigner::service {

namespace {

/// While one step is done, the next one is at hand.
constexpr FairQueue::Limits kSteps{.of_all = 2, .of_one_alone = 2, .of_one_beside = 1};

}  // namespace

HandshakeThread::HandshakeThread(const asio::any_io_executor& server)
    : turns_(std::make_shared<FairQueue>(server, kSteps)) {
  const SignalsBlocked signals_blocked;
  thread_ = std::make_unique<asio::thread_pool>(1);
}

HandshakeThread::~HandshakeThread() {
  close();
}

void HandshakeThread::close() {
  const auto thread = std::exchange(thread_, nullptr);
  if (!thread) return;
  thread->stop();
  thread->join();
  turns_->close();
}

}  // namespace hasigner::service
