#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <string>

#include "tests/simulation/cluster.hpp"

namespace hasigner::simulation {
namespace {

/// Where the seeds begin: HASIGNER_SEED moves it, so that other runs can see other runs.
std::uint64_t first_seed() {
  const char* text = std::getenv("HASIGNER_SEED");
  return text ? std::strtoull(text, nullptr, 10) : 1;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

TEST(Simulation, no_duty_has_two_messages_and_every_duty_is_signed_when_the_store_is_kind) {
  std::uint64_t attempts = 0, take_overs = 0, replacements = 0, lost_locks = 0, lost_claims = 0, in_doubt = 0;
  std::uint64_t seed = first_seed();
  for (; attempts < 120'000; ++seed) {
    const auto report = run(settings_for(seed));
    ASSERT_TRUE(report.violations.empty()) << "replay with: simulate " << seed << "\n" << joined(report.violations);
    attempts += report.attempts;
    take_overs += report.take_overs;
    replacements += report.replacements;
    lost_locks += report.lost_locks;
    lost_claims += report.lost_claims;
    in_doubt += report.in_doubt;
  }
  // The paths that matter have been walked, not only the happy one.
  EXPECT_GT(take_overs, 100);
  EXPECT_GT(replacements, 100);
  EXPECT_GT(lost_locks, 10);
  EXPECT_GT(lost_claims, 50);
  EXPECT_GT(in_doubt, 100);
  RecordProperty("attempts", std::to_string(attempts));
  RecordProperty("seeds", std::to_string(seed - first_seed()));
}

TEST(Simulation, a_seed_replays_exactly) {
  for (const std::uint64_t seed : {first_seed(), first_seed() + 17, first_seed() + 35}) {
    const auto once = run(settings_for(seed));
    const auto again = run(settings_for(seed));
    EXPECT_EQ(once.digest, again.digest) << seed;
    EXPECT_EQ(once.attempts, again.attempts) << seed;
    EXPECT_GT(once.released, 0) << seed;
  }
  EXPECT_NE(run(settings_for(first_seed())).digest, run(settings_for(first_seed() + 1)).digest);
}

TEST(Simulation, lost_replies_alone_hold_nothing_up) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 60; ++seed) {
    const auto report = run(lost_replies_only(seed));
    ASSERT_TRUE(report.violations.empty()) << joined(report.violations);
  }
}

TEST(Simulation, failing_signers_beside_an_unfenced_peer_do_no_harm) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + 100; ++seed) {
    const auto report = run(failing_signers_beside_a_peer(seed));
    ASSERT_TRUE(report.violations.empty()) << joined(report.violations);
  }
}

/// The first violation that the sabotage leads to, or nothing within the given number of seeds.
std::string caught(Sabotage sabotage, const std::function<Settings(std::uint64_t)>& settings_of, std::uint64_t seeds) {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds; ++seed) {
    auto settings = settings_of(seed);
    settings.sabotage = sabotage;
    const auto report = run(settings);
    if (!report.violations.empty()) return report.violations.front();
  }
  return "";
}

TEST(Simulation, notices_when_the_fence_is_removed) {
  EXPECT_NE(caught(Sabotage::kNoFence, settings_for, 100).find("released"), std::string::npos);
}

TEST(Simulation, notices_when_the_watermark_condition_is_removed) {
  EXPECT_NE(caught(Sabotage::kNoWatermarkCondition, settings_for, 100).find("two messages released"),
            std::string::npos);
}

TEST(Simulation, notices_when_a_retried_claim_gets_a_new_token) {
  EXPECT_NE(caught(Sabotage::kNewTokenOnRetry, lost_replies_only, 20).find("held up"), std::string::npos);
}

TEST(Simulation, notices_when_a_row_taken_over_from_an_unfenced_peer_is_released) {
  EXPECT_NE(caught(Sabotage::kReleaseTakenOverRow, failing_signers_beside_a_peer, 400).find("two messages released"),
            std::string::npos);
}

}  // namespace
}  // namespace hasigner::simulation
