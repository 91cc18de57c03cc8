#include "hasigner/service/fair_work.hpp"

#include <gtest/gtest.h>

#include <latch>
#include <thread>

#include "hasigner/service/read_body.hpp"

namespace hasigner::service {
namespace {

using Read = std::function<ReadResult<int>()>;

/// A request with a body that is too large to be read at once.
ActiveRequestPtr large_request() {
  ActiveRequest request;
  request.body = std::string(FairWork::kInlineBytes + 1, ' ');
  request.share = "client";
  request.client_has_gone = [] { return false; };
  return std::make_shared<const ActiveRequest>(std::move(request));
}

/// Keeps what it uses, as the coroutine of a request does.
asio::awaitable<void> answer(std::shared_ptr<FairWork> work, ActiveRequestPtr request, Read read) {
  auto reading = read_body<int>(work, request, std::move(read));
  [[maybe_unused]] const auto result = co_await std::move(reading);
}

TEST(FairWork, that_is_closed_gives_up_what_is_read_and_what_waits) {
  std::latch begun(1);
  std::latch may_end(1);
  std::weak_ptr<FairWork> work;
  std::weak_ptr<const ActiveRequest> being_read, waiting;
  {
    asio::io_context node{1};
    const auto held = std::make_shared<FairWork>(node.get_executor());
    const auto first = large_request(), second = large_request();
    work = held;
    being_read = first;
    waiting = second;
    const Read block = [&]() -> ReadResult<int> {
      begun.count_down();
      may_end.wait();
      return 1;
    };
    asio::co_spawn(node, answer(held, first, block), asio::detached);
    asio::co_spawn(node, answer(held, second, [] { return ReadResult<int>(2); }), asio::detached);
    node.poll();
    begun.wait();
    EXPECT_EQ(held->reading(first->body.size())->waiting(), 1U);
    // The node's thread has ended: what is read finds no one to take it.
    node.stop();
    may_end.count_down();
    held->close();
  }
  EXPECT_TRUE(being_read.expired());
  EXPECT_TRUE(waiting.expired());
  EXPECT_TRUE(work.expired()) << "its threads are still there";
}

}  // namespace
}  // namespace hasigner::service
