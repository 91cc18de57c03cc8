#include "hasigner/store/memory/memory_tables.hpp"

#include <gtest/gtest.h>

namespace hasigner::memory {
namespace {

using namespace std::chrono_literals;

/// Stands still unless the test moves it.
class StillClock final : public Clock {
 public:
  MonotonicTime now() const override { return now_; }
  TimerId call_at(MonotonicTime, std::move_only_function<void()>) override { return 0; }
  void cancel(TimerId) override {}
  void advance(milliseconds by) { now_ += by; }

 private:
  MonotonicTime now_{};
};

struct MemoryTablesTest : testing::Test {
  StillClock clock;
  MemoryTables tables{clock};
  const NodeId node = NodeId::parse("node").value();
  const Duty duty = [] {
    EthAddress rollup, validator;
    rollup.bytes()[0] = 1, validator.bytes()[0] = 0xab;
    return make_duty(rollup, validator, MessageHash{},
                     {.duty_type = DutyType::kAttestation, .slot = Slot::from(5).value()})
        .value();
  }();
};

TEST_F(MemoryTablesTest, something_may_happen_between_the_insert_and_the_look_of_a_claim) {
  const DutyClaim claim{duty, LockToken("a")};
  EXPECT_EQ(tables.insert_claims(node, std::span(&claim, 1)), std::vector<bool>{true});
  tables.set_watermarks(duty.key.rollup, duty.key.validator, duty.key.duty_type, {.low = duty.key.slot});
  const DutyView view = tables.view(duty.key);
  ASSERT_TRUE(view.row);
  EXPECT_EQ(view.row->lock_token, claim.token);
  EXPECT_FALSE(view.watermarks.allow(duty.key.slot));
}

TEST_F(MemoryTablesTest, the_tables_tell_the_time_of_its_clock) {
  EXPECT_EQ(utc_text(tables.now()), "2026-01-01 00:00:00.000000");
  clock.advance(1500ms);
  EXPECT_EQ(utc_text(tables.now()), "2026-01-01 00:00:01.500000");
}

}  // namespace
}  // namespace hasigner::memory
