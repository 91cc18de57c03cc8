#include "hasigner/service/fair_queue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasigner::service {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// Clients that ask for turns and keep them until they are told to end.
class Clients {
 public:
  explicit Clients(FairQueue::Limits limits)
      : queue(std::make_shared<FairQueue>(asio::any_io_executor(context.get_executor()), limits)) {}
  ~Clients() { queue->close(); }
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  void ask(const std::string& client, std::size_t units = 1) {
    asio::co_spawn(context, take(client, units), asio::detached);
    run();
  }
  /// Ends the oldest turn.
  void end() {
    turns.pop_front();
    run();
  }
  void run() {
    context.restart();
    context.poll();
  }

  asio::awaitable<void> take(std::string client, std::size_t units) {
    auto taking = FairQueue::take(queue, client, units);
    auto turn = co_await std::move(taking);
    given.push_back(client + (turn.has_waited() ? " waited" : ""));
    turns.push_back(std::make_unique<FairQueue::Turn>(std::move(turn)));
  }
  std::vector<std::string> taken() { return std::exchange(given, {}); }

  asio::io_context context{1};
  std::shared_ptr<FairQueue> queue;
  std::vector<std::string> given;
  std::deque<std::unique_ptr<FairQueue::Turn>> turns;
};

TEST(FairQueue, gives_turns_to_each_client_after_the_other) {
  Clients clients({.of_all = 1, .of_one_alone = 1, .of_one_beside = 1});
  for (int i = 0; i < 100; ++i) clients.ask("greedy");
  clients.ask("honest");
  clients.ask("honest");
  clients.ask("third");
  EXPECT_THAT(clients.taken(), ElementsAre("greedy"));
  for (int i = 0; i < 6; ++i) clients.end();
  EXPECT_THAT(clients.taken(), ElementsAre("greedy waited", "honest waited", "third waited", "greedy waited",
                                           "honest waited", "greedy waited"));
  EXPECT_EQ(clients.queue->waiting(), 96U);
}

TEST(FairQueue, lets_a_client_alone_use_more_than_beside_others) {
  Clients clients({.of_all = 1'000, .of_one_alone = 100, .of_one_beside = 32});
  for (int i = 0; i < 8; ++i) clients.ask("greedy", 16);
  EXPECT_EQ(clients.taken().size(), 6U) << "96 of 100";
  clients.ask("honest", 16);
  EXPECT_THAT(clients.taken(), ElementsAre("honest"));
  // Until the greedy one has less than its share, its turns end without a new one.
  for (int i = 0; i < 4; ++i) clients.end();
  EXPECT_THAT(clients.taken(), IsEmpty());
  clients.end();
  EXPECT_THAT(clients.taken(), ElementsAre("greedy waited"));
}

TEST(FairQueue, forgets_a_client_that_is_not_present_any_more) {
  Clients clients(
      {.of_all = 1'000, .of_one_alone = 100, .of_one_beside = 10, .present_for = std::chrono::milliseconds(0)});
  clients.ask("honest", 5);
  clients.end();
  static_cast<void>(clients.taken());
  for (int i = 0; i < 5; ++i) clients.ask("other", 20);
  EXPECT_EQ(clients.taken().size(), 5U);
  // Also one that asks no more and only ends its turns.
  for (int i = 0; i < 5; ++i) clients.ask("other", 20);
  clients.ask("honest", 5);
  EXPECT_THAT(clients.taken(), ElementsAre("honest"));
  std::swap(clients.turns.front(), clients.turns.back());
  clients.end();
  EXPECT_THAT(clients.taken(), IsEmpty()) << "100 units are used";
  clients.end();
  EXPECT_THAT(clients.taken(), ElementsAre("other waited"));
}

TEST(FairQueue, gives_a_turn_that_is_larger_than_the_limits_when_there_is_no_other) {
  Clients clients({.of_all = 10, .of_one_alone = 10, .of_one_beside = 10});
  clients.ask("a", 4);
  clients.ask("large", 50);
  clients.ask("b", 4);
  EXPECT_THAT(clients.taken(), ElementsAre("a")) << "the one that waits for all is not overtaken";
  clients.end();
  EXPECT_THAT(clients.taken(), ElementsAre("large waited"));
  clients.end();
  EXPECT_THAT(clients.taken(), ElementsAre("b waited"));
}

TEST(FairQueue, destroys_who_waits_when_it_is_closed) {
  const auto resource = std::make_shared<int>(1);
  const std::weak_ptr<int> held = resource;
  Clients clients({.of_all = 1, .of_one_alone = 1, .of_one_beside = 1});
  clients.ask("a");
  const auto wait = [](Clients& all, std::shared_ptr<int> owned) -> asio::awaitable<void> {
    auto taking = FairQueue::take(all.queue, "b", 1);
    const auto turn = co_await std::move(taking);
    *owned = 2;
  };
  asio::co_spawn(clients.context, wait(clients, resource), asio::detached);
  clients.run();
  clients.queue->close();
  clients.end();
  EXPECT_EQ(*resource, 1);
  EXPECT_EQ(resource.use_count(), 1) << "its coroutine is gone";
  EXPECT_FALSE(held.expired());
}

}  // namespace
}  // namespace hasigner::service
