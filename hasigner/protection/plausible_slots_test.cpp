#include "hasigner/protection/plausible_slots.hpp"

#include <gtest/gtest.h>

namespace hasigner {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr std::uint64_t kHighest = 9'223'372'036'854'775'807;
constexpr sys_seconds kNow{seconds(1'800'000'000)};

Slot slot(std::uint64_t number) {
  return Slot::from(number).value();
}

class PlausibleSlotsTest : public testing::Test {
 protected:
  PlausibleSlots with(SlotRules rules) {
    return PlausibleSlots(rules, [this] { return now; });
  }
  sys_seconds now = kNow;
};

TEST_F(PlausibleSlotsTest, with_genesis_and_duration_the_clock_decides) {
  const auto slots = with({.genesis = kNow - seconds(7'200), .slot_duration = seconds(72), .slots_ahead = {}});
  EXPECT_EQ(slots.latest(), slot(100 + SlotRules::kAheadOfClock));
  EXPECT_FALSE(slots.refuse(slot(200)));
  const auto refused = slots.refuse(slot(201));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->field, "slot");
  EXPECT_EQ(refused->value, "201");
  EXPECT_NE(refused->allowed.find("at most 200, counted from the genesis of the rollup"), std::string::npos);
  now += seconds(72);
  EXPECT_FALSE(slots.refuse(slot(201)));
}

TEST_F(PlausibleSlotsTest, the_first_slot_of_an_empty_table_passes_and_an_absurd_one_does_not) {
  const auto slots = with({});
  EXPECT_FALSE(slots.refuse(slot(0)));
  EXPECT_FALSE(slots.refuse(slot(361'000'000))) << "one slot a second since the beginning of Ethereum";
  EXPECT_TRUE(slots.refuse(slot(362'000'000)));
  EXPECT_TRUE(slots.refuse(slot(kHighest)));
}

TEST_F(PlausibleSlotsTest, what_was_seen_bounds_and_a_long_pause_passes) {
  auto slots = with({.genesis = {}, .slot_duration = seconds(72), .slots_ahead = 10});
  EXPECT_TRUE(slots.wants_anchor());
  slots.seen({slot(1'000), kNow - seconds(720)});
  EXPECT_FALSE(slots.wants_anchor());
  EXPECT_EQ(slots.latest(), slot(1'000 + 10 + 10));
  now += std::chrono::hours(24 * 365);
  EXPECT_EQ(slots.latest(), slot(1'000 + 10 + 438'000 + 10)) << "time has passed, whatever was signed meanwhile";
}

TEST_F(PlausibleSlotsTest, only_the_first_anchor_counts_and_none_where_genesis_is_known) {
  auto slots = with({.genesis = {}, .slot_duration = {}, .slots_ahead = 10});
  slots.seen({slot(1'000), kNow});
  slots.seen({slot(1'010), kNow});
  EXPECT_EQ(slots.latest(), slot(1'010)) << "what is signed at the bound does not move it";
  auto by_clock = with({.genesis = kNow, .slot_duration = seconds(72), .slots_ahead = 10});
  EXPECT_FALSE(by_clock.wants_anchor());
  by_clock.seen({slot(5'000), kNow});
  EXPECT_EQ(by_clock.latest(), slot(10));
}

TEST_F(PlausibleSlotsTest, a_clock_that_is_behind_does_not_forbid_what_was_seen) {
  auto slots = with({.genesis = {}, .slot_duration = seconds(72), .slots_ahead = 10});
  slots.seen({slot(1'000), kNow + std::chrono::hours(48)});
  EXPECT_EQ(slots.latest(), slot(1'010));
}

TEST_F(PlausibleSlotsTest, a_clock_that_was_reset_does_not_forbid_real_slots) {
  now = sys_seconds(seconds(100));
  auto slots = with({.genesis = {}, .slot_duration = seconds(72), .slots_ahead = {}});
  EXPECT_FALSE(slots.refuse(slot(4'000'000)));
  slots.seen({slot(4'000'000), kNow});
  EXPECT_FALSE(slots.refuse(slot(4'000'000)));
}

TEST_F(PlausibleSlotsTest, an_absurd_slot_that_was_seen_is_bounded_by_the_beginning_of_ethereum) {
  auto slots = with({});
  slots.seen({slot(kHighest), kNow});
  EXPECT_TRUE(slots.refuse(slot(kHighest)));
  EXPECT_FALSE(slots.refuse(slot(361'000'000)));
}

TEST_F(PlausibleSlotsTest, the_operator_may_allow_every_slot) {
  EXPECT_FALSE(with({.genesis = {}, .slot_duration = {}, .slots_ahead = kHighest}).refuse(slot(kHighest)));
}

}  // namespace
}  // namespace hasigner
