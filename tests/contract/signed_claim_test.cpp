#include "tests/contract/contract.hpp"

namespace hasigner::contract {
namespace {

class SignedClaims : public Contract {
 protected:
  SignedClaims() {
    // PostgreSQL finds out with its first answer what the database can do.
    look(duty(1));
    EXPECT_TRUE(observer().store->capabilities().signed_claims);
  }

  SignedClaimOutcome claim_signed(Node& node, const Duty& duty, const LockToken& with,
                                  std::uint8_t signature_byte = 0x5a) {
    return claim_signed_all(node, {{duty, with, signature(signature_byte)}}).at(0);
  }
  std::vector<SignedClaimOutcome> claim_signed_all(Node& node, std::vector<SignedClaim> claims) {
    return answer(node.connection.store->claim_signed(node.id, std::move(claims), soon()));
  }
  std::vector<WatermarkEntry> watermarks() { return answer(observer().history->watermarks(soon())); }

  /// Nothing of the claim is left: no row beyond those of before, no watermark that it raised; and the next node
  /// may have the duty.
  void expect_no_trace(const Duty& of, std::size_t rows_before) {
    EXPECT_EQ(rows().size(), rows_before);
    EXPECT_FALSE(look(of).row);
    EXPECT_TRUE(watermarks().empty());
    Node& next = node("next");
    EXPECT_EQ(claim_signed(next, of, token(next)).outcome, RowOutcome::kApplied);
  }
};
INSTANTIATE_TEST_SUITE_P(Stores, SignedClaims, testing::ValuesIn(kinds()), name_of);

TEST_P(SignedClaims, of_a_free_duty_writes_its_row_signed) {
  Node& a = node();
  const LockToken mine = token(a);
  EXPECT_EQ(claim_signed(a, duty(5), mine).outcome, RowOutcome::kApplied);
  const DutyView view = look(duty(5));
  ASSERT_TRUE(view.row);
  EXPECT_EQ(view.row->status, DutyStatus::kSigned);
  EXPECT_EQ(view.row->message_hash, duty(5).message_hash);
  EXPECT_EQ(view.row->signature, signature());
  EXPECT_EQ(view.row->node_id, "node-a");
  EXPECT_EQ(view.row->lock_token, mine);
  EXPECT_TRUE(watermarks().empty());
}

TEST_P(SignedClaims, writes_every_column_as_a_claim_and_its_record_do) {
  Node& a = node();
  const Duty one = duty(5, 0x11, DutyType::kBlockProposal), other = duty(6, 0x11, DutyType::kBlockProposal);
  const LockToken mine = token(a), in_two_steps = token(a);
  claim_signed(a, one, mine);
  claim(a, other, in_two_steps);
  record(a, other, in_two_steps);
  const auto all = rows();
  ASSERT_EQ(all.size(), 2U);
  const auto& row = all[0].slot == "5" ? all[0] : all[1];
  const auto& expected = all[0].slot == "5" ? all[1] : all[0];
  for (const auto field :
       {&DutyEntry::rollup, &DutyEntry::validator, &DutyEntry::block_number, &DutyEntry::checkpoint_number,
        &DutyEntry::block_index, &DutyEntry::duty_type, &DutyEntry::status, &DutyEntry::message_hash,
        &DutyEntry::signature, &DutyEntry::node_id, &DutyEntry::expires_at}) {
    EXPECT_EQ(row.*field, expected.*field);
  }
  EXPECT_EQ(row.lock_token, mine.str());
  const auto started_at = parse_utc_text(row.started_at), completed_at = parse_utc_text(row.completed_at);
  ASSERT_TRUE(started_at && completed_at);
  EXPECT_LT(std::chrono::abs(under_test->utc_now() - *started_at), 10s) << "times are UTC";
  EXPECT_GE(*completed_at, *started_at);
}

TEST_P(SignedClaims, repeated_is_applied_again_and_changes_nothing) {
  Node& a = node();
  const LockToken mine = token(a);
  claim_signed(a, duty(5), mine);
  const DutyEntry before = rows().at(0);
  EXPECT_EQ(claim_signed(a, duty(5), mine).outcome, RowOutcome::kApplied);
  EXPECT_EQ(rows(), std::vector{before});
}

TEST_P(SignedClaims, recognises_what_was_claimed_and_recorded_with_the_same_token_and_signature) {
  Node& a = node();
  const LockToken mine = sign(a, duty(5));
  EXPECT_EQ(claim_signed(a, duty(5), mine).outcome, RowOutcome::kApplied);
}

TEST_P(SignedClaims, with_another_signature_hash_or_token_is_not_a_repetition) {
  Node& a = node();
  const LockToken mine = token(a);
  claim_signed(a, duty(5), mine);
  for (const auto& outcome : {claim_signed(a, duty(5), mine, 0x77), claim_signed(a, duty(5, 0x22), mine),
                              claim_signed(a, duty(5), token(a))}) {
    EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
    ASSERT_TRUE(outcome.view.row);
    EXPECT_EQ(outcome.view.row->status, DutyStatus::kSigned);
    EXPECT_EQ(outcome.view.row->lock_token, mine);
    EXPECT_EQ(outcome.view.row->message_hash, duty(5).message_hash);
    EXPECT_EQ(outcome.view.row->signature, signature());
  }
  EXPECT_EQ(rows().size(), 1U);
}

TEST_P(SignedClaims, of_a_duty_that_another_signs_shows_the_holder_and_changes_nothing) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken held = token(a);
  claim(a, duty(5), held);
  const auto outcome = claim_signed(b, duty(5), token(b));
  EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(outcome.view.row);
  EXPECT_EQ(outcome.view.row->status, DutyStatus::kSigning);
  EXPECT_EQ(outcome.view.row->lock_token, held);
  EXPECT_EQ(outcome.view.row->holder, HolderState::kAlive);
  EXPECT_EQ(record(a, duty(5), held), RowOutcome::kApplied);
  EXPECT_EQ(rows().size(), 1U);
}

TEST_P(SignedClaims, shows_that_a_holder_has_expired) {
  Node &a = node("node-a"), &b = node("node-b");
  claim(a, duty(5), token(a));
  kill(a);
  const auto outcome = claim_signed(b, duty(5), token(b));
  EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(outcome.view.row);
  EXPECT_EQ(outcome.view.row->holder, HolderState::kExpired);
}

TEST_P(SignedClaims, shows_that_the_row_of_an_earlier_incarnation_has_expired) {
  Node &a = node("node-a"), &b = node("node-b");
  claim(a, duty(5), token(a));
  kill(a);
  node("node-a");
  const auto outcome = claim_signed(b, duty(5), token(b));
  ASSERT_TRUE(outcome.view.row);
  EXPECT_EQ(outcome.view.row->holder, HolderState::kExpired);
}

TEST_P(SignedClaims, shows_that_a_row_has_no_fence) {
  Node &a = node("node-a"), &b = node("node-b");
  claim(a, duty(5), token(a, TokenKind::kHandedOut));
  claim(a, duty(6), token(a, TokenKind::kTakenOver));
  under_test->put(foreign_row(duty(7)));
  kill(a);
  for (const std::uint64_t number : {5, 6, 7}) {
    const auto outcome = claim_signed(b, duty(number), token(b));
    EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched) << number;
    ASSERT_TRUE(outcome.view.row) << number;
    EXPECT_EQ(outcome.view.row->holder, HolderState::kUnfenced) << number;
  }
}

TEST_P(SignedClaims, of_a_duty_that_another_has_signed_shows_what_and_the_signature) {
  Node &a = node("node-a"), &b = node("node-b");
  claim_signed(a, duty(5), token(a));
  const auto outcome = claim_signed(b, duty(5, 0x22), token(b), 0x77);
  EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(outcome.view.row);
  EXPECT_EQ(outcome.view.row->status, DutyStatus::kSigned);
  EXPECT_EQ(outcome.view.row->message_hash, duty(5).message_hash);
  EXPECT_EQ(outcome.view.row->signature, signature());
  EXPECT_EQ(outcome.view.row->node_id, "node-a");
}

TEST_P(SignedClaims, of_a_duty_that_is_claimed_under_the_same_token_leaves_it_to_the_record) {
  Node& a = node();
  const LockToken mine = token(a);
  claim(a, duty(5), mine);
  const auto outcome = claim_signed(a, duty(5), mine);
  EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(outcome.view.row);
  EXPECT_EQ(outcome.view.row->status, DutyStatus::kSigning);
  EXPECT_EQ(outcome.view.row->lock_token, mine);
  EXPECT_EQ(record(a, duty(5), mine), RowOutcome::kApplied);
}

TEST_P(SignedClaims, needs_a_slot_within_the_watermarks_and_leaves_no_trace_beyond_them) {
  Node& a = node();
  set_watermarks(duty(5), {.low = slot(5), .high = slot(7)});
  const auto before = watermarks();
  for (const std::uint64_t number : {4, 5, 8}) {
    const auto outcome = claim_signed(a, duty(number), token(a));
    EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched) << number;
    EXPECT_FALSE(outcome.view.row) << number;
    EXPECT_EQ(outcome.view.watermarks, (Watermarks{.low = slot(5), .high = slot(7)}));
  }
  EXPECT_TRUE(rows().empty());
  EXPECT_EQ(watermarks(), before);
  EXPECT_EQ(claim_signed(a, duty(6), token(a)).outcome, RowOutcome::kApplied);
  EXPECT_EQ(claim_signed(a, duty(7), token(a)).outcome, RowOutcome::kApplied);
  EXPECT_EQ(claim_signed(a, duty(5, 0x11, DutyType::kGovernanceVote), token(a)).outcome, RowOutcome::kApplied);
}

TEST_P(SignedClaims, need_a_slot_within_the_watermarks_of_every_validator_too) {
  Node& a = node();
  change_watermarks(duty(5).key.rollup, {{std::nullopt, DutyType::kAttestation}}, {.low = slot(5), .high = slot(7)});
  set_watermarks(duty(5), {.low = slot(6), .high = slot(9)});
  // The second validator has no watermarks of its own.
  for (const std::uint8_t validator : {0xab, 0xcd}) {
    const auto of = [validator](std::uint64_t number) { return duty(number, 0x11, DutyType::kAttestation, validator); };
    const Watermarks both{.low = slot(validator == 0xab ? 6 : 5), .high = slot(7)};
    for (const std::uint64_t number : {4, 5, 8}) {
      const auto outcome = claim_signed(a, of(number), token(a));
      EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched) << number;
      EXPECT_FALSE(outcome.view.row) << number;
      EXPECT_EQ(outcome.view.watermarks, both) << number;
    }
    EXPECT_EQ(claim_signed(a, of(7), token(a)).outcome, RowOutcome::kApplied);
  }
  EXPECT_EQ(rows().size(), 2U);
  EXPECT_EQ(claim_signed(a, duty(5, 0x11, DutyType::kGovernanceVote), token(a)).outcome, RowOutcome::kApplied);
}

TEST_P(SignedClaims, repeated_beyond_a_watermark_is_refused_and_leaves_the_row) {
  Node& a = node();
  const LockToken mine = token(a);
  claim_signed(a, duty(5), mine);
  set_watermarks(duty(5), {.low = slot(5), .high = {}});
  const auto outcome = claim_signed(a, duty(5), mine);
  EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(outcome.view.row);
  EXPECT_EQ(outcome.view.row->status, DutyStatus::kSigned);
  EXPECT_EQ(look(duty(5)).row->signature, signature());
}

TEST_P(SignedClaims, of_a_duty_whose_signed_row_was_deleted_is_refused) {
  Node& a = node();
  const LockToken mine = token(a);
  claim_signed(a, duty(5), mine);
  under_test->erase(5);
  EXPECT_EQ(claim_signed(a, duty(5), mine).outcome, RowOutcome::kNotMatched);
  const auto outcome = claim_signed(a, duty(5, 0x22), token(a));
  EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(outcome.view.watermarks.low, slot(5));
  EXPECT_TRUE(rows().empty());
}

TEST_P(SignedClaims, a_row_in_another_letter_case_refuses_signed_or_not) {
  Node& a = node();
  for (const DutyStatus status : {DutyStatus::kSigning, DutyStatus::kSigned}) {
    const std::uint64_t number = status == DutyStatus::kSigning ? 5 : 6;
    TableRow in_upper_case = foreign_row(duty(number, 0x22), status);
    in_upper_case.validator = "0x" + upper(in_upper_case.validator.substr(2));
    under_test->put(in_upper_case);
    const auto outcome = claim_signed(a, duty(number), token(a));
    EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
    EXPECT_FALSE(outcome.view.row);
    ASSERT_TRUE(outcome.view.alias);
    EXPECT_EQ(outcome.view.alias->status, status);
    EXPECT_EQ(outcome.view.alias->message_hash, hash(0x22));
    EXPECT_FALSE(look(duty(number)).row);
  }
  EXPECT_EQ(rows().size(), 2U);
  EXPECT_TRUE(watermarks().empty());
  EXPECT_EQ(claim_signed(a, duty(7), token(a)).outcome, RowOutcome::kApplied);
  EXPECT_EQ(claim_signed(a, duty(5, 0x11, DutyType::kGovernanceVote), token(a)).outcome, RowOutcome::kApplied);
}

TEST_P(SignedClaims, a_foreign_block_index_refuses_where_the_type_has_none) {
  Node& a = node();
  for (const std::int32_t index : {0, -7, 0x7fff'ffff}) {
    TableRow with_index = foreign_row(duty(5, 0x22), DutyStatus::kSigned);
    with_index.block_index = index;
    with_index.slot = index == 0 ? 5 : index < 0 ? 6 : 7;
    under_test->put(with_index);
    const Duty same = duty(static_cast<std::uint64_t>(with_index.slot));
    const auto outcome = claim_signed(a, same, token(a));
    EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched) << index;
    ASSERT_TRUE(outcome.view.alias) << index;
    EXPECT_FALSE(look(same).row) << index;
  }
  EXPECT_EQ(rows().size(), 3U);
}

TEST_P(SignedClaims, another_block_index_of_a_block_proposal_is_another_duty) {
  Node& a = node();
  TableRow other_index = foreign_row(duty(5, 0x22, DutyType::kBlockProposal), DutyStatus::kSigned);
  other_index.block_index = 1;
  under_test->put(other_index);
  other_index.validator = "0x" + upper(other_index.validator.substr(2));
  under_test->put(other_index);
  EXPECT_EQ(claim_signed(a, duty(5, 0x11, DutyType::kBlockProposal), token(a)).outcome, RowOutcome::kApplied);
  Duty same = duty(5, 0x11, DutyType::kBlockProposal, 0xcd);
  TableRow in_upper_case = foreign_row(same, DutyStatus::kSigned);
  in_upper_case.validator = "0x" + upper(in_upper_case.validator.substr(2));
  under_test->put(in_upper_case);
  EXPECT_EQ(claim_signed(a, same, token(a)).outcome, RowOutcome::kNotMatched);
}

TEST_P(SignedClaims, of_a_node_that_is_not_registered_leaves_no_trace) {
  Node& unregistered = stranger("unregistered");
  const auto outcome = claim_signed(unregistered, duty(5), token(unregistered));
  EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
  EXPECT_FALSE(outcome.view.row);
  expect_no_trace(duty(5), 0);
}

TEST_P(SignedClaims, of_an_incarnation_that_another_has_replaced_leaves_no_trace) {
  Node& a = node("node-a");
  const LockToken late = token(a);
  kill(a);
  Node& restarted = node("node-a");
  EXPECT_EQ(claim_signed(restarted, duty(5), late).outcome, RowOutcome::kNotMatched);
  expect_no_trace(duty(5), 0);
}

TEST_P(SignedClaims, of_a_node_whose_lease_has_ended_leaves_no_trace) {
  Node &a = node("node-a"), &b = node("node-b");
  answer(a.connection.store->end_lease(a.registration(), soon()));
  EXPECT_EQ(claim_signed(a, duty(5), token(a)).outcome, RowOutcome::kNotMatched);
  const LockToken late = token(b);
  kill(b);
  const auto outcome = answer(observer().store->claim_signed(b.id, {{duty(5), late, signature()}}, soon())).at(0);
  EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
  expect_no_trace(duty(5), 0);
}

TEST_P(SignedClaims, of_a_token_that_is_not_of_the_nodes_incarnation_leaves_no_trace) {
  Node &a = node("node-a"), &b = node("node-b");
  for (const LockToken& other :
       {token(b), LockToken("odd"), LockToken(""), LockToken(token(a).str() + "0"), LockToken(std::string(32, 'f'))}) {
    EXPECT_EQ(claim_signed(a, duty(5), other).outcome, RowOutcome::kNotMatched) << other.str();
  }
  expect_no_trace(duty(5), 0);
}

TEST_P(SignedClaims, a_repetition_of_a_node_whose_lease_has_ended_confirms_nothing_and_leaves_the_row) {
  Node& a = node("node-a");
  const LockToken mine = token(a);
  claim_signed(a, duty(5), mine);
  answer(a.connection.store->end_lease(a.registration(), soon()));
  EXPECT_EQ(claim_signed(a, duty(5), mine).outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(look(duty(5)).row->status, DutyStatus::kSigned);
}

TEST_P(SignedClaims, outcomes_of_a_mixed_batch_are_in_the_order_of_the_requests) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken held = token(a), done = token(b);
  claim(a, duty(9), held);
  claim_signed(a, duty(3), token(a));
  claim_signed(b, duty(7), done);
  set_watermarks(duty(1), {.low = slot(1), .high = {}});
  TableRow alias = foreign_row(duty(6, 0x22), DutyStatus::kSigned);
  alias.block_index = 0;
  under_test->put(alias);
  const auto outcomes = claim_signed_all(b, {{duty(9), token(b), signature()},
                                             {duty(8), token(b), signature()},
                                             {duty(7), done, signature()},
                                             {duty(6), token(b), signature()},
                                             {duty(5), token(a), signature()},
                                             {duty(4), token(b), signature()},
                                             {duty(3), token(b), signature()},
                                             {duty(1), token(b), signature()}});
  std::vector<RowOutcome> found;
  for (const auto& outcome : outcomes) found.push_back(outcome.outcome);
  constexpr auto kYes = RowOutcome::kApplied, kNo = RowOutcome::kNotMatched;
  EXPECT_EQ(found, (std::vector{kNo, kYes, kYes, kNo, kNo, kYes, kNo, kNo}));
  EXPECT_EQ(outcomes[0].view.row->lock_token, held);
  EXPECT_EQ(outcomes[3].view.alias->message_hash, hash(0x22));
  EXPECT_FALSE(outcomes[3].view.row);
  EXPECT_FALSE(outcomes[4].view.row);
  EXPECT_EQ(outcomes[6].view.row->node_id, "node-a");
  EXPECT_EQ(outcomes[7].view.watermarks.low, slot(1));
  EXPECT_FALSE(outcomes[7].view.row);
  const auto views = look_all({duty(8).key, duty(7).key, duty(6).key, duty(5).key, duty(4).key, duty(1).key});
  EXPECT_EQ(views[0].row->status, DutyStatus::kSigned);
  EXPECT_EQ(views[1].row->lock_token, done);
  EXPECT_FALSE(views[2].row);
  EXPECT_FALSE(views[3].row);
  EXPECT_EQ(views[4].row->status, DutyStatus::kSigned);
  EXPECT_FALSE(views[5].row);
  EXPECT_EQ(watermarks().size(), 1U);
}

TEST_P(SignedClaims, two_equal_duties_in_a_batch_have_one_winner) {
  Node& a = node();
  const auto outcomes =
      claim_signed_all(a, {{duty(5, 0x11), token(a), signature(1)}, {duty(5, 0x22), token(a), signature(2)}});
  EXPECT_EQ(outcomes[0].outcome, RowOutcome::kApplied);
  EXPECT_EQ(outcomes[1].outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(outcomes[1].view.row);
  EXPECT_EQ(outcomes[1].view.row->message_hash, hash(0x11));
  EXPECT_EQ(rows().size(), 1U);
}

TEST_P(SignedClaims, the_same_claim_twice_in_a_batch_is_applied_twice) {
  Node& a = node();
  const SignedClaim one{duty(5), token(a), signature()};
  for (int i = 0; i < 2; ++i) {
    for (const auto& outcome : claim_signed_all(a, {one, one})) EXPECT_EQ(outcome.outcome, RowOutcome::kApplied);
  }
  EXPECT_EQ(rows().size(), 1U);
}

TEST_P(SignedClaims, an_empty_batch_has_an_empty_answer) {
  Node& a = node();
  EXPECT_TRUE(claim_signed_all(a, {}).empty());
}

TEST_P(SignedClaims, a_batch_may_hold_thousands_also_where_many_are_refused) {
  Node& a = node();
  std::vector<SignedClaim> claims;
  for (std::uint64_t number = 0; number < 3000; ++number) claims.push_back({duty(number), token(a), signature()});
  set_watermarks(duty(1), {.low = slot(999), .high = {}});
  for (int repeat = 0; repeat < 2; ++repeat) {
    const auto outcomes = claim_signed_all(a, claims);
    for (std::uint64_t number = 0; number < 3000; ++number) {
      EXPECT_EQ(outcomes[number].outcome, number > 999 ? RowOutcome::kApplied : RowOutcome::kNotMatched) << number;
    }
    EXPECT_EQ(rows({.limit = 10'000}).size(), 2000U);
  }
  EXPECT_EQ(watermarks().at(0).watermarks.low, slot(999));
}

TEST_P(SignedClaims, a_slot_full_of_rows_in_upper_case_refuses_each_duty_of_a_large_batch) {
  Node& a = node();
  std::vector<SignedClaim> claims;
  for (unsigned i = 0; i < 200; ++i) {
    const auto validator = static_cast<std::uint8_t>(i);
    claims.push_back({duty(5, 0x11, DutyType::kAttestation, validator), token(a), signature()});
    TableRow row = foreign_row(duty(5, 0x22, DutyType::kAttestation, validator), DutyStatus::kSigned);
    row.rollup = "0x" + upper(row.rollup.substr(2));
    under_test->put(row);
  }
  for (const auto& outcome : claim_signed_all(a, claims)) {
    EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
    ASSERT_TRUE(outcome.view.alias);
    EXPECT_EQ(outcome.view.alias->message_hash, hash(0x22));
  }
  EXPECT_EQ(rows({.limit = 10'000}).size(), 200U);
}

TEST_P(SignedClaims, takes_every_protected_type_and_the_largest_numbers) {
  Node& a = node();
  constexpr std::uint64_t kLargest = 0x7fff'ffff'ffff'ffff;
  for (const DutyType type : kProtectedDutyTypes) {
    SigningContext what{.duty_type = type,
                        .slot = slot(kLargest),
                        .block_number = BlockNumber::from(kLargest).value(),
                        .checkpoint_number = CheckpointNumber::from(kLargest).value(),
                        .block_index = {}};
    if (type == DutyType::kBlockProposal) what.block_index = 0x7fff'ffff;
    const Duty largest = make_duty(address(0xff), address(0xff), hash(0xff), what).value();
    EXPECT_EQ(claim_signed(a, largest, token(a)).outcome, RowOutcome::kApplied) << to_string(type);
  }
  for (const DutyEntry& row : rows()) EXPECT_EQ(row.slot, "9223372036854775807");
}

TEST_P(SignedClaims, of_two_nodes_with_different_data_at_once_exactly_one_is_applied) {
  Node &a = node("node-a"), &b = node("node-b");
  for (std::uint64_t round = 0; round < 20; ++round) {
    std::vector<SignedClaim> ours, theirs;
    for (std::uint64_t number = round * 10; number < round * 10 + 10; ++number) {
      ours.push_back({duty(number, 0x11), token(a), signature(1)});
      theirs.push_back({duty(number, 0x22), token(b), signature(2)});
    }
    auto first =
        asio::co_spawn(context, a.connection.store->claim_signed(a.id, std::move(ours), soon()), asio::use_future);
    auto second =
        asio::co_spawn(context, b.connection.store->claim_signed(b.id, std::move(theirs), soon()), asio::use_future);
    while (first.wait_for(0s) != std::future_status::ready || second.wait_for(0s) != std::future_status::ready) {
      context.restart();
      context.run_one_for(10ms);
    }
    const auto one = first.get(), two = second.get();
    ASSERT_TRUE(one && two);
    for (std::uint64_t i = 0; i < 10; ++i) {
      const bool first_won = (*one)[i].outcome == RowOutcome::kApplied;
      const bool second_won = (*two)[i].outcome == RowOutcome::kApplied;
      EXPECT_NE(first_won, second_won);
      const DutyView view = look(duty(round * 10 + i));
      ASSERT_TRUE(view.row);
      EXPECT_EQ(view.row->message_hash, hash(first_won ? 0x11 : 0x22));
      EXPECT_EQ(view.row->signature, signature(first_won ? 1 : 2));
    }
  }
}

TEST_P(SignedClaims, a_call_whose_deadline_has_passed_is_unavailable_and_writes_nothing) {
  Node& a = node();
  const auto past = under_test->clock()->now() - 1s;
  const auto claimed = run(a.connection.store->claim_signed(a.id, {{duty(5), token(a), signature()}}, past));
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().kind, StoreErrorKind::kUnavailable) << claimed.error().reason;
  EXPECT_TRUE(rows().empty());
}

}  // namespace
}  // namespace hasigner::contract
