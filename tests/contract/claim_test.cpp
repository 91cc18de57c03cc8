#include "tests/contract/contract.hpp"

namespace hasigner::contract {
namespace {

class Claim : public Contract {};
INSTANTIATE_TEST_SUITE_P(Stores, Claim, testing::ValuesIn(kinds()), name_of);

TEST_P(Claim, of_a_free_duty_inserts_its_row_and_shows_it) {
  Node& a = node();
  const LockToken mine = token(a);
  const ClaimOutcome outcome = claim(a, duty(5), mine);
  EXPECT_NE(outcome.outcome, RowOutcome::kLocked);
  EXPECT_EQ(outcome.token, mine);
  ASSERT_TRUE(outcome.view.row);
  EXPECT_EQ(outcome.view.row->status, DutyStatus::kSigning);
  EXPECT_EQ(outcome.view.row->message_hash, duty(5).message_hash);
  EXPECT_EQ(outcome.view.row->signature, std::nullopt);
  EXPECT_EQ(outcome.view.row->node_id, "node-a");
  EXPECT_EQ(outcome.view.row->lock_token, mine);
  EXPECT_FALSE(outcome.view.alias);
  EXPECT_EQ(outcome.view.watermarks, Watermarks{});
}

TEST_P(Claim, writes_every_column_as_the_shared_tables_have_it) {
  Node& a = node();
  const Duty block = duty(5, 0x11, DutyType::kBlockProposal);
  const LockToken mine = token(a);
  claim(a, block, mine);
  const auto all = rows();
  ASSERT_EQ(all.size(), 1U);
  const DutyEntry& row = all[0];
  EXPECT_EQ(row.rollup, "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
  EXPECT_EQ(row.validator, "0xabababababababababababababababababababab");
  EXPECT_EQ(row.slot, "5");
  EXPECT_EQ(row.block_number, "900");
  EXPECT_EQ(row.block_index, "0");
  EXPECT_EQ(row.duty_type, "BLOCK_PROPOSAL");
  EXPECT_EQ(row.status, "signing");
  EXPECT_EQ(row.message_hash, "0x1111111111111111111111111111111111111111111111111111111111111111");
  EXPECT_EQ(row.signature, "");
  EXPECT_EQ(row.node_id, "node-a");
  EXPECT_EQ(row.lock_token, mine.str());
  EXPECT_EQ(row.completed_at, "");
  EXPECT_EQ(row.expires_at, "") << "without retention a row of ours is kept without limit";
  const auto started_at = parse_utc_text(row.started_at);
  ASSERT_TRUE(started_at) << row.started_at;
  EXPECT_LT(std::chrono::abs(under_test->utc_now() - *started_at), 10s) << "times are UTC";
}

TEST_P(Claim, of_a_held_duty_shows_the_holder_and_changes_nothing) {
  Node &a = node("node-a"), &b = node("node-b");
  const LockToken mine = token(a), other = token(b);
  claim(a, duty(5), mine);
  const ClaimOutcome outcome = claim(b, duty(5, 0x22), other);
  EXPECT_EQ(outcome.token, other);
  ASSERT_TRUE(outcome.view.row);
  EXPECT_EQ(outcome.view.row->lock_token, mine);
  EXPECT_EQ(outcome.view.row->node_id, "node-a");
  EXPECT_EQ(outcome.view.row->message_hash, duty(5).message_hash);
  EXPECT_EQ(outcome.view.row->holder, HolderState::kAlive);
  EXPECT_EQ(rows().size(), 1U);
}

TEST_P(Claim, repeated_with_its_token_recognises_its_row) {
  Node& a = node();
  const LockToken mine = token(a);
  claim(a, duty(5), mine);
  const ClaimOutcome again = claim(a, duty(5), mine);
  ASSERT_TRUE(again.view.row);
  EXPECT_EQ(again.view.row->lock_token, mine);
  EXPECT_EQ(record(a, duty(5), mine), RowOutcome::kApplied);
}

TEST_P(Claim, of_a_signed_duty_shows_who_signed_what_and_the_signature) {
  Node &a = node("node-a"), &b = node("node-b");
  sign(a, duty(5));
  const DutyView view = claim(b, duty(5, 0x22), token(b)).view;
  ASSERT_TRUE(view.row);
  EXPECT_EQ(view.row->status, DutyStatus::kSigned);
  EXPECT_EQ(view.row->message_hash, duty(5).message_hash);
  EXPECT_EQ(view.row->signature, signature());
  EXPECT_EQ(view.row->node_id, "node-a");
}

TEST_P(Claim, shows_the_watermarks_though_it_has_inserted) {
  Node& a = node();
  set_watermarks(duty(5), {.low = slot(5), .high = slot(100)});
  const LockToken mine = token(a);
  const DutyView view = claim(a, duty(5), mine).view;
  EXPECT_EQ(view.watermarks, (Watermarks{.low = slot(5), .high = slot(100)}));
  ASSERT_TRUE(view.row);
  EXPECT_EQ(view.row->lock_token, mine);
  EXPECT_TRUE(release(a, duty(5), mine));
}

TEST_P(Claim, watermarks_are_of_one_rollup_validator_and_type) {
  Node& a = node();
  set_watermarks(duty(5), {.low = slot(5), .high = {}});
  EXPECT_EQ(claim(a, duty(5, 0x11, DutyType::kGovernanceVote), token(a)).view.watermarks, Watermarks{});
  EXPECT_EQ(claim(a, duty(5, 0x11, DutyType::kAttestation, 0xcd), token(a)).view.watermarks, Watermarks{});
}

TEST_P(Claim, two_equal_duties_in_a_batch_have_one_winner) {
  Node& a = node();
  const LockToken first = token(a), second = token(a);
  const auto outcomes = claim_all(a, {{duty(5, 0x11), first}, {duty(5, 0x22), second}});
  ASSERT_TRUE(outcomes[0].view.row && outcomes[1].view.row);
  EXPECT_EQ(outcomes[0].view.row->lock_token, outcomes[1].view.row->lock_token);
  EXPECT_EQ(outcomes[0].token, first);
  EXPECT_EQ(outcomes[1].token, second);
  const auto recorded =
      record_all(a, {{duty(5).key, first, hash(0x11), signature()}, {duty(5).key, second, hash(0x22), signature()}});
  EXPECT_EQ(std::ranges::count(recorded, RowOutcome::kApplied), 1);
  EXPECT_EQ(rows().size(), 1U);
}

TEST_P(Claim, outcomes_are_in_the_order_of_the_requests) {
  Node& a = node();
  std::vector<DutyClaim> claims;
  for (const std::uint64_t number : {9, 3, 7, 1, 5})
    claims.push_back({duty(number, static_cast<std::uint8_t>(number)), token(a)});
  const auto outcomes = claim_all(a, claims);
  ASSERT_EQ(outcomes.size(), claims.size());
  for (std::size_t i = 0; i < claims.size(); ++i) {
    EXPECT_EQ(outcomes[i].token, claims[i].token);
    EXPECT_EQ(outcomes[i].view.row->lock_token, claims[i].token);
    EXPECT_EQ(outcomes[i].view.row->message_hash, claims[i].duty.message_hash);
  }
}

TEST_P(Claim, an_empty_batch_has_an_empty_answer) {
  Node& a = node();
  EXPECT_TRUE(claim_all(a, {}).empty());
  EXPECT_TRUE(look_all({}).empty());
  EXPECT_TRUE(record_all(a, {}).empty());
}

TEST_P(Claim, a_batch_may_hold_thousands) {
  Node& a = node();
  std::vector<DutyClaim> claims;
  std::vector<DutyRecord> records;
  for (std::uint64_t number = 0; number < 3000; ++number) {
    claims.push_back({duty(number), token(a)});
    records.push_back({claims.back().duty.key, claims.back().token, claims.back().duty.message_hash, signature()});
  }
  for (const ClaimOutcome& outcome : claim_all(a, claims)) EXPECT_EQ(outcome.view.row->lock_token, outcome.token);
  for (const RowOutcome outcome : record_all(a, records)) EXPECT_EQ(outcome, RowOutcome::kApplied);
}

TEST_P(Claim, takes_every_protected_type_and_the_largest_numbers) {
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
    sign(a, largest);
    EXPECT_EQ(look(largest).row->status, DutyStatus::kSigned) << to_string(type);
  }
  for (const DutyEntry& row : rows()) {
    EXPECT_EQ(row.slot, "9223372036854775807");
    EXPECT_EQ(row.block_number, "9223372036854775807");
  }
}

TEST_P(Claim, duties_that_differ_in_any_part_of_the_key_do_not_meet) {
  Node& a = node();
  Duty other_rollup = duty(5), other_index = duty(5, 0x11, DutyType::kBlockProposal);
  other_rollup.key.rollup = address(0xee);
  other_index.key.block_index = 1;
  for (const Duty& each :
       {duty(5), other_rollup, duty(5, 0x11, DutyType::kAttestation, 0xcd), duty(6),
        duty(5, 0x11, DutyType::kSlashingVote), duty(5, 0x11, DutyType::kBlockProposal), other_index}) {
    const LockToken mine = token(a);
    const DutyView view = claim(a, each, mine).view;
    EXPECT_EQ(view.row->lock_token, mine) << each.key.describe();
    EXPECT_FALSE(view.alias) << each.key.describe();
  }
}

TEST_P(Claim, node_ids_and_tokens_may_be_any_text) {
  std::string long_id;
  for (int i = 0; i < 85; ++i) long_id += "é'\"";
  Node& a = node(long_id);
  const LockToken odd("{\"quoted\", 'text', \\ and , commas} NULL");
  const DutyView view = claim(a, duty(5), odd).view;
  ASSERT_TRUE(view.row);
  EXPECT_EQ(view.row->node_id, long_id);
  EXPECT_EQ(view.row->lock_token, odd);
  EXPECT_EQ(record(a, duty(5), odd), RowOutcome::kApplied);
}

TEST_P(Claim, a_row_under_another_letter_case_of_an_address_is_shown_as_alias) {
  Node& a = node();
  TableRow in_upper_case = foreign_row(duty(5, 0x22), DutyStatus::kSigned);
  in_upper_case.validator = "0x" + upper(in_upper_case.validator.substr(2));
  under_test->put(in_upper_case);
  const LockToken mine = token(a);
  const DutyView view = claim(a, duty(5), mine).view;
  ASSERT_TRUE(view.alias);
  EXPECT_EQ(view.alias->status, DutyStatus::kSigned);
  EXPECT_EQ(view.alias->message_hash, hash(0x22));
  EXPECT_EQ(view.alias->node_id, "published");
  ASSERT_TRUE(view.row);
  EXPECT_EQ(view.row->lock_token, mine);
  EXPECT_FALSE(look(duty(6)).alias);
  EXPECT_FALSE(look(duty(5, 0x11, DutyType::kGovernanceVote)).alias);
}

TEST_P(Claim, an_upper_case_rollup_is_found_too_and_a_signed_alias_is_shown_first) {
  TableRow signing = foreign_row(duty(5, 0x22)), done = foreign_row(duty(5, 0x33), DutyStatus::kSigned);
  signing.rollup = "0x" + upper(signing.rollup.substr(2));
  done.rollup = signing.rollup;
  done.validator = "0x" + upper(done.validator.substr(2));
  under_test->put(signing);
  EXPECT_EQ(look(duty(5)).alias->message_hash, hash(0x22));
  under_test->put(done);
  EXPECT_EQ(look(duty(5)).alias->message_hash, hash(0x33));
}

TEST_P(Claim, a_foreign_block_index_is_an_alias_where_the_type_has_none) {
  std::uint64_t number = 5;
  for (const std::int32_t index : {0, 7, -2}) {
    TableRow with_index = foreign_row(duty(number, 0x22), DutyStatus::kSigned);
    with_index.block_index = index;
    under_test->put(with_index);
    const DutyView view = look(duty(number++));
    EXPECT_FALSE(view.row) << index;
    ASSERT_TRUE(view.alias) << index;
    EXPECT_EQ(view.alias->message_hash, hash(0x22)) << index;
  }
}

TEST_P(Claim, another_block_index_of_a_block_proposal_is_another_duty) {
  TableRow other_index = foreign_row(duty(5, 0x22, DutyType::kBlockProposal), DutyStatus::kSigned);
  other_index.block_index = 1;
  under_test->put(other_index);
  EXPECT_FALSE(look(duty(5, 0x11, DutyType::kBlockProposal)).alias);
  // In another letter case too.
  other_index.validator = "0x" + upper(other_index.validator.substr(2));
  under_test->put(other_index);
  EXPECT_FALSE(look(duty(5, 0x11, DutyType::kBlockProposal)).alias);
}

TEST_P(Claim, text_that_is_not_a_hash_or_signature_equals_none) {
  TableRow row = foreign_row(duty(5), DutyStatus::kSigned);
  row.message_hash = "not a hash";
  row.signature = "0x";
  under_test->put(row);
  const DutyView view = look(duty(5));
  ASSERT_TRUE(view.row);
  EXPECT_EQ(view.row->message_hash, std::nullopt);
  EXPECT_EQ(view.row->signature, std::nullopt);
}

TEST_P(Claim, a_hash_in_upper_case_is_the_same_hash) {
  TableRow row = foreign_row(duty(5, 0xcd));
  row.message_hash = "0x" + upper(row.message_hash.substr(2));
  under_test->put(row);
  EXPECT_EQ(look(duty(5)).row->message_hash, hash(0xcd));
}

class Look : public Contract {};
INSTANTIATE_TEST_SUITE_P(Stores, Look, testing::ValuesIn(kinds()), name_of);

TEST_P(Look, shows_what_is_there_in_the_order_of_the_keys_and_writes_nothing) {
  Node& a = node();
  const LockToken mine = token(a);
  claim(a, duty(7), mine);
  const auto views = look_all({duty(9).key, duty(7).key, duty(8).key, duty(7).key});
  EXPECT_FALSE(views[0].row);
  ASSERT_TRUE(views[1].row);
  EXPECT_EQ(views[1].row->lock_token, mine);
  EXPECT_FALSE(views[2].row);
  EXPECT_EQ(views[3].row->lock_token, mine);
  EXPECT_EQ(rows().size(), 1U);
}

TEST_P(Look, all_stores_of_one_database_know_the_same_epoch) {
  Node& a = node();
  answer(a.connection.store->claim(a.id, {{duty(5), token(a)}}, soon()));
  answer(observer().store->look({duty(5).key}, soon()));
  const auto epoch = a.connection.store->epoch();
  ASSERT_TRUE(epoch && observer().store->epoch());
  EXPECT_EQ(*epoch, *observer().store->epoch());
  EXPECT_EQ(epoch->cluster_id.size(), 32U);
}

TEST_P(Look, a_call_whose_deadline_has_passed_is_unavailable_and_writes_nothing) {
  Node& a = node();
  const auto past = under_test->clock()->now() - 1s;
  const auto claimed = run(a.connection.store->claim(a.id, {{duty(5), token(a)}}, past));
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().kind, StoreErrorKind::kUnavailable) << claimed.error().reason;
  EXPECT_FALSE(claimed.error().reason.empty());
  EXPECT_TRUE(rows().empty());
}

TEST_P(Look, a_closed_store_answers_with_an_error_and_may_be_closed_again) {
  Node& a = node();
  run(a.connection.store->close());
  run(a.connection.store->close());
  const auto claimed = run(a.connection.store->claim(a.id, {{duty(5), token(a)}}, soon()));
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().kind, StoreErrorKind::kUnavailable);
  EXPECT_TRUE(rows().empty());
}

}  // namespace
}  // namespace hasigner::contract
