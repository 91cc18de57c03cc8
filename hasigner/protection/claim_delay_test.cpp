#include "hasigner/protection/claim_delay.hpp"

#include <gtest/gtest.h>

namespace hasigner {
namespace {

constexpr milliseconds kDelay{500};
constexpr milliseconds kUnhealthyDelay{1'000};

class ClaimDelayTest : public testing::Test {
 protected:
  static EthAddress address(std::uint8_t byte) {
    EthAddress made;
    made.bytes().fill(byte);
    return made;
  }
  static DutyKey duty(std::uint64_t slot, std::uint8_t validator = 9) {
    return {address(1), address(validator), *Slot::from(slot), DutyType::kAttestation, kNoBlockIndex};
  }
  static SignerConfig reserve() {
    SignerConfig config{.node_id = *NodeId::parse("reserve"), .rollup = address(1)};
    config.claim_delay = kDelay;
    return config;
  }
  static SignerConfig preferred() {
    auto config = reserve();
    config.claim_delay = milliseconds(0);
    return config;
  }
  std::shared_ptr<NodeHealth> checked(NodeHealth::Action action) {
    return std::make_shared<NodeHealth>(
        NodeHealth::Rules{.failures_in_a_row = 1, .action = action, .delay = kUnhealthyDelay});
  }
  static NodeHealth::Outcome no_peers() { return std::unexpected(std::string("it has no peers")); }
  /// How long a duty waits that is asked for now.
  milliseconds wait_for(ClaimDelay& delay, const DutyKey& key) {
    return std::chrono::duration_cast<milliseconds>(delay.claim_at(key, now_).value() - now_);
  }

  MonotonicTime now_ = MonotonicTime{} + std::chrono::hours(1);
};

TEST_F(ClaimDelayTest, a_node_without_a_delay_claims_at_once) {
  ClaimDelay delay(preferred(), nullptr);
  EXPECT_EQ(wait_for(delay, duty(1)), milliseconds(0));
}

TEST_F(ClaimDelayTest, a_request_that_is_repeated_waits_for_the_rest_of_the_first_ones_delay) {
  ClaimDelay delay(reserve(), nullptr);
  EXPECT_EQ(wait_for(delay, duty(1)), kDelay);
  now_ += milliseconds(200);
  EXPECT_EQ(wait_for(delay, duty(1)), milliseconds(300));
  EXPECT_EQ(wait_for(delay, duty(2)), kDelay) << "another duty";
  now_ += milliseconds(400);
  EXPECT_LT(wait_for(delay, duty(1)), milliseconds(0));
}

TEST_F(ClaimDelayTest, the_duties_of_preferred_validators_are_not_held_back) {
  auto config = reserve();
  config.preferred_validators = {address(9), address(3), address(7)};
  ClaimDelay delay(config, nullptr);
  for (const std::uint8_t validator : {3, 7, 9}) EXPECT_EQ(wait_for(delay, duty(1, validator)), milliseconds(0));
  EXPECT_EQ(wait_for(delay, duty(1, 4)), kDelay);
}

TEST_F(ClaimDelayTest, an_unhealthy_node_holds_back_for_longer_than_a_healthy_reserve_node) {
  const auto health = checked(NodeHealth::Action::kHoldBack);
  ClaimDelay of_preferred(preferred(), health), of_reserve(reserve(), health);
  EXPECT_EQ(wait_for(of_preferred, duty(1)), milliseconds(0));
  EXPECT_TRUE(health->note(no_peers()));
  EXPECT_EQ(wait_for(of_preferred, duty(2)), kUnhealthyDelay);
  EXPECT_EQ(wait_for(of_reserve, duty(2)), kUnhealthyDelay + kDelay);
  EXPECT_EQ(wait_for(of_preferred, duty(1)), milliseconds(0)) << "a duty that it may have claimed already";
  EXPECT_TRUE(health->note({}));
  EXPECT_EQ(wait_for(of_preferred, duty(3)), milliseconds(0));
}

TEST_F(ClaimDelayTest, a_node_that_refuses_while_it_is_unhealthy_says_why_and_goes_on_with_duties_that_it_has_begun) {
  const auto health = checked(NodeHealth::Action::kRefuse);
  ClaimDelay delay(reserve(), health);
  EXPECT_EQ(wait_for(delay, duty(1)), kDelay);
  EXPECT_TRUE(health->note(no_peers()));
  const auto refused = delay.claim_at(duty(2), now_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "it has no peers");
  EXPECT_EQ(wait_for(delay, duty(1)), kDelay);
  EXPECT_TRUE(health->note({}));
  EXPECT_EQ(wait_for(delay, duty(2)), kDelay) << "a refusal does not count as a first request";
}

TEST_F(ClaimDelayTest, duties_are_forgotten_after_the_stuck_duty_age_and_when_there_are_too_many) {
  ClaimDelay delay(reserve(), nullptr);
  EXPECT_EQ(wait_for(delay, duty(1)), kDelay);
  now_ += reserve().max_stuck_duties_age;
  EXPECT_LT(wait_for(delay, duty(1)), milliseconds(0));
  now_ += milliseconds(1);
  EXPECT_EQ(wait_for(delay, duty(1)), kDelay);
  for (std::uint64_t slot = 2; slot <= ClaimDelay::kMostRemembered; ++slot) (void)delay.claim_at(duty(slot), now_);
  now_ += kDelay;
  EXPECT_EQ(wait_for(delay, duty(2)), milliseconds(0));
  EXPECT_EQ(wait_for(delay, duty(1)), kDelay);
}

TEST(NodeHealth, failures_in_a_row_make_a_node_unhealthy_and_one_success_makes_it_healthy) {
  NodeHealth health({.failures_in_a_row = 3});
  const auto fails = [&health](const char* why) { return health.note(std::unexpected(std::string(why))); };
  EXPECT_TRUE(health.is_healthy()) << "not checked yet";
  EXPECT_FALSE(fails("one"));
  EXPECT_FALSE(fails("two"));
  EXPECT_FALSE(health.note({})) << "it was healthy all the time";
  EXPECT_FALSE(fails("one"));
  EXPECT_FALSE(fails("two"));
  EXPECT_TRUE(health.is_healthy());
  EXPECT_EQ(health.failure(), "two");
  EXPECT_TRUE(fails("three"));
  EXPECT_FALSE(health.is_healthy());
  EXPECT_FALSE(fails("four"));
  EXPECT_EQ(health.failure(), "four");
  EXPECT_TRUE(health.note({}));
  EXPECT_TRUE(health.is_healthy());
  EXPECT_EQ(health.failure(), "");
}

}  // namespace
}  // namespace hasigner
