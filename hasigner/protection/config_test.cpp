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

TEST(Config, names_the_setting_the_value_and_what_is_allowed) {
  auto config = good();
  config.polling_interval = milliseconds(0);
  const auto wrong = validated(config);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message(),
            "VALIDATOR_HA_POLLING_INTERVAL_MS is '0', but must be a whole number of milliseconds from 1 to 60000");
}

TEST(Config, refuses_each_value_that_would_break_a_rule) {
  struct Case {
    std::string name;
    std::function<void(SignerConfig&)> spoil;
  };
  const Case cases[] = {
      {"VALIDATOR_SIGNER_CALL_TIMEOUT_MS",
       [](auto& c) { c.signer_call_timeout = c.max_stuck_duties_age / 2 + milliseconds(1); }},
      {"VALIDATOR_HA_ATTEMPT_TIMEOUT_MS", [](auto& c) { c.attempt_timeout = c.max_stuck_duties_age; }},
      {"VALIDATOR_HA_SIGNING_TIMEOUT_MS", [](auto& c) { c.peer_signing_timeout = milliseconds(-1); }},
      {"VALIDATOR_HA_MAX_STUCK_DUTIES_AGE_MS", [](auto& c) { c.max_stuck_duties_age = milliseconds(0); }},
      {"VALIDATOR_HA_OLD_DUTIES_MAX_AGE_H", [](auto& c) { c.old_duties_max_age = std::chrono::hours(0); }},
      {"ROLLUP_CONTRACT_ADDRESS", [](auto& c) { c.rollup = EthAddress{}; }},
      {"heartbeat_interval", [](auto& c) { c.heartbeat_interval = c.lease; }},
      {"max_batch", [](auto& c) { c.max_batch = 0; }},
  };
  for (const auto& [name, spoil] : cases) {
    auto config = good();
    spoil(config);
    const auto wrong = validated(config);
    ASSERT_FALSE(wrong) << name;
    EXPECT_EQ(wrong.error().field, name);
  }
}

}  // namespace
}  // namespace hasigner
