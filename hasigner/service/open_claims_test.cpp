#include "hasigner/service/open_claims.hpp"

#include <gtest/gtest.h>

#include <tuple>

namespace hasigner::service {
namespace {

constexpr milliseconds kRemembered{1'000};

MonotonicTime at(int ms) {
  return MonotonicTime(milliseconds(ms));
}

OpenClaims::Claim claim(const char* token, std::uint64_t slot = 1) {
  DutyKey key;
  key.slot = Slot::from(slot).value();
  return {key, LockToken(token)};
}

TEST(OpenClaims, a_client_may_have_so_many_and_no_more) {
  OpenClaims claims(2, kRemembered);
  ASSERT_TRUE(claims.begin("a", at(0)));
  claims.opened("a", claim("1"), at(0));
  ASSERT_TRUE(claims.begin("a", at(0))) << "one that is being made counts, too";
  EXPECT_FALSE(claims.begin("a", at(0)));
  EXPECT_TRUE(claims.begin("b", at(0))) << "another client has its own";
  claims.refused("a");
  EXPECT_TRUE(claims.begin("a", at(0)));
}

TEST(OpenClaims, a_claim_that_is_recorded_or_released_makes_room_once) {
  OpenClaims claims(1, kRemembered);
  ASSERT_TRUE(claims.begin("a", at(0)));
  claims.opened("a", claim("1"), at(0));
  claims.close(LockToken("2"));
  EXPECT_FALSE(claims.begin("a", at(0))) << "another token";
  claims.close(LockToken("1"));
  claims.close(LockToken("1"));
  ASSERT_TRUE(claims.begin("a", at(0)));
  EXPECT_FALSE(claims.begin("a", at(0)));
}

TEST(OpenClaims, a_claim_that_is_left_counts_for_some_time) {
  OpenClaims claims(1, kRemembered);
  ASSERT_TRUE(claims.begin("a", at(0)));
  claims.opened("a", claim("1"), at(0));
  EXPECT_FALSE(claims.begin("a", at(999)));
  EXPECT_TRUE(claims.begin("a", at(1'000)));
  claims.close(LockToken("1"));
  EXPECT_FALSE(claims.begin("a", at(1'000))) << "it was forgotten, so closing it makes no room";
}

TEST(OpenClaims, the_oldest_claims_of_a_client_are_looked_up_in_the_order_of_their_keys) {
  OpenClaims claims(4, kRemembered);
  EXPECT_TRUE(claims.has_room("a", 4));
  EXPECT_TRUE(claims.oldest("a", 2).empty());
  for (const auto& [client, token, slot, since] :
       {std::tuple{"a", "1", 9U, 2}, {"b", "2", 1U, 0}, {"a", "3", 7U, 1}, {"a", "4", 8U, 3}}) {
    ASSERT_TRUE(claims.begin(client, at(since)));
    claims.opened(client, claim(token, slot), at(since));
  }
  const auto oldest = claims.oldest("a", 2);
  ASSERT_EQ(oldest.size(), 2U);
  EXPECT_EQ(oldest[0].token, LockToken("3"));
  EXPECT_EQ(oldest[1].token, LockToken("1"));
  EXPECT_EQ(oldest[1].key.slot.value(), 9U);
  EXPECT_EQ(claims.oldest("a", 10).size(), 3U);
  EXPECT_TRUE(claims.has_room("a", 1));
  EXPECT_FALSE(claims.has_room("a", 2));
}

}  // namespace
}  // namespace hasigner::service
