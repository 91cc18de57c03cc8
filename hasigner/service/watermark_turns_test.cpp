#include "hasigner/service/watermark_turns.hpp"

#include <gtest/gtest.h>

namespace hasigner::service {
namespace {

using std::chrono::milliseconds;

/// Keeps what it uses, as the coroutine of a request does.
asio::awaitable<void> change(std::shared_ptr<WatermarkTurns> turns, std::shared_ptr<bool> has_begun) {
  auto pausing = WatermarkTurns::pause(turns);
  co_await std::move(pausing);
  *has_begun = true;
}

TEST(WatermarkTurns, a_pause_is_nine_times_as_long_as_the_change_and_three_seconds_at_most) {
  asio::io_context node{1};
  WatermarkTurns turns(node.get_executor());
  const MonotonicTime began{};
  turns.changed(began, began + milliseconds(100));
  EXPECT_EQ(turns.next, began + milliseconds(1'000));
  turns.changed(began, began + milliseconds(3'000));
  EXPECT_EQ(turns.next, began + milliseconds(6'000));
}

TEST(WatermarkTurns, a_change_begins_after_the_pause) {
  asio::io_context node{1};
  const auto turns = std::make_shared<WatermarkTurns>(node.get_executor());
  const auto has_begun = std::make_shared<bool>(false);
  asio::co_spawn(node, change(turns, has_begun), asio::detached);
  node.run();
  EXPECT_TRUE(*has_begun) << "the first change waits for no pause";
}

TEST(WatermarkTurns, a_change_that_waits_at_the_end_of_the_process_goes_with_the_executor) {
  std::weak_ptr<bool> waiting;
  {
    asio::io_context node{1};
    const auto turns = std::make_shared<WatermarkTurns>(node.get_executor());
    turns->next = MonotonicTime::max();
    const auto has_begun = std::make_shared<bool>(false);
    waiting = has_begun;
    asio::co_spawn(node, change(turns, has_begun), asio::detached);
    node.poll();
    EXPECT_FALSE(*has_begun);
  }
  EXPECT_TRUE(waiting.expired());
}

}  // namespace
}  // namespace hasigner::service
