#include "hasigner/store/postgres/connection_pool.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>

namespace hasigner::postgres {

void PrintTo(const ConnectionPool::Action& action, std::ostream* out) {
  if (const auto* start = std::get_if<ConnectionPool::Start>(&action))
    *out << "start " << start->job << " at " << start->place;
  if (const auto* open = std::get_if<ConnectionPool::Open>(&action)) *out << "open " << open->place;
  if (const auto* close = std::get_if<ConnectionPool::Close>(&action)) *out << "close " << close->place;
  if (const auto* give_up = std::get_if<ConnectionPool::GiveUp>(&action)) *out << "give up " << give_up->job;
}

namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Action = ConnectionPool::Action;
using Place = ConnectionPool::Place;
using JobId = ConnectionPool::JobId;

constexpr MonotonicTime kStart{1h};

Action start(JobId job, Place place) {
  return ConnectionPool::Start{job, place};
}
Action open(Place place) {
  return ConnectionPool::Open{place};
}
Action close(Place place) {
  return ConnectionPool::Close{place};
}
Action give_up(JobId job) {
  return ConnectionPool::GiveUp{job};
}

struct Pool : ConnectionPool {
  using ConnectionPool::ConnectionPool;

  void claim(JobId job, milliseconds time = 10s) {
    EXPECT_TRUE(add(job, SqlPriority::kClaim, Lane::kGeneral, now + time));
  }
  void poll(JobId job) { EXPECT_TRUE(add(job, SqlPriority::kPoll, Lane::kGeneral, now + 10s)); }
  void record(JobId job) { EXPECT_TRUE(add(job, SqlPriority::kRecord, Lane::kVital, now + 10s)); }
  void heartbeat(JobId job) { EXPECT_TRUE(add(job, SqlPriority::kHeartbeat, Lane::kVital, now + 10s)); }
  std::vector<Action> decide() { return ConnectionPool::decide(now); }
  void opened(Place place) { ConnectionPool::opened(place, now); }
  void finished(Place place, bool usable = true) { ConnectionPool::finished(place, now, usable); }
  /// Opens so many connections and leaves them idle.
  void warm_up(std::size_t connections) {
    for (JobId job = 1000; job < 1000 + connections; ++job) heartbeat(job);
    (void)decide();
    for (Place place = 0; place < connections; ++place) opened(place);
    (void)decide();
    for (Place place = 0; place < connections; ++place) finished(place);
    EXPECT_EQ(connected(), connections);
  }

  MonotonicTime now = kStart;
};

TEST(ConnectionPool, opens_a_connection_for_the_first_job_and_starts_it_there) {
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

TEST(ConnectionPool, starts_waiting_jobs_by_priority_then_by_arrival) {
  Pool pool({.max = 1});
  pool.poll(1);
  pool.claim(2);
  pool.record(3);
  pool.heartbeat(4);
  pool.record(5);
  pool.claim(6);
  EXPECT_THAT(pool.decide(), ElementsAre(open(0)));
  pool.opened(0);
  for (const JobId expected : {4, 3, 5, 2, 6, 1}) {
    EXPECT_THAT(pool.decide(), ElementsAre(start(expected, 0)));
    pool.finished(0);
  }
  EXPECT_THAT(pool.decide(), IsEmpty());
}

TEST(ConnectionPool, one_connection_is_kept_free_of_general_jobs) {
  Pool pool({.max = 3});
  pool.warm_up(3);
  for (JobId job = 1; job <= 5; ++job) pool.claim(job);
  EXPECT_EQ(pool.decide().size(), 2u);
  EXPECT_THAT(pool.decide(), IsEmpty());
  pool.record(6);
  EXPECT_EQ(pool.decide().size(), 1u);
  EXPECT_EQ(pool.waiting(), 3u);
}

TEST(ConnectionPool, vital_jobs_may_use_every_connection) {
  Pool pool({.max = 3});
  pool.warm_up(3);
  for (JobId job = 1; job <= 3; ++job) pool.record(job);
  EXPECT_EQ(pool.decide().size(), 3u);
}

TEST(ConnectionPool, a_pool_of_one_serves_everybody) {
  Pool pool({.max = 1});
  pool.warm_up(1);
  pool.claim(1);
  EXPECT_THAT(pool.decide(), ElementsAre(start(1, 0)));
}

TEST(ConnectionPool, prefers_the_connection_whose_last_job_was_alike) {
  Pool pool({.max = 3});
  pool.warm_up(2);
  pool.claim(1);
  const auto first = pool.decide();
  ASSERT_EQ(first.size(), 1u);
  const Place general = std::get<ConnectionPool::Start>(first[0]).place;
  pool.finished(general);
  for (JobId job = 2; job < 6; job += 2) {
    pool.now += 1ms;
    pool.record(job);
    EXPECT_THAT(pool.decide(), ElementsAre(start(job, 1 - general)));
    pool.finished(1 - general);
    pool.claim(job + 1);
    EXPECT_THAT(pool.decide(), ElementsAre(start(job + 1, general)));
    pool.finished(general);
  }
}

TEST(ConnectionPool, opens_no_more_than_its_maximum_and_no_more_than_jobs_wait) {
  Pool pool({.max = 4});
  pool.claim(1);
  pool.claim(2);
  EXPECT_EQ(pool.decide().size(), 2u);
  for (JobId job = 3; job < 10; ++job) pool.claim(job);
  EXPECT_EQ(pool.decide().size(), 1u) << "one of the four is kept for vital jobs";
  for (JobId job = 10; job < 20; ++job) pool.record(job);
  EXPECT_EQ(pool.decide().size(), 1u);
}

TEST(ConnectionPool, a_job_whose_time_is_up_is_given_up) {
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
  for (const Place place : {0, 1, 2}) pool.open_failed(place, pool.now, 1.0);
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

TEST(ConnectionPool, a_broken_connection_is_replaced_when_a_job_waits) {
  Pool pool({.max = 1});
  pool.warm_up(1);
  pool.claim(1);
  (void)pool.decide();
  pool.finished(0, false);
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

TEST(ConnectionPool, a_job_that_was_not_sent_is_the_first_of_its_priority_again) {
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

TEST(Lane, jobs_that_keep_what_a_node_holds_are_vital) {
  SqlRequest job;
  for (const auto priority : {SqlPriority::kHeartbeat, SqlPriority::kRecord, SqlPriority::kRelease}) {
    job.priority = priority;
    EXPECT_EQ(lane_of(job), Lane::kVital);
  }
  for (const auto priority : {SqlPriority::kClaim, SqlPriority::kPoll, SqlPriority::kBackground}) {
    job.priority = priority;
    EXPECT_EQ(lane_of(job), Lane::kGeneral);
  }
  job.confirm = true;
  EXPECT_EQ(lane_of(job), Lane::kVital);
  job.priority = SqlPriority::kClaim;
  EXPECT_EQ(lane_of(job), Lane::kGeneral) << "what acquires leaves a connection to the others, confirmed or not";
}

}  // namespace
}  // namespace hasigner::postgres
