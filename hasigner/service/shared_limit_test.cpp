#include "hasigner/service/shared_limit.hpp"

#include <gtest/gtest.h>

namespace hasigner::service {
namespace {

std::size_t take_all(SharedLimit& limit, const std::string& client) {
  std::size_t taken = 0;
  while (limit.take(client, 1)) ++taken;
  return taken;
}

TEST(SharedLimit, gives_a_client_alone_half_and_always_leaves_something_for_another) {
  SharedLimit limit(1'000);
  EXPECT_EQ(take_all(limit, "a"), 500U);
  EXPECT_EQ(take_all(limit, "b"), 250U);
  EXPECT_EQ(take_all(limit, "c"), 125U);
  EXPECT_FALSE(limit.take("a", 1));
  EXPECT_EQ(limit.taken(), 875U);
}

TEST(SharedLimit, asks_nothing_of_what_needs_nothing) {
  SharedLimit limit(100);
  EXPECT_TRUE(limit.take("a", 60));
  EXPECT_TRUE(limit.take("b", 30));
  EXPECT_TRUE(limit.take("a", 0)) << "though it holds more than is free";
}

TEST(SharedLimit, gives_one_of_one) {
  SharedLimit limit(1);
  EXPECT_TRUE(limit.take("a", 1));
  EXPECT_FALSE(limit.take("a", 1));
  EXPECT_FALSE(limit.take("b", 1));
  limit.give_back("a", 1);
  EXPECT_TRUE(limit.take("b", 1));
}

TEST(SharedLimit, takes_nothing_where_it_refuses_and_gets_everything_back) {
  SharedLimit limit(100);
  EXPECT_FALSE(limit.take("a", 101));
  EXPECT_TRUE(limit.take("a", 100));
  limit.take_anyway("a", 50);
  EXPECT_FALSE(limit.take("b", 1));
  limit.give_back("a", 150);
  EXPECT_EQ(limit.taken(), 0U);
  EXPECT_TRUE(limit.take("b", 60));
}

}  // namespace
}  // namespace hasigner::service
