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
    return PlausibleSlots(
        rules, [this] { return now; }, [this] { return up_time; });
  }
  /// Time that passes by every clock.
  void pass(seconds time) {
    now += time;
    up_time += time;
  }
  sys_seconds now = kNow;
  seconds up_time{1'000};
};

TEST_F(PlausibleSlotsTest, with_genesis_and_duration_the_clock_decides) {
  const auto slots = with({.genesis = kNow - seconds(7'200), .slot_duration = seconds(72), .slots_ahead = {}});
  EXPECT_EQ(slots.latest(), slot(100 + SlotRules::kAheadOfClock));
  EXPECT_FALSE(slots.refuse(slot(200)));
  const auto refused = slots.refuse(slot(201));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->field, "slot");
  EXPECT_EQ(refused->value, "201");
  EXPECT_NE(refused->allowed.find("at most 200, counted from the genesis of the rollup by this machine's clock, which "
                                  "says 2027-01-15T08:00:00Z: a later slot cannot have begun unless this clock is "
                                  "wrong"),
            std::string::npos)
      << refused->allowed;
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

TEST_F(PlausibleSlotsTest, honest_duties_are_near_the_slot_of_this_moment_although_later_slots_pass) {
  auto slots = with({.genesis = {}, .slot_duration = seconds(72), .slots_ahead = {}});
  slots.seen({slot(1'000), kNow - seconds(720)});
  EXPECT_EQ(slots.latest(), slot(1'010 + SlotRules::kAheadOfSeen));
  EXPECT_EQ(slots.latest_near(), slot(1'010 + SlotRules::kAheadOfClock));
  pass(seconds(72));
  EXPECT_EQ(slots.latest_near(), slot(1'011 + SlotRules::kAheadOfClock));
  auto widened = with({.genesis = {}, .slot_duration = seconds(72), .slots_ahead = 5'000});
  widened.seen({slot(1'000), now});
  EXPECT_EQ(widened.latest_near(), slot(6'000)) << "the operator says how far";
}

TEST_F(PlausibleSlotsTest, only_the_first_anchor_counts) {
  auto slots = with({.genesis = {}, .slot_duration = {}, .slots_ahead = 10});
  slots.seen({slot(1'000), kNow});
  slots.seen({slot(1'010), kNow});
  EXPECT_EQ(slots.latest(), slot(1'010)) << "what is signed at the bound does not move it";
}

TEST_F(PlausibleSlotsTest, a_clock_that_is_behind_does_not_forbid_what_the_store_shows_to_have_begun) {
  // The clock is 36,000 s, which are 500 slots, behind: it says slot 100 at slot 600.
  auto slots = with({.genesis = kNow - seconds(7'200), .slot_duration = seconds(72), .slots_ahead = {}});
  EXPECT_TRUE(slots.wants_anchor());
  EXPECT_TRUE(slots.refuse(slot(600)));
  slots.seen({slot(600), kNow + seconds(36'000)});
  EXPECT_EQ(slots.latest(), slot(600 + SlotRules::kAheadOfClock));
  const auto refused = slots.refuse(slot(701));
  ASSERT_TRUE(refused);
  EXPECT_NE(refused->allowed.find("says 2027-01-15T08:00:00Z (the store: slot 600, the highest that the rollup had in "
                                  "the store, in a row of 2027-01-15T18:00:00Z)"),
            std::string::npos)
      << refused->allowed;
  pass(seconds(7'200));
  EXPECT_EQ(slots.latest(), slot(700 + SlotRules::kAheadOfClock)) << "the clock goes on, although behind";
  now = kNow + seconds(36'000 + 7'200);
  EXPECT_EQ(slots.latest(), slot(700 + SlotRules::kAheadOfClock)) << "the clock was set right";
}

TEST_F(PlausibleSlotsTest, with_genesis_a_row_counts_only_as_far_as_its_slot_had_begun_by_its_time) {
  const SlotRules rules{.genesis = kNow - seconds(7'200), .slot_duration = seconds(72), .slots_ahead = 10};
  auto ahead = with(rules);
  ahead.seen({slot(110), kNow});
  EXPECT_EQ(ahead.latest(), slot(110)) << "what a client signs at the bound gains nothing with a restart";
  auto absurd = with(rules);
  absurd.seen({slot(kHighest), kNow});
  EXPECT_EQ(absurd.latest(), slot(110));
  auto future_dated = with(rules);
  future_dated.seen({slot(100), kNow + std::chrono::hours(24 * 365)});
  EXPECT_EQ(future_dated.latest(), slot(110));
  auto before_genesis = with(rules);
  before_genesis.seen({slot(5'000), kNow - seconds(100'000)});
  EXPECT_EQ(before_genesis.latest(), slot(110));
}

TEST_F(PlausibleSlotsTest, a_row_with_a_time_that_is_yet_to_come_does_not_hold_the_bound) {
  auto slots = with({.genesis = {}, .slot_duration = seconds(72), .slots_ahead = 10});
  slots.seen({slot(1'000), kNow + std::chrono::hours(24 * 365)});
  EXPECT_EQ(slots.latest(), slot(1'010));
  pass(seconds(7'200));
  EXPECT_EQ(slots.latest(), slot(1'110));
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
