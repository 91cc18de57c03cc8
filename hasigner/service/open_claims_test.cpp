#include "hasigner/service/open_claims.hpp"

#include <gtest/gtest.h>

namespace hasigner::service {
namespace {

constexpr milliseconds kRemembered{1'000};

MonotonicTime at(int ms) {
  return MonotonicTime(milliseconds(ms));
}

TEST(OpenClaims, a_client_may_have_so_many_and_no_more) {
  OpenClaims claims(2, kRemembered);
  ASSERT_TRUE(claims.begin("a", at(0)));
  claims.opened("a", LockToken("1"), at(0));
  ASSERT_TRUE(claims.begin("a", at(0))) << "one that is being made counts, too";
  EXPECT_FALSE(claims.begin("a", at(0)));
  EXPECT_TRUE(claims.begin("b", at(0))) << "another client has its own";
  claims.refused("a");
  EXPECT_TRUE(claims.begin("a", at(0)));
}

TEST(OpenClaims, a_claim_that_is_recorded_or_released_makes_room_once) {
  OpenClaims claims(1, kRemembered);
  ASSERT_TRUE(claims.begin("a", at(0)));
  claims.opened("a", LockToken("1"), at(0));
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
  claims.opened("a", LockToken("1"), at(0));
  EXPECT_FALSE(claims.begin("a", at(999)));
  EXPECT_TRUE(claims.begin("a", at(1'000)));
  claims.close(LockToken("1"));
  EXPECT_FALSE(claims.begin("a", at(1'000))) << "it was forgotten, so closing it makes no room";
}

}  // namespace
}  // namespace hasigner::service
