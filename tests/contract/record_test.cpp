#include "tests/contract/contract.hpp"

namespace hasigner::contract {
namespace {

class Record : public Contract {};
INSTANTIATE_TEST_SUITE_P(Stores, Record, testing::ValuesIn(kinds()), name_of);

TEST_P(Record, turns_the_row_signed_and_keeps_the_signature) {
  Node& a = node();
  sign(a, duty(5));
  const DutyView view = look(duty(5));
  ASSERT_TRUE(view.row);
  EXPECT_EQ(view.row->status, DutyStatus::kSigned);
  EXPECT_EQ(view.row->signature, signature());
  const auto all = rows();
  EXPECT_EQ(all.at(0).signature, signature().to_string());
  EXPECT_GE(all.at(0).completed_at, all.at(0).started_at);
}

TEST_P(Record, needs_the_token) {
  Node& a = node();
  claim(a, duty(5), token(a));
  EXPECT_EQ(record(a, duty(5), token(a)), RowOutcome::kNotMatched);
  EXPECT_EQ(record(a, duty(5), LockToken("")), RowOutcome::kNotMatched);
  EXPECT_EQ(look(duty(5)).row->status, DutyStatus::kSigning);
}

TEST_P(Record, needs_the_hash_where_one_is_given) {
  Node& a = node();
  const LockToken mine = token(a);
  claim(a, duty(5, 0x11), mine);
  EXPECT_EQ(record(a, duty(5, 0x22), mine), RowOutcome::kNotMatched);
  EXPECT_EQ(record_all(a, {{duty(5).key, mine, std::nullopt, signature()}}).at(0), RowOutcome::kApplied);
}

TEST_P(Record, needs_a_row) {
  Node& a = node();
  EXPECT_EQ(record(a, duty(5), token(a)), RowOutcome::kNotMatched);
  EXPECT_TRUE(rows().empty());
}

TEST_P(Record, needs_a_slot_above_the_low_watermark) {
  Node& a = node();
  const LockToken at = token(a), above = token(a);
  claim(a, duty(5), at);
  claim(a, duty(6), above);
  set_watermarks(duty(5), {.low = slot(5), .high = {}});
  EXPECT_EQ(record(a, duty(5), at), RowOutcome::kNotMatched);
  EXPECT_EQ(record(a, duty(6), above), RowOutcome::kApplied);
}

TEST_P(Record, needs_a_slot_within_the_watermarks_of_every_validator_too) {
  Node& a = node();
  const std::vector<std::uint64_t> slots = {5, 6, 8, 9};
  std::vector<LockToken> tokens;
  for (const auto number : slots) {
    tokens.push_back(token(a));
    claim(a, duty(number), tokens.back());
  }
  set_watermarks(duty(5), {.low = slot(3), .high = slot(20)});
  change_watermarks(duty(5).key.rollup, {{std::nullopt, DutyType::kAttestation}}, {.low = slot(5), .high = slot(8)});
  EXPECT_EQ(record(a, duty(5), tokens[0]), RowOutcome::kNotMatched);
  EXPECT_EQ(record(a, duty(6), tokens[1]), RowOutcome::kApplied);
  EXPECT_EQ(record(a, duty(8), tokens[2]), RowOutcome::kApplied);
  EXPECT_EQ(record(a, duty(9), tokens[3]), RowOutcome::kNotMatched);
}

TEST_P(Record, needs_a_slot_not_above_the_high_watermark) {
  Node& a = node();
  const LockToken at = token(a), above = token(a);
  claim(a, duty(5), at);
  claim(a, duty(6), above);
  set_watermarks(duty(5), {.low = {}, .high = slot(5)});
  EXPECT_EQ(record(a, duty(5), at), RowOutcome::kApplied);
  EXPECT_EQ(record(a, duty(6), above), RowOutcome::kNotMatched);
}

TEST_P(Record, repeated_is_confirmed_again_and_changes_nothing) {
  Node& a = node();
  const LockToken mine = sign(a, duty(5));
  const auto before = rows().at(0);
  EXPECT_EQ(record(a, duty(5), mine), RowOutcome::kApplied);
  EXPECT_EQ(rows().at(0).completed_at, before.completed_at);
  EXPECT_EQ(rows().at(0).signature, before.signature);
}

TEST_P(Record, of_another_signature_for_a_signed_duty_is_refused) {
  Node& a = node();
  const LockToken mine = sign(a, duty(5));
  EXPECT_EQ(record(a, duty(5), mine, 0x77), RowOutcome::kNotMatched);
  EXPECT_EQ(look(duty(5)).row->signature, signature());
}

TEST_P(Record, of_a_released_duty_is_refused) {
  Node& a = node();
  const LockToken mine = token(a);
  claim(a, duty(5), mine);
  EXPECT_TRUE(release(a, duty(5), mine));
  EXPECT_EQ(record(a, duty(5), mine), RowOutcome::kNotMatched);
}

TEST_P(Record, of_a_duty_that_was_deleted_and_claimed_by_another_is_refused) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken mine = token(a), other = token(b);
  claim(a, duty(5), mine);
  under_test->erase(5);
  claim(b, duty(5, 0x22), other);
  EXPECT_EQ(record(a, duty(5), mine), RowOutcome::kNotMatched);
  EXPECT_EQ(record(b, duty(5, 0x22), other), RowOutcome::kApplied);
}

TEST_P(Record, outcomes_are_in_the_order_of_the_requests) {
  Node& a = node();
  const LockToken nine = token(a), three = token(a), seven = token(a);
  claim_all(a, {{duty(9), nine}, {duty(3), three}, {duty(7), seven}});
  const auto outcomes = record_all(a, {{duty(9).key, nine, hash(0x11), signature()},
                                       {duty(3).key, nine, hash(0x11), signature()},
                                       {duty(8).key, nine, hash(0x11), signature()},
                                       {duty(7).key, seven, hash(0x11), signature()}});
  EXPECT_EQ(outcomes, (std::vector{RowOutcome::kApplied, RowOutcome::kNotMatched, RowOutcome::kNotMatched,
                                   RowOutcome::kApplied}));
}

TEST_P(Record, two_equal_records_in_a_batch_are_both_confirmed) {
  Node& a = node();
  const LockToken mine = token(a);
  claim(a, duty(5), mine);
  const DutyRecord one{duty(5).key, mine, hash(0x11), signature()};
  EXPECT_EQ(record_all(a, {one, one}), (std::vector{RowOutcome::kApplied, RowOutcome::kApplied}));
}

class ConfirmStored : public Contract {
 protected:
  static StoredSignature stored(const Duty& duty, std::uint8_t signature_byte = 0x5a) {
    return {duty.key, duty.message_hash, signature(signature_byte)};
  }
  std::vector<bool> confirm_stored(Node& node, std::vector<StoredSignature> signatures) {
    return answer(node.connection.store->confirm_stored(node.id, std::move(signatures), soon()));
  }
};
INSTANTIATE_TEST_SUITE_P(Stores, ConfirmStored, testing::ValuesIn(kinds()), name_of);

TEST_P(ConfirmStored, confirms_what_is_signed_with_this_hash_and_signature_and_nothing_else) {
  Node &a = node("node-a"), &b = node("node-b");
  sign(a, duty(5));
  sign(a, duty(6));
  claim(a, duty(7), token(a));
  EXPECT_EQ(confirm_stored(b, {stored(duty(5)), stored(duty(5, 0x22)), stored(duty(5), 0x77), stored(duty(7)),
                               stored(duty(8)), stored(duty(6)), stored(duty(5))}),
            (std::vector{true, false, false, false, false, true, true}));
}

TEST_P(ConfirmStored, confirms_nothing_outside_the_watermarks_of_every_validator) {
  Node& a = node();
  sign(a, duty(5));
  sign(a, duty(6));
  change_watermarks(duty(5).key.rollup, {{std::nullopt, DutyType::kAttestation}}, {.low = slot(5), .high = {}});
  EXPECT_EQ(confirm_stored(a, {stored(duty(5)), stored(duty(6))}), (std::vector<bool>{false, true}));
}

TEST_P(ConfirmStored, confirms_no_signature_in_a_row_that_is_not_signed) {
  Node& b = node("node-b");
  TableRow row = foreign_row(duty(5));
  row.signature = signature().to_string();
  under_test->put(row);
  EXPECT_EQ(confirm_stored(b, {stored(duty(5))}), std::vector{false});
}

TEST_P(ConfirmStored, finds_what_was_read_gone_when_it_is_gone) {
  Node &a = node("node-a"), &b = node("node-b");
  sign(a, duty(5));
  ASSERT_EQ(look(duty(5)).row->signature, signature());
  under_test->erase(5);
  EXPECT_EQ(confirm_stored(b, {stored(duty(5))}), std::vector{false});
}

TEST_P(ConfirmStored, needs_a_slot_within_the_watermarks) {
  Node &a = node("node-a"), &b = node("node-b");
  for (std::uint64_t number = 5; number <= 7; ++number) sign(a, duty(number));
  set_watermarks(duty(5), {.low = slot(5), .high = slot(6)});
  EXPECT_EQ(confirm_stored(b, {stored(duty(5)), stored(duty(6)), stored(duty(7))}), (std::vector{false, true, false}));
}

TEST_P(ConfirmStored, knows_what_a_published_node_wrote_in_upper_case) {
  Node& b = node("node-b");
  TableRow row = foreign_row(duty(5, 0xcd), DutyStatus::kSigned);
  row.message_hash = "0x" + upper(row.message_hash.substr(2));
  row.signature = "0x" + upper(row.signature->substr(2));
  under_test->put(row);
  EXPECT_EQ(confirm_stored(b, {stored(duty(5, 0xcd))}), std::vector{true});
}

TEST_P(ConfirmStored, confirms_nothing_for_a_node_that_is_not_registered) {
  Node &a = node("node-a"), &unregistered = stranger("node-b");
  sign(a, duty(5));
  const auto reply = run(unregistered.connection.store->confirm_stored(unregistered.id, {stored(duty(5))}, soon()));
  EXPECT_TRUE(!reply || *reply == std::vector{false});
}

class Release : public Contract {};
INSTANTIATE_TEST_SUITE_P(Stores, Release, testing::ValuesIn(kinds()), name_of);

TEST_P(Release, deletes_the_signing_row_that_carries_the_token_and_no_other) {
  Node& a = node();
  const LockToken mine = token(a);
  claim(a, duty(5), mine);
  EXPECT_FALSE(release(a, duty(5), token(a)));
  EXPECT_FALSE(release(a, duty(6), mine));
  EXPECT_TRUE(release(a, duty(5), mine));
  EXPECT_FALSE(release(a, duty(5), mine));
  EXPECT_TRUE(rows().empty());
}

TEST_P(Release, never_deletes_a_signed_row) {
  Node& a = node();
  const LockToken mine = sign(a, duty(5));
  EXPECT_FALSE(release(a, duty(5), mine));
  EXPECT_EQ(look(duty(5)).row->status, DutyStatus::kSigned);
}

TEST_P(Release, leaves_no_watermark_and_lets_another_attempt_claim) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken mine = token(a);
  claim(a, duty(5), mine);
  EXPECT_TRUE(release(a, duty(5), mine));
  const LockToken other = token(b);
  const DutyView view = claim(b, duty(5, 0x22), other).view;
  EXPECT_EQ(view.watermarks, Watermarks{});
  EXPECT_EQ(record(b, duty(5, 0x22), other), RowOutcome::kApplied);
}

TEST_P(Release, says_that_nothing_is_left_to_come) {
  Node& a = node();
  const LockToken mine = token(a);
  claim(a, duty(5), mine);
  EXPECT_TRUE(answer(a.connection.store->release({{duty(5).key, mine}}, soon())).settled);
}

TEST_P(Release, outcomes_are_in_the_order_of_the_requests) {
  Node& a = node();
  const LockToken nine = token(a), three = token(a);
  claim_all(a, {{duty(9), nine}, {duty(3), three}});
  const auto reply =
      answer(a.connection.store->release({{duty(9).key, nine}, {duty(5).key, nine}, {duty(3).key, three}}, soon()));
  EXPECT_EQ(reply.outcomes, (std::vector{RowOutcome::kApplied, RowOutcome::kNotMatched, RowOutcome::kApplied}));
}

class TakeOver : public Contract {};
INSTANTIATE_TEST_SUITE_P(Stores, TakeOver, testing::ValuesIn(kinds()), name_of);

TEST_P(TakeOver, take_over_needs_the_same_data_and_the_token_that_was_seen) {
  Node& b = node("node-b");
  under_test->put(foreign_row(duty(5)));
  const LockToken seen(std::string(32, 'f')), mine = token(b, TokenKind::kTakenOver);
  EXPECT_EQ(take_over(b, TakeoverKind::kSameData, duty(5, 0x22), seen, mine), RowOutcome::kNotMatched);
  EXPECT_EQ(take_over(b, TakeoverKind::kSameData, duty(5), LockToken("another"), mine), RowOutcome::kNotMatched);
  EXPECT_EQ(take_over(b, TakeoverKind::kSameData, duty(6), seen, mine), RowOutcome::kNotMatched);
  EXPECT_EQ(take_over(b, TakeoverKind::kSameData, duty(5), seen, mine), RowOutcome::kApplied);
  const DutyView view = look(duty(5));
  EXPECT_EQ(view.row->lock_token, mine);
  EXPECT_EQ(view.row->node_id, "node-b");
  EXPECT_EQ(record(b, duty(5), mine), RowOutcome::kApplied);
}

TEST_P(TakeOver, take_over_does_not_ask_whether_the_holder_lives) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken held = token(a), mine = token(b, TokenKind::kTakenOver);
  claim(a, duty(5), held);
  EXPECT_EQ(take_over(b, TakeoverKind::kSameData, duty(5), held, mine), RowOutcome::kApplied);
  EXPECT_EQ(record(a, duty(5), held), RowOutcome::kNotMatched);
  EXPECT_FALSE(release(a, duty(5), held));
}

TEST_P(TakeOver, repeated_with_its_token_recognises_its_success) {
  Node& b = node("node-b");
  under_test->put(foreign_row(duty(5)));
  const LockToken seen(std::string(32, 'f')), mine = token(b, TokenKind::kTakenOver);
  EXPECT_EQ(take_over(b, TakeoverKind::kSameData, duty(5), seen, mine), RowOutcome::kApplied);
  EXPECT_EQ(take_over(b, TakeoverKind::kSameData, duty(5), seen, mine), RowOutcome::kApplied);
  EXPECT_EQ(take_over(b, TakeoverKind::kSameData, duty(5), seen, token(b)), RowOutcome::kNotMatched);
}

TEST_P(TakeOver, counts_the_age_from_the_take_over) {
  Node& b = node("node-b");
  under_test->put(foreign_row(duty(5)));
  under_test->make_older(5, 1h);
  EXPECT_EQ(
      take_over(b, TakeoverKind::kSameData, duty(5), LockToken(std::string(32, 'f')), token(b, TokenKind::kTakenOver)),
      RowOutcome::kApplied);
  const auto started_at = parse_utc_text(rows().at(0).started_at);
  ASSERT_TRUE(started_at);
  EXPECT_LT(std::chrono::abs(under_test->utc_now() - *started_at), 10s);
}

TEST_P(TakeOver, replaces_the_data_of_a_holder_that_has_expired) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken held = token(a), mine = token(b);
  claim(a, duty(5), held);
  kill(a);
  Duty other = duty(5, 0x22);
  other.block_number = BlockNumber::from(901).value();
  EXPECT_EQ(take_over(b, TakeoverKind::kReplace, other, held, mine), RowOutcome::kApplied);
  EXPECT_EQ(take_over(b, TakeoverKind::kReplace, other, held, mine), RowOutcome::kApplied);
  const auto row = rows().at(0);
  EXPECT_EQ(row.message_hash, hash(0x22).to_string());
  EXPECT_EQ(row.block_number, "901");
  EXPECT_EQ(row.node_id, "node-b");
  EXPECT_EQ(record(b, other, mine), RowOutcome::kApplied);
}

TEST_P(TakeOver, replaces_the_row_of_an_earlier_incarnation) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken held = token(a);
  claim(a, duty(5), held);
  kill(a);
  Node& restarted = node("node-a");
  EXPECT_EQ(take_over(b, TakeoverKind::kReplace, duty(5, 0x22), held, token(b)), RowOutcome::kApplied);
  EXPECT_EQ(record(restarted, duty(5), held), RowOutcome::kNotMatched);
}

TEST_P(TakeOver, never_replaces_the_row_of_a_holder_that_lives) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken held = token(a);
  claim(a, duty(5), held);
  EXPECT_EQ(take_over(b, TakeoverKind::kReplace, duty(5, 0x22), held, token(b)), RowOutcome::kNotMatched);
  EXPECT_EQ(record(a, duty(5), held), RowOutcome::kApplied);
}

TEST_P(TakeOver, never_replaces_the_row_of_a_holder_without_a_fence) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken taken_over = token(a, TokenKind::kTakenOver), handed_out = token(a, TokenKind::kHandedOut);
  claim(a, duty(5), taken_over);
  claim(a, duty(6), handed_out);
  under_test->put(foreign_row(duty(7)));
  kill(a);
  EXPECT_EQ(take_over(b, TakeoverKind::kReplace, duty(5, 0x22), taken_over, token(b)), RowOutcome::kNotMatched);
  EXPECT_EQ(take_over(b, TakeoverKind::kReplace, duty(6, 0x22), handed_out, token(b)), RowOutcome::kNotMatched);
  EXPECT_EQ(take_over(b, TakeoverKind::kReplace, duty(7, 0x22), LockToken(std::string(32, 'f')), token(b)),
            RowOutcome::kNotMatched);
}

TEST_P(TakeOver, replacing_needs_the_token_that_was_seen) {
  Node &a = node("node-a"), &b = node("node-b");
  claim(a, duty(5), token(a));
  kill(a);
  EXPECT_EQ(take_over(b, TakeoverKind::kReplace, duty(5, 0x22), token(a), token(b)), RowOutcome::kNotMatched);
}

TEST_P(TakeOver, never_touches_a_signed_row) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken held = sign(a, duty(5));
  kill(a);
  EXPECT_EQ(take_over(b, TakeoverKind::kSameData, duty(5), held, token(b, TokenKind::kTakenOver)),
            RowOutcome::kNotMatched);
  EXPECT_EQ(take_over(b, TakeoverKind::kReplace, duty(5, 0x22), held, token(b)), RowOutcome::kNotMatched);
  EXPECT_EQ(look(duty(5)).row->lock_token, held);
}

TEST_P(TakeOver, outcomes_of_both_kinds_are_in_the_order_of_the_requests) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken nine = token(a), three = token(a);
  claim_all(a, {{duty(9), nine}, {duty(3), three}});
  kill(a);
  const auto reply =
      answer(b.connection.store->take_over(b.id,
                                           {{TakeoverKind::kReplace, duty(9, 0x22), nine, token(b)},
                                            {TakeoverKind::kSameData, duty(3, 0x22), three, token(b)},
                                            {TakeoverKind::kSameData, duty(3), three, token(b, TokenKind::kTakenOver)}},
                                           soon()));
  EXPECT_EQ(reply, (std::vector{RowOutcome::kApplied, RowOutcome::kNotMatched, RowOutcome::kApplied}));
}

}  // namespace
}  // namespace hasigner::contract
