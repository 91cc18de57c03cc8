#include "hasigner/protection/guard_memory.hpp"

#include <gtest/gtest.h>

namespace hasigner {
namespace {

const auto kRollup = *EthAddress::parse("0x00000000000000000000000000000000000000aa");
const auto kValidator = *EthAddress::parse("0x00000000000000000000000000000000000000bb");

TEST(GuardMemory, what_is_kept_is_read_back) {
  const GuardMemory kept{
      .cleared_in = "1 2 3 4 2026-01-01 00:00:00+00 7",
      .alive = {"node a", "node-b"},
      .listed = {"node a", "node-b", "node-c"},
      .slots = {.near = {{kRollup, *Slot::from(9)}}, .far = {{{kRollup, kValidator}, *Slot::from(100)}}}};
  const auto read = GuardMemory::parse(kept.text());
  EXPECT_EQ(read.cleared_in, kept.cleared_in);
  EXPECT_EQ(read.alive, kept.alive);
  EXPECT_EQ(read.listed, kept.listed);
  EXPECT_EQ(read.slots, kept.slots);
}

TEST(GuardMemory, a_journal_that_was_never_cleared_keeps_nothing) {
  EXPECT_EQ(GuardMemory().text(), "");
  EXPECT_EQ(GuardMemory::parse("").cleared_in, "");
  const auto not_cleared =
      GuardMemory::parse(GuardMemory{.cleared_in = {}, .alive = {"a"}, .listed = {}, .slots = {}}.text());
  EXPECT_EQ(not_cleared.cleared_in, "");
  EXPECT_EQ(not_cleared.alive, std::set<std::string>{"a"});
}

TEST(GuardMemory, what_cannot_be_read_is_left_out) {
  const auto read = GuardMemory::parse("1 2\nanother\nslots x:1 " + kRollup.to_string() + ":2 " + kRollup.to_string() +
                                       "/y:3 " + kRollup.to_string() + ":z\n\nalive a\n");
  EXPECT_EQ(read.cleared_in, "1 2");
  EXPECT_EQ(read.alive, std::set<std::string>{"a"});
  EXPECT_EQ(read.slots, (ReachedSlots{.near = {{kRollup, *Slot::from(2)}}, .far = {}}));
}

}  // namespace
}  // namespace hasigner
