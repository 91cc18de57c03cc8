#include "hasigner/store/postgres/connection_pool.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>

namespace hasigner::postgres {

void PrintTo(const ConnectionPool::Action& action, std::ostream* out) {
  if (const auto* start = std::get_if<ConnectionPool::Start>(&action))
    *out << "start " << start->request << " at " << start->connection;
  if (const auto* open = std::get_if<ConnectionPool::Open>(&action)) *out << "open " << open->connection;
  if (const auto* close = std::get_if<ConnectionPool::Close>(&action)) *out << "close " << close->connection;
  if (const auto* give_up = std::get_if<ConnectionPool::GiveUp>(&action)) *out << "give up " << give_up->request;
}

namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Action = ConnectionPool::Action;
using ConnectionIndex = ConnectionPool::ConnectionIndex;
using RequestId = ConnectionPool::RequestId;

constexpr MonotonicTime kStart{1h};

Action start(RequestId request, ConnectionIndex index) {
  return ConnectionPool::Start{request, index};
}
Action open(ConnectionIndex index) {
  return ConnectionPool::Open{index};
}
Action close(ConnectionIndex index) {
  return ConnectionPool::Close{index};
}
Action give_up(RequestId request) {
  return ConnectionPool::GiveUp{request};
}

struct Pool : ConnectionPool {
  using ConnectionPool::ConnectionPool;

  void claim(RequestId request, milliseconds time = 10s) {
    EXPECT_TRUE(add(request, SqlPriority::kClaim, Lane::kGeneral, now + time));
  }
  void poll(RequestId request) { EXPECT_TRUE(add(request, SqlPriority::kPoll, Lane::kGeneral, now + 10s)); }
  void record(RequestId request) { EXPECT_TRUE(add(request, SqlPriority::kRecord, Lane::kVital, now + 10s)); }
  void heartbeat(RequestId request) { EXPECT_TRUE(add(request, SqlPriority::kHeartbeat, Lane::kVital, now + 10s)); }
  std::vector<Action> decide() { return ConnectionPool::decide(now); }
  void opened(ConnectionIndex index) { ConnectionPool::opened(index, now); }
  void finished(ConnectionIndex index) { ConnectionPool::finished(index, now); }
  /// Opens so many connections and leaves them idle.
  void warm_up(std::size_t connections) {
    for (RequestId request = 1000; request < 1000 + connections; ++request) heartbeat(request);
    (void)decide();
    for (ConnectionIndex index = 0; index < connections; ++index) opened(index);
    (void)decide();
    for (ConnectionIndex index = 0; index < connections; ++index) finished(index);
    EXPECT_EQ(connected(), connections);
  }

  MonotonicTime now = kStart;
};

TEST(ConnectionPool, opens_a_connection_for_the_first_request_and_starts_it_there) {
  Pool pool({.max = 3});
  EXPECT_THAT(pool.decide(), IsEmpty());
  pool.claim(1);
  EXPECT_THAT(pool.decide(), ElementsAre(open(0)));
  EXPECT_THAT(pool.decide(), IsEmpty());
  pool.opened(0);
  EXPECT_THAT(pool.decide(), ElementsAre(start(1, 0)));
  pool.finished(0);
  pool.claim(2);
  EXPECT_THAT(pool.decide(), ElementsAre(start(2, 0)));
}

TEST(ConnectionPool, starts_waiting_requests_by_priority_then_by_arrival) {
  Pool pool({.max = 1});
  pool.poll(1);
  pool.claim(2);
  pool.record(3);
  pool.heartbeat(4);
  pool.record(5);
  pool.claim(6);
  EXPECT_THAT(pool.decide(), ElementsAre(open(0)));
  pool.opened(0);
  for (const RequestId expected : {4, 3, 5, 2, 6, 1}) {
    EXPECT_THAT(pool.decide(), ElementsAre(start(expected, 0)));
    pool.finished(0);
  }
  EXPECT_THAT(pool.decide(), IsEmpty());
}

TEST(ConnectionPool, one_connection_is_kept_free_of_general_requests) {
  Pool pool({.max = 3});
  pool.warm_up(3);
  for (RequestId request = 1; request <= 5; ++request) pool.claim(request);
  EXPECT_EQ(pool.decide().size(), 2u);
  EXPECT_THAT(pool.decide(), IsEmpty());
  pool.record(6);
  EXPECT_EQ(pool.decide().size(), 1u);
  EXPECT_EQ(pool.waiting(), 3u);
}

TEST(ConnectionPool, vital_requests_may_use_every_connection) {
  Pool pool({.max = 3});
  pool.warm_up(3);
  for (RequestId request = 1; request <= 3; ++request) pool.record(request);
  EXPECT_EQ(pool.decide().size(), 3u);
}

TEST(ConnectionPool, a_pool_of_one_serves_every_priority) {
  Pool pool({.max = 1});
  pool.warm_up(1);
  pool.claim(1);
  EXPECT_THAT(pool.decide(), ElementsAre(start(1, 0)));
}

TEST(ConnectionPool, prefers_the_connection_whose_last_request_was_alike) {
  Pool pool({.max = 3});
  pool.warm_up(2);
  pool.claim(1);
  const auto first = pool.decide();
  ASSERT_EQ(first.size(), 1u);
  const ConnectionIndex general = std::get<ConnectionPool::Start>(first[0]).connection;
  pool.finished(general);
  for (RequestId request = 2; request < 6; request += 2) {
    pool.now += 1ms;
    pool.record(request);
    EXPECT_THAT(pool.decide(), ElementsAre(start(request, 1 - general)));
    pool.finished(1 - general);
    pool.claim(request + 1);
    EXPECT_THAT(pool.decide(), ElementsAre(start(request + 1, general)));
    pool.finished(general);
  }
}

TEST(ConnectionPool, opens_no_more_than_its_maximum_and_no_more_than_requests_wait) {
  Pool pool({.max = 4});
  pool.claim(1);
  pool.claim(2);
  EXPECT_EQ(pool.decide().size(), 2u);
  for (RequestId request = 3; request < 10; ++request) pool.claim(request);
  EXPECT_EQ(pool.decide().size(), 1u) << "one of the four is kept for vital requests";
  for (RequestId request = 10; request < 20; ++request) pool.record(request);
  EXPECT_EQ(pool.decide().size(), 1u);
}

TEST(ConnectionPool, a_request_whose_time_is_up_is_given_up) {
  Pool pool({.max = 1});
  pool.claim(1, 100ms);
  pool.claim(2, 50ms);
  (void)pool.decide();
  EXPECT_EQ(pool.next_decision(), pool.now + 50ms);
  pool.now += 50ms;
  EXPECT_THAT(pool.decide(), ElementsAre(give_up(2)));
  pool.now += 50ms;
  EXPECT_THAT(pool.decide(), ElementsAre(give_up(1)));
  EXPECT_EQ(pool.waiting(), 0u);
}

TEST(ConnectionPool, after_failures_it_tries_again_with_growing_pauses_one_at_a_time) {
  Pool pool({.max = 5});
  pool.claim(1, 1h);
  EXPECT_THAT(pool.decide(), ElementsAre(open(0)));
  pool.claim(2, 1h);
  for (const auto pause : {50ms, 100ms, 200ms, 400ms, 800ms, 1600ms, 2000ms, 2000ms}) {
    pool.open_failed(0, pool.now, 1.0);
    EXPECT_THAT(pool.decide(), IsEmpty());
    EXPECT_EQ(pool.next_decision(), pool.now + pause);
    pool.now += pause - 1ms;
    EXPECT_THAT(pool.decide(), IsEmpty());
    pool.now += 1ms;
    EXPECT_THAT(pool.decide(), ElementsAre(open(0)));
    EXPECT_THAT(pool.decide(), IsEmpty()) << "one at a time";
  }
}

TEST(ConnectionPool, jitter_takes_up_to_half_of_the_pause) {
  Pool pool({.max = 1});
  pool.claim(1, 1h);
  (void)pool.decide();
  pool.open_failed(0, pool.now, 0.0);
  EXPECT_EQ(pool.next_decision(), pool.now + 25ms);
}

TEST(ConnectionPool, a_success_ends_the_pauses) {
  Pool pool({.max = 5});
  pool.claim(1, 1h);
  pool.claim(2, 1h);
  pool.claim(3, 1h);
  (void)pool.decide();
  for (const ConnectionIndex index : {0, 1, 2}) pool.open_failed(index, pool.now, 1.0);
  pool.now += 1s;
  EXPECT_THAT(pool.decide(), ElementsAre(open(0)));
  pool.opened(0);
  EXPECT_THAT(pool.decide(), UnorderedElementsAre(start(1, 0), open(1), open(2)));
}

TEST(ConnectionPool, other_connections_go_on_serving_while_one_cannot_be_opened) {
  Pool pool({.max = 3});
  pool.warm_up(1);
  pool.claim(1);
  pool.claim(2);
  EXPECT_THAT(pool.decide(), UnorderedElementsAre(start(1, 0), open(1)));
  pool.open_failed(1, pool.now, 1.0);
  pool.finished(0);
  EXPECT_THAT(pool.decide(), ElementsAre(start(2, 0)));
}

TEST(ConnectionPool, a_broken_connection_is_replaced_when_a_request_waits) {
  Pool pool({.max = 1});
  pool.warm_up(1);
  pool.claim(1);
  (void)pool.decide();
  pool.broke(0);
  EXPECT_THAT(pool.decide(), IsEmpty());
  pool.claim(2);
  EXPECT_THAT(pool.decide(), ElementsAre(open(0)));
}

TEST(ConnectionPool, an_idle_connection_that_ended_is_not_used) {
  Pool pool({.max = 2});
  pool.warm_up(1);
  pool.ended(0);
  pool.claim(1);
  EXPECT_THAT(pool.decide(), ElementsAre(open(0)));
}

TEST(ConnectionPool, a_request_that_was_not_sent_is_the_first_of_its_priority_again) {
  Pool pool({.max = 1});
  pool.warm_up(1);
  pool.claim(1);
  (void)pool.decide();
  pool.claim(2);
  pool.add_again(1, SqlPriority::kClaim, Lane::kGeneral, pool.now + 10s);
  pool.finished(0);
  EXPECT_THAT(pool.decide(), ElementsAre(start(1, 0)));
}

TEST(ConnectionPool, idle_connections_above_the_minimum_are_closed) {
  Pool pool({.max = 4, .min = 1, .idle_timeout = 10s});
  pool.warm_up(3);
  pool.now += 5s;
  pool.claim(1);
  EXPECT_THAT(pool.decide(), ElementsAre(start(1, 0)));
  pool.finished(0);
  EXPECT_EQ(pool.next_decision(), pool.now + 5s);
  pool.now += 5s;
  EXPECT_THAT(pool.decide(), UnorderedElementsAre(close(1), close(2)));
  EXPECT_EQ(pool.connected(), 1u);
  pool.now += 1h;
  EXPECT_THAT(pool.decide(), IsEmpty());
  EXPECT_EQ(pool.next_decision(), std::nullopt);
}

TEST(ConnectionPool, an_idle_timeout_of_zero_closes_nothing) {
  Pool pool({.max = 2, .idle_timeout = 0ms});
  pool.warm_up(2);
  pool.now += 24h;
  EXPECT_THAT(pool.decide(), IsEmpty());
  EXPECT_EQ(pool.next_decision(), std::nullopt);
}

TEST(ConnectionPool, a_full_queue_refuses) {
  Pool pool({.max = 1, .max_waiting = 2});
  pool.claim(1);
  pool.claim(2);
  EXPECT_FALSE(pool.add(3, SqlPriority::kHeartbeat, Lane::kVital, pool.now + 1s));
  pool.add_again(4, SqlPriority::kClaim, Lane::kGeneral, pool.now + 1s);
  EXPECT_EQ(pool.waiting(), 3u);
}

TEST(Lane, requests_that_keep_what_a_node_holds_are_vital) {
  SqlRequest request;
  for (const auto priority : {SqlPriority::kHeartbeat, SqlPriority::kRecord, SqlPriority::kRelease}) {
    request.priority = priority;
    EXPECT_EQ(lane_of(request), Lane::kVital);
  }
  for (const auto priority : {SqlPriority::kClaim, SqlPriority::kPoll, SqlPriority::kBackground}) {
    request.priority = priority;
    EXPECT_EQ(lane_of(request), Lane::kGeneral);
  }
  request.confirm = true;
  EXPECT_EQ(lane_of(request), Lane::kVital);
  request.priority = SqlPriority::kClaim;
  EXPECT_EQ(lane_of(request), Lane::kGeneral) << "what acquires leaves a connection to the others, confirmed or not";
}

}  // namespace
}  // namespace hasigner::postgres
