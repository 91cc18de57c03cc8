#include "hasigner/protection/batch_lane.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "hasigner/protection/system_clock.hpp"

namespace hasigner {
namespace {

using testing::ElementsAre;

DutyKey duty(std::uint64_t slot) {
  return {.slot = Slot::from(slot).value(), .duty_type = DutyType::kAttestation, .block_index = kNoBlockIndex};
}

/// A lane of releases whose store answers when the test says so. A token says which request it is.
struct BatchLaneTest : testing::Test {
  using Lane = BatchLane<DutyRelease, std::string>;
  struct Sent {
    std::vector<std::string> tokens;
    std::shared_ptr<Arrival<Unit>> answered;
  };

  void open(Lane::Limits limits) {
    Lane::Send send = [this](auto batch, auto) { return answer(this, std::move(batch)); };
    lane = std::make_shared<Lane>(io.get_executor(), clock, limits, std::move(send));
  }
  static asio::awaitable<StoreResult<std::vector<std::string>>> answer(BatchLaneTest* test,
                                                                       std::vector<DutyRelease> batch) {
    std::vector<std::string> tokens;
    for (const DutyRelease& release : batch) tokens.push_back(release.token.str());
    auto answered = std::make_shared<Arrival<Unit>>(test->io.get_executor());
    test->sent.push_back({tokens, answered});
    auto waking = Arrival<Unit>::until_woken(answered);
    co_await std::move(waking);
    if (test->throws) throw std::runtime_error("out of memory");
    co_return tokens;
  }
  void submit(std::uint64_t slot, const std::string& token) {
    arrivals[token] = lane->submit({duty(slot), LockToken(token)});
  }
  void run() {
    io.restart();
    io.poll();
  }
  /// Lets the store answer the batch that it got last, and gives what it was.
  std::vector<std::string> answer_last() {
    run();
    const Sent last = sent.back();
    last.answered->set(Unit{});
    run();
    return last.tokens;
  }

  asio::io_context io;
  std::shared_ptr<Clock> clock = std::make_shared<SystemClock>(io.get_executor());
  std::shared_ptr<Lane> lane;
  std::vector<Sent> sent;
  bool throws = false;
  std::map<std::string, std::shared_ptr<Arrival<Lane::Result>>> arrivals;
};

TEST_F(BatchLaneTest, a_batch_is_in_key_order) {
  open({});
  submit(3, "c");
  submit(1, "a");
  submit(2, "b");
  EXPECT_THAT(answer_last(), ElementsAre("a", "b", "c"));
}

TEST_F(BatchLaneTest, of_requests_for_one_key_each_goes_in_a_batch_of_its_own_in_order_of_arrival) {
  open({});
  submit(2, "second, first");
  submit(1, "first, first");
  submit(2, "second, again");
  submit(1, "first, again");
  submit(2, "second, last");
  submit(3, "third");
  EXPECT_THAT(answer_last(), ElementsAre("first, first", "second, first", "third"));
  EXPECT_THAT(answer_last(), ElementsAre("first, again", "second, again"));
  EXPECT_THAT(answer_last(), ElementsAre("second, last"));
  EXPECT_EQ(sent.size(), 3U);
  EXPECT_EQ(lane->queued(), 0U);
}

TEST_F(BatchLaneTest, a_request_that_waits_for_the_next_batch_goes_before_later_ones) {
  open({.max_batch = 2});
  submit(1, "first");
  submit(1, "again");
  for (std::uint64_t slot = 2; slot <= 6; ++slot) submit(slot, std::to_string(slot));
  EXPECT_THAT(answer_last(), ElementsAre("first"));
  EXPECT_THAT(answer_last(), ElementsAre("again", "2"));
}

/// It may have been written before the exception.
TEST_F(BatchLaneTest, a_batch_whose_store_throws_is_in_doubt_and_the_next_one_goes) {
  open({});
  submit(1, "a");
  submit(2, "b");
  run();
  throws = true;
  answer_last();
  for (const auto token : {"a", "b"}) {
    const auto result = arrivals[token]->take();
    ASSERT_TRUE(result) << token;
    ASSERT_FALSE(*result) << token;
    EXPECT_EQ(result->error().kind, StoreErrorKind::kInDoubt);
    EXPECT_THAT(result->error().reason, testing::HasSubstr("out of memory"));
  }
  throws = false;
  submit(1, "c");
  EXPECT_THAT(answer_last(), ElementsAre("c"));
  EXPECT_EQ(arrivals["c"]->take()->value(), "c");
}

TEST_F(BatchLaneTest, a_full_queue_refuses_until_a_batch_has_gone) {
  open({.max_queue = 2});
  submit(1, "in flight");
  run();
  for (const auto token : {"first", "second", "too many"}) submit(2, token);
  EXPECT_EQ(lane->queued(), 2U);
  const auto refused = arrivals["too many"]->take();
  ASSERT_TRUE(refused);
  ASSERT_FALSE(*refused);
  EXPECT_EQ(refused->error().kind, StoreErrorKind::kUnavailable);
  EXPECT_THAT(answer_last(), ElementsAre("in flight"));
  submit(3, "third");
  EXPECT_THAT(answer_last(), ElementsAre("first"));
  EXPECT_THAT(answer_last(), ElementsAre("second", "third"));
}

TEST_F(BatchLaneTest, every_request_gets_its_own_answer) {
  open({.max_batch = 4, .max_in_flight = 2});
  for (std::uint64_t i = 0; i < 20; ++i) submit(i % 3, std::to_string(i));
  for (run(); lane->queued() > 0;) {
    for (const Sent& batch : std::vector(sent)) batch.answered->set(Unit{});
    run();
  }
  for (const Sent& batch : sent) batch.answered->set(Unit{});
  run();
  for (const auto& [token, arrival] : arrivals) {
    const auto result = arrival->take();
    ASSERT_TRUE(result && *result) << token;
    EXPECT_EQ(**result, token);
  }
}

}  // namespace
}  // namespace hasigner
