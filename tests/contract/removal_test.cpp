#include <set>

#include "tests/contract/contract.hpp"

namespace hasigner::contract {
namespace {

class Remove : public Contract {
 protected:
  RemovalRequest request(Removal what, milliseconds max_age = 0ms, std::size_t limit = 1000) {
    return {what, NodeId::parse("node-a").value(), address(0xaa), max_age, limit};
  }
  RemovalOutcome remove(const RemovalRequest& request) { return answer(observer().store->remove(request, soon())); }
  std::size_t preview(const RemovalRequest& request) {
    return answer(observer().history->preview(request, soon())).rows;
  }
  std::set<std::uint64_t> slots_left() {
    std::set<std::uint64_t> slots;
    for (const DutyEntry& row : rows()) slots.insert(std::stoull(row.slot));
    return slots;
  }
  /// Claimed, and an hour old.
  LockToken old_claim(Node& node, std::uint64_t number, TokenKind kind = TokenKind::kFenced) {
    const LockToken with = token(node, kind);
    claim(node, duty(number), with);
    under_test->make_older(number, 1h);
    return with;
  }
  void old_signature(Node& node, const Duty& signed_duty) {
    sign(node, signed_duty);
    under_test->make_older(signed_duty.key.slot.value(), 1h);
  }
};
INSTANTIATE_TEST_SUITE_P(Stores, Remove, testing::ValuesIn(kinds()), name_of);

TEST_P(Remove, abandoned_rows_are_the_fenced_ones_of_earlier_incarnations_of_the_node) {
  Node &a = node("node-a"), &b = node("node-b"), &unknown = stranger("node-x");
  claim(a, duty(1), token(a));
  claim(a, duty(9), token(unknown));  // looks fenced, and is of no registered incarnation
  claim(a, duty(2), token(a, TokenKind::kTakenOver));
  claim(a, duty(3), token(a, TokenKind::kHandedOut));
  sign(a, duty(4));
  claim(b, duty(5), token(b));
  claim(b, duty(8), token(a));  // a token of another node's, which no node of ours would write
  TableRow twin = foreign_row(duty(6));
  twin.node_id = "node-a";
  under_test->put(twin);
  EXPECT_EQ(remove(request(Removal::kAbandoned)).removed, 0U);
  kill(a);
  Node& restarted = node("node-a");
  claim(restarted, duty(7), token(restarted));
  EXPECT_EQ(preview(request(Removal::kAbandoned)), 1U);
  EXPECT_EQ(remove(request(Removal::kAbandoned)).removed, 1U);
  EXPECT_EQ(slots_left(), (std::set<std::uint64_t>{2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(look(duty(1)).watermarks, Watermarks{}) << "nothing of it was signed";
}

TEST_P(Remove, stuck_rows_are_the_old_fenced_ones_of_the_node) {
  Node &a = node("node-a"), &b = node("node-b"), &unknown = stranger("node-x");
  old_claim(a, 1);
  kill(a);
  Node& restarted = node("node-a");
  old_claim(restarted, 2);
  claim(restarted, duty(3), token(restarted));
  old_claim(restarted, 4, TokenKind::kTakenOver);
  old_claim(restarted, 5, TokenKind::kHandedOut);
  old_claim(b, 6);
  claim(b, duty(9), token(restarted));
  under_test->make_older(9, 1h);
  claim(restarted, duty(10), token(unknown));
  under_test->make_older(10, 1h);
  old_signature(restarted, duty(7));
  TableRow twin = foreign_row(duty(8));
  twin.node_id = "node-a";
  under_test->put(twin);
  under_test->make_older(8, 1h);
  EXPECT_EQ(preview(request(Removal::kStuck, 30min)), 2U);
  EXPECT_EQ(remove(request(Removal::kStuck, 30min)).removed, 2U);
  EXPECT_EQ(slots_left(), (std::set<std::uint64_t>{3, 4, 5, 6, 7, 8, 9, 10}));
}

TEST_P(Remove, the_record_of_a_removed_row_matches_nothing) {
  Node& a = node("node-a");
  const LockToken mine = old_claim(a, 1);
  EXPECT_EQ(remove(request(Removal::kStuck, 30min)).removed, 1U);
  EXPECT_EQ(record(a, duty(1), mine), RowOutcome::kNotMatched);
}

TEST_P(Remove, retention_takes_old_signed_rows_and_leaves_a_watermark) {
  Node& a = node("node-a");
  for (std::uint64_t number : {3, 9, 6}) old_signature(a, duty(number));
  sign(a, duty(12));
  EXPECT_EQ(preview(request(Removal::kOld, 30min)), 3U);
  const RemovalOutcome outcome = remove(request(Removal::kOld, 30min));
  EXPECT_EQ(outcome.removed, 3U);
  EXPECT_FALSE(outcome.refused_for_foreign_nodes);
  EXPECT_EQ(slots_left(), (std::set<std::uint64_t>{12}));

  const LockToken again = token(a);
  const DutyView view = claim(a, duty(9, 0x22), again).view;
  EXPECT_EQ(view.watermarks.low, slot(9));
  EXPECT_EQ(record(a, duty(9, 0x22), again), RowOutcome::kNotMatched) << "the slot can be signed with other data";
  sign(a, duty(10));
  const auto marks = answer(observer().history->watermarks(soon()));
  ASSERT_EQ(marks.size(), 1U);
  EXPECT_EQ(marks[0].rollup, address(0xaa).to_string());
  EXPECT_EQ(marks[0].validator, address(0xab).to_string());
  EXPECT_EQ(marks[0].duty_type, "ATTESTATION");
}

TEST_P(Remove, retention_takes_old_signing_rows_only_with_a_fence) {
  Node &a = node("node-a"), &unknown = stranger("node-x");
  old_claim(a, 1);
  old_claim(a, 2, TokenKind::kTakenOver);
  old_claim(a, 3, TokenKind::kHandedOut);
  under_test->put(foreign_row(duty(4)));
  under_test->make_older(4, 72h);
  claim(a, duty(5), token(unknown));
  under_test->make_older(5, 72h);
  EXPECT_EQ(remove(request(Removal::kOld, 30min)).removed, 1U);
  EXPECT_EQ(slots_left(), (std::set<std::uint64_t>{2, 3, 4, 5}));
  EXPECT_EQ(look(duty(1)).watermarks, Watermarks{});
}

TEST_P(Remove, retention_is_refused_while_rows_of_foreign_nodes_are_recent) {
  Node& a = node("node-a");
  old_signature(a, duty(1));
  EXPECT_EQ(remove(request(Removal::kOld, 2h)).removed, 0U);
  under_test->put(foreign_row(duty(2), DutyStatus::kSigned));
  for (const Removal what : {Removal::kOld, Removal::kExpired, Removal::kOtherRollups}) {
    const RemovalOutcome outcome = remove(request(what, 30min));
    EXPECT_TRUE(outcome.refused_for_foreign_nodes);
    EXPECT_EQ(outcome.removed, 0U);
  }
  EXPECT_FALSE(remove(request(Removal::kStuck)).refused_for_foreign_nodes) << "takes nothing that was signed";
  under_test->make_older(2, 72h);
  EXPECT_EQ(remove(request(Removal::kOld, 30min)).removed, 2U);
}

/// SQLite gives it the number of the deleted row, up to which all rows had been looked at.
TEST_P(Remove, a_foreign_row_in_the_place_of_one_that_was_looked_at_and_deleted_is_seen) {
  Node& a = node("node-a");
  old_signature(a, duty(1));
  ASSERT_EQ(remove(request(Removal::kOld, 30min)).removed, 1U);
  under_test->put(foreign_row(duty(2), DutyStatus::kSigned));
  old_signature(a, duty(3));
  const RemovalOutcome outcome = remove(request(Removal::kOld, 30min));
  EXPECT_TRUE(outcome.refused_for_foreign_nodes);
  EXPECT_EQ(outcome.removed, 0U);
}

TEST_P(Remove, a_foreign_node_under_a_registered_node_id_is_foreign_all_the_same) {
  Node& a = node("node-a");
  old_signature(a, duty(1));
  TableRow twin = foreign_row(duty(2));
  twin.node_id = "node-a";
  under_test->put(twin);
  EXPECT_TRUE(remove(request(Removal::kOld, 30min)).refused_for_foreign_nodes);
}

TEST_P(Remove, rows_of_an_earlier_incarnation_are_not_foreign) {
  Node& a = node("node-a");
  old_signature(a, duty(1));
  kill(a);
  node("node-a");
  EXPECT_EQ(remove(request(Removal::kOld, 30min)).removed, 1U);
}

TEST_P(Remove, expired_rows_are_the_signed_ones_whose_time_has_passed) {
  Node& a = node("node-a");
  sign(a, duty(1));
  sign(a, duty(2));
  claim(a, duty(3), token(a));
  if (!under_test->expire(1) || !under_test->expire(3)) {
    EXPECT_EQ(preview(request(Removal::kExpired)), 0U);
    EXPECT_EQ(remove(request(Removal::kExpired)).removed, 0U);
    return;
  }
  EXPECT_EQ(preview(request(Removal::kExpired)), 1U);
  EXPECT_EQ(remove(request(Removal::kExpired)).removed, 1U);
  EXPECT_EQ(slots_left(), (std::set<std::uint64_t>{2, 3}));
  EXPECT_EQ(look(duty(1)).watermarks.low, slot(1));
}

TEST_P(Remove, other_rollups_are_removed_and_leave_watermarks_of_their_own) {
  Node& a = node("node-a");
  const auto of_rollup = [](std::uint64_t number, std::uint8_t rollup) {
    Duty other = duty(number);
    other.key.rollup = address(rollup);
    return other;
  };
  old_signature(a, of_rollup(1, 0x10));
  old_signature(a, of_rollup(2, 0xee));
  sign(a, of_rollup(3, 0xee));
  old_claim(a, 4);
  old_signature(a, duty(5));
  TableRow own_in_upper_case = foreign_row(duty(6), DutyStatus::kSigned);
  own_in_upper_case.rollup = "0x" + upper(own_in_upper_case.rollup.substr(2));
  under_test->put(own_in_upper_case);
  under_test->make_older(6, 72h);
  EXPECT_EQ(preview(request(Removal::kOtherRollups, 30min)), 2U);
  EXPECT_EQ(remove(request(Removal::kOtherRollups, 30min)).removed, 2U);
  EXPECT_EQ(slots_left(), (std::set<std::uint64_t>{3, 4, 5, 6}));
  EXPECT_EQ(look(of_rollup(2, 0xee)).watermarks.low, slot(2));
  EXPECT_EQ(look(duty(5)).watermarks, Watermarks{});
}

TEST_P(Remove, takes_no_more_than_the_limit_at_once) {
  Node& a = node("node-a");
  for (std::uint64_t number = 1; number <= 5; ++number) old_signature(a, duty(number));
  EXPECT_EQ(remove(request(Removal::kOld, 30min, 2)).removed, 2U);
  EXPECT_EQ(remove(request(Removal::kOld, 30min, 2)).removed, 2U);
  EXPECT_EQ(remove(request(Removal::kOld, 30min, 2)).removed, 1U);
  EXPECT_EQ(remove(request(Removal::kOld, 30min, 2)).removed, 0U);
}

TEST_P(Remove, any_deletion_of_a_signed_row_raises_the_low_watermark_and_never_lowers_it) {
  Node& a = node("node-a");
  sign(a, duty(5));
  sign(a, duty(9));
  claim(a, duty(11), token(a));
  under_test->erase(11);
  EXPECT_EQ(look(duty(5)).watermarks, Watermarks{});
  under_test->erase(9);
  EXPECT_EQ(look(duty(5)).watermarks.low, slot(9));
  under_test->erase(5);
  EXPECT_EQ(look(duty(5)).watermarks.low, slot(9));
}

TEST_P(Remove, deleting_a_signed_row_in_another_letter_case_raises_the_same_watermark) {
  TableRow in_upper_case = foreign_row(duty(5), DutyStatus::kSigned);
  in_upper_case.rollup = "0x" + upper(in_upper_case.rollup.substr(2));
  in_upper_case.validator = "0x" + upper(in_upper_case.validator.substr(2));
  under_test->put(in_upper_case);
  under_test->erase(5);
  EXPECT_EQ(look(duty(5)).watermarks.low, slot(5));
}

TEST_P(Remove, a_deletion_keeps_the_high_watermark) {
  Node& a = node("node-a");
  sign(a, duty(5));
  set_watermarks(duty(5), {.low = {}, .high = slot(100)});
  under_test->erase(5);
  EXPECT_EQ(look(duty(5)).watermarks, (Watermarks{.low = slot(5), .high = slot(100)}));
}

}  // namespace
}  // namespace hasigner::contract
