#include "hasigner/protection/config.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace hasigner {
namespace {

SignerConfig good() {
  SignerConfig config{.node_id = *NodeId::parse("node-1"), .rollup = {}};
  config.rollup.bytes()[0] = 1;
  return config;
}

TEST(Config, accepts_the_defaults) {
  EXPECT_TRUE(validated(good()));
}

TEST(Config, names_the_field_the_value_and_what_is_allowed) {
  auto config = good();
  config.polling_interval = milliseconds(0);
  const auto wrong = validated(config);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message(),
            "polling_interval is '0', but must be a whole number of milliseconds from 1 to 60000");
}

TEST(Config, refuses_each_value_that_would_break_a_rule) {
  struct Case {
    std::string name;
    std::function<void(SignerConfig&)> spoil;
  };
  const Case cases[] = {
      {"signer_call_timeout", [](auto& c) { c.signer_call_timeout = c.max_stuck_duties_age / 2 + milliseconds(1); }},
      {"attempt_timeout", [](auto& c) { c.attempt_timeout = c.max_stuck_duties_age; }},
      {"peer_signing_timeout", [](auto& c) { c.peer_signing_timeout = milliseconds(-1); }},
      {"max_stuck_duties_age", [](auto& c) { c.max_stuck_duties_age = milliseconds(0); }},
      {"old_duties_max_age", [](auto& c) { c.old_duties_max_age = std::chrono::hours(0); }},
      {"rollup", [](auto& c) { c.rollup = EthAddress{}; }},
      {"heartbeat_interval", [](auto& c) { c.heartbeat_interval = c.lease; }},
      {"max_batch", [](auto& c) { c.max_batch = 0; }},
      {"claim_delay", [](auto& c) { c.claim_delay = milliseconds(-1); }},
      {"claim_delay", [](auto& c) { c.claim_delay = milliseconds(10'001); }},
      {"claim_delay",
       [](auto& c) {
         c.claim_delay = milliseconds(1'001);
         c.attempt_timeout = c.peer_signing_timeout + c.signer_call_timeout + milliseconds(1'000);
       }},
      {"preferred_validators", [](auto& c) { c.preferred_validators = {c.rollup}; }},
  };
  for (const auto& [name, spoil] : cases) {
    auto config = good();
    spoil(config);
    const auto wrong = validated(config);
    ASSERT_FALSE(wrong) << name;
    EXPECT_EQ(wrong.error().field, name);
  }
}

TEST(Config, a_held_back_claim_leaves_the_time_to_wait_for_another_node_and_to_sign) {
  auto config = good();
  config.attempt_timeout = milliseconds(34'000);  // 3 s to wait and 30 s to sign
  config.claim_delay = milliseconds(1'000);
  config.preferred_validators = {config.rollup};
  EXPECT_TRUE(validated(config));
  config.claim_delay = milliseconds(1'001);
  const auto wrong = validated(config);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(
      wrong.error().message(),
      "claim_delay is '1001', but must be at most 1000: after it the attempt (34000 ms) must have the time to wait "
      "for another node (3000 ms) and to sign (30000 ms)");
  // A signer without a delay needs no such time.
  config.claim_delay = milliseconds(0);
  config.preferred_validators = {};
  config.attempt_timeout = milliseconds(1'000);
  EXPECT_TRUE(validated(config));
}

}  // namespace
}  // namespace hasigner
