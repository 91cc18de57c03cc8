#include "hasigner/service/connection_turns.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <thread>
#include <vector>

namespace hasigner::service {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

/// Connections whose handlers write down their names.
struct ConnectionTurnsTest : testing::Test {
  ~ConnectionTurnsTest() override { turns->close(); }

  std::shared_ptr<ConnectionTurns::Membership> unknown(const std::string& peer) {
    auto membership = std::make_shared<ConnectionTurns::Membership>(turns);
    membership->join_unknown(peer);
    return membership;
  }
  std::shared_ptr<ConnectionTurns::Membership> known(const std::string& client) {
    auto membership = std::make_shared<ConnectionTurns::Membership>(turns);
    membership->join_unknown("192.0.2.1");
    membership->join(client);
    return membership;
  }
  static asio::any_io_executor executor_of(std::shared_ptr<ConnectionTurns::Membership> membership) {
    return ConnectionTurns::Executor(std::move(membership));
  }
  void ask(const std::shared_ptr<ConnectionTurns::Membership>& membership, const std::string& name) {
    asio::post(executor_of(membership), [this, name] { run.push_back(name); });
  }
  std::vector<std::string> taken() {
    context.restart();
    context.poll();
    return std::exchange(run, {});
  }

  asio::io_context context{1};
  // A turn is one handler, so that the order does not depend on the time that handlers take.
  std::shared_ptr<ConnectionTurns> turns =
      std::make_shared<ConnectionTurns>(context.get_executor(), std::chrono::microseconds(0));
  std::vector<std::string> run;
};

TEST_F(ConnectionTurnsTest, a_client_waits_for_one_turn_of_another_whatever_its_connections) {
  for (int i = 0; i < 100; ++i) ask(known("greedy"), "greedy");
  const auto honest = known("honest");
  ask(honest, "honest 1");
  ask(honest, "honest 2");
  const auto names = taken();
  ASSERT_THAT(names, SizeIs(102));
  EXPECT_EQ(names[1], "honest 1");
  EXPECT_EQ(names[3], "honest 2");
}

TEST_F(ConnectionTurnsTest, a_turn_is_many_handlers_and_ends_with_its_time) {
  turns = std::make_shared<ConnectionTurns>(context.get_executor(), std::chrono::milliseconds(20));
  for (int i = 0; i < 3; ++i) ask(known("greedy"), "short");
  asio::post(executor_of(known("greedy")), [] { std::this_thread::sleep_for(std::chrono::milliseconds(30)); });
  ask(known("greedy"), "after a long one");
  ask(known("honest"), "honest");
  EXPECT_THAT(taken(), ElementsAre("short", "short", "short", "honest", "after a long one"));
}

TEST_F(ConnectionTurnsTest, a_handler_that_follows_another_comes_behind_those_of_other_clients) {
  const auto greedy = known("greedy");
  const std::function<void(int)> go_on = [&](int left) {
    run.push_back("greedy");
    if (left > 0) asio::post(executor_of(greedy), [&go_on, left] { go_on(left - 1); });
  };
  asio::post(executor_of(greedy), [&go_on] { go_on(2); });
  ask(known("honest"), "honest");
  EXPECT_THAT(taken(), ElementsAre("greedy", "honest", "greedy", "greedy"));
}

TEST_F(ConnectionTurnsTest, unknown_clients_have_one_turn_together_and_share_it_by_address) {
  for (int i = 0; i < 3; ++i) ask(unknown("192.0.2.1"), "first");
  ask(unknown("192.0.2.2"), "second");
  ask(unknown("192.0.2.2"), "second");
  ask(unknown("192.0.2.3"), "third");
  const auto honest = known("honest");
  for (int i = 0; i < 3; ++i) ask(honest, "honest");
  EXPECT_THAT(taken(),
              ElementsAre("first", "honest", "second", "honest", "third", "honest", "first", "second", "first"));
}

TEST_F(ConnectionTurnsTest, a_connection_that_becomes_known_leaves_those_of_its_address) {
  for (int i = 0; i < 10; ++i) ask(unknown("192.0.2.1"), "unknown");
  const auto membership = unknown("192.0.2.1");
  membership->join("client");
  ask(membership, "known");
  EXPECT_EQ(taken()[1], "known");
}

TEST_F(ConnectionTurnsTest, none_runs_within_the_call_that_brings_it) {
  const auto membership = known("client");
  asio::dispatch(executor_of(membership), [&] {
    asio::dispatch(executor_of(membership), [&] { run.push_back("inner"); });
    run.push_back("outer");
  });
  EXPECT_THAT(run, IsEmpty());
  EXPECT_THAT(taken(), ElementsAre("outer", "inner"));
}

TEST_F(ConnectionTurnsTest, handlers_may_come_from_other_threads) {
  constexpr int kEach = 1'000;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, membership = unknown(std::to_string(i % 2))] {
      for (int j = 0; j < kEach; ++j) ask(membership, "unknown");
    });
  }
  std::vector<std::string> all;
  while (all.size() < std::size_t{4} * kEach) std::ranges::move(taken(), std::back_inserter(all));
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(taken(), IsEmpty());
}

TEST_F(ConnectionTurnsTest, timers_and_coroutines_go_on_in_turns) {
  auto sleep = [](std::vector<std::string>& names) -> asio::awaitable<void> {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, std::chrono::milliseconds(1));
    co_await timer.async_wait(asio::use_awaitable);
    names.emplace_back("woken");
  };
  asio::co_spawn(executor_of(known("client")), sleep(run), asio::detached);
  context.run();
  EXPECT_THAT(run, ElementsAre("woken"));
}

TEST_F(ConnectionTurnsTest, close_destroys_what_waits_and_what_still_comes) {
  const auto membership = known("client");
  const auto held = std::make_shared<int>();
  const auto hold = [&] {
    asio::post(executor_of(membership), [membership, held, this] { run.emplace_back("late"); });
  };
  for (int i = 0; i < 3; ++i) hold();
  EXPECT_EQ(held.use_count(), 4);
  turns->close();
  EXPECT_EQ(held.use_count(), 1);
  hold();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_THAT(taken(), IsEmpty());
}

}  // namespace
}  // namespace hasigner::service
