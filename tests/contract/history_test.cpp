#include "tests/contract/contract.hpp"

namespace hasigner::contract {
namespace {

class HistoryContract : public Contract {
 protected:
  HistorySnapshot exported() { return answer(observer().history->export_history(soon())); }
  ImportOutcome import(HistorySnapshot snapshot) {
    return answer(observer().history->import_history(std::move(snapshot), soon()));
  }
  std::vector<std::string> slots(DutyFilter filter) {
    std::vector<std::string> found;
    for (const DutyEntry& row : rows(filter)) found.push_back(row.slot);
    return found;
  }
  static WatermarkEntry mark(std::optional<Slot> low, std::optional<Slot> high) {
    return {address(0xaa).to_string(), address(0xab).to_string(), "ATTESTATION", {.low = low, .high = high}, ""};
  }
  /// Another store of the same kind, with what is imported into it.
  struct Copy {
    std::unique_ptr<StoreUnderTest> under_test;
    Connection connection;
  };
  Copy another_store() {
    Copy copy{GetParam().make(context.get_executor()), {}};
    copy.connection = run(copy.under_test->connect());
    return copy;
  }
};
INSTANTIATE_TEST_SUITE_P(Stores, HistoryContract, testing::ValuesIn(kinds()), name_of);

using Slots = std::vector<std::string>;

TEST_P(HistoryContract, duties_are_shown_newest_slots_first_and_as_many_as_asked_for) {
  Node& a = node();
  for (const std::uint64_t number : {3, 9, 1, 12, 7}) sign(a, duty(number));
  EXPECT_EQ(slots({}), (Slots{"12", "9", "7", "3", "1"}));
  EXPECT_EQ(slots({.limit = 2}), (Slots{"12", "9"}));
  EXPECT_EQ(slots({.limit = 0}), Slots{});
}

TEST_P(HistoryContract, duties_can_be_asked_for_by_each_of_their_parts) {
  Node &a = node("node-a"), &b = node("node-b");
  sign(a, duty(1));
  sign(b, duty(2));
  sign(a, duty(3, 0x11, DutyType::kGovernanceVote));
  sign(a, duty(4, 0x11, DutyType::kAttestation, 0xcd));
  claim(a, duty(5), token(a));
  Duty other_rollup = duty(6);
  other_rollup.key.rollup = address(0xee);
  sign(a, other_rollup);
  TableRow in_upper_case = foreign_row(duty(7), DutyStatus::kSigned);
  in_upper_case.rollup = "0x" + upper(in_upper_case.rollup.substr(2));
  in_upper_case.validator = "0x" + upper(in_upper_case.validator.substr(2));
  under_test->put(in_upper_case);

  EXPECT_EQ(slots({.rollup = address(0xaa)}), (Slots{"7", "5", "4", "3", "2", "1"}));
  EXPECT_EQ(slots({.rollup = address(0xee)}), (Slots{"6"}));
  EXPECT_EQ(slots({.validator = address(0xab)}), (Slots{"7", "6", "5", "3", "2", "1"}));
  EXPECT_EQ(slots({.validators = {address(0xcd), address(0xee)}}), (Slots{"4"}));
  EXPECT_EQ(slots({.validators = {address(0xab), address(0xcd)}}), (Slots{"7", "6", "5", "4", "3", "2", "1"}));
  EXPECT_EQ(slots({.validators = {address(0xab), address(0xcd)}, .status = DutyStatus::kSigning}), (Slots{"5"}));
  EXPECT_EQ(slots({.validators = {address(0xcd)}, .status = DutyStatus::kSigning}), Slots{});
  EXPECT_EQ(slots({.from_slot = slot(3), .to_slot = slot(5)}), (Slots{"5", "4", "3"}));
  EXPECT_EQ(slots({.duty_type = DutyType::kGovernanceVote}), (Slots{"3"}));
  EXPECT_EQ(slots({.status = DutyStatus::kSigning}), (Slots{"5"}));
  EXPECT_EQ(slots({.status = DutyStatus::kSigned, .node_id = "node-a"}), (Slots{"6", "4", "3", "1"}));
  EXPECT_EQ(slots({.status = DutyStatus::kSigning, .node_id = "node-b"}), Slots{});
  EXPECT_EQ(slots({.rollup = address(0xee), .status = DutyStatus::kSigning}), Slots{});
  EXPECT_EQ(slots({.node_id = "node-b"}), (Slots{"2"}));
}

TEST_P(HistoryContract, both_watermarks_can_be_set_lowered_and_taken_away) {
  Node& a = node();
  set_watermarks(duty(5), {.low = slot(7), .high = slot(9)});
  EXPECT_EQ(look(duty(5)).watermarks, (Watermarks{.low = slot(7), .high = slot(9)}));
  set_watermarks(duty(5), {.low = slot(3), .high = {}});
  EXPECT_EQ(look(duty(5)).watermarks, (Watermarks{.low = slot(3), .high = {}}));
  sign(a, duty(5));
  set_watermarks(duty(5), {});
  EXPECT_EQ(look(duty(5)).watermarks, Watermarks{});
  constexpr std::uint64_t kLargest = 0x7fff'ffff'ffff'ffff;
  set_watermarks(duty(5), {.low = slot(0), .high = slot(kLargest)});
  EXPECT_EQ(look(duty(5)).watermarks, (Watermarks{.low = slot(0), .high = slot(kLargest)}));
  const auto marks = answer(observer().history->watermarks(soon()));
  ASSERT_EQ(marks.size(), 1U);
  EXPECT_TRUE(parse_utc_text(marks[0].updated_at)) << marks[0].updated_at;
}

TEST_P(HistoryContract, a_bound_that_is_not_given_stays_what_it_is) {
  auto outcome = change_watermarks(duty(5), {.low = slot(7), .high = {}});
  EXPECT_TRUE(outcome.applied);
  EXPECT_EQ(outcome.before, Watermarks{});
  EXPECT_EQ(outcome.after, (Watermarks{.low = slot(7), .high = {}}));
  outcome = change_watermarks(duty(5), {.low = {}, .high = slot(9)});
  EXPECT_EQ(outcome.before, (Watermarks{.low = slot(7), .high = {}}));
  EXPECT_EQ(outcome.after, (Watermarks{.low = slot(7), .high = slot(9)}));
  EXPECT_EQ(look(duty(5)).watermarks, outcome.after);
  using Bound = std::optional<std::optional<Slot>>;
  const Bound no_bound(std::in_place, std::nullopt);
  EXPECT_EQ(change_watermarks(duty(5), {.low = no_bound, .high = {}}).after, (Watermarks{.low = {}, .high = slot(9)}));
  EXPECT_EQ(change_watermarks(duty(5), {.low = {}, .high = no_bound}).after, Watermarks{});
  EXPECT_EQ(look(duty(5)).watermarks, Watermarks{});
}

TEST_P(HistoryContract, a_change_that_must_only_tighten_never_lets_more_be_signed) {
  using enum WatermarkChange::Extent;
  set_watermarks(duty(5), {.low = slot(7), .high = slot(9)});
  const Watermarks before = look(duty(5)).watermarks;
  using Bound = std::optional<std::optional<Slot>>;
  const Bound no_bound(std::in_place, std::nullopt);
  for (const auto& [low, high] :
       {std::pair<Bound, Bound>(slot(6), {}), {{}, slot(10)}, {no_bound, {}}, {{}, no_bound}, {slot(8), slot(10)}}) {
    const auto outcome = change_watermarks(duty(5), {.low = low, .high = high, .extent = kTightenOnly});
    EXPECT_FALSE(outcome.applied);
    EXPECT_EQ(outcome.before, before);
    EXPECT_EQ(outcome.after, before);
    EXPECT_EQ(look(duty(5)).watermarks, before);
  }
  EXPECT_TRUE(change_watermarks(duty(5), {.low = slot(8), .high = slot(9), .extent = kTightenOnly}).applied);
  EXPECT_EQ(look(duty(5)).watermarks, (Watermarks{.low = slot(8), .high = slot(9)}));
  EXPECT_TRUE(change_watermarks(duty(5, 0x11, DutyType::kGovernanceVote),
                                {.low = slot(1), .high = slot(2), .extent = kTightenOnly})
                  .applied)
      << "where nothing is set, everything tightens";
}

TEST_P(HistoryContract, watermarks_of_every_validator_hold_for_those_to_come_and_never_loosen_their_own) {
  const auto rollup = duty(5).key.rollup;
  const std::vector<WatermarkSubject> every = {{std::nullopt, DutyType::kAttestation}};
  const Duty own = duty(5), other = duty(5, 0x11, DutyType::kAttestation, 0xcd);
  Duty elsewhere = duty(5);
  elsewhere.key.rollup = address(0xee);
  set_watermarks(own, {.low = slot(7), .high = slot(30)});
  change_watermarks(rollup, every, {.low = slot(5), .high = slot(20)});
  EXPECT_EQ(look(own).watermarks, (Watermarks{.low = slot(7), .high = slot(20)}));
  EXPECT_EQ(look(other).watermarks, (Watermarks{.low = slot(5), .high = slot(20)}));
  EXPECT_EQ(look(elsewhere).watermarks, Watermarks{});
  EXPECT_EQ(look(duty(5, 0x11, DutyType::kGovernanceVote)).watermarks, Watermarks{});
  const auto outcome = change_watermarks(rollup, every, {.low = slot(9)}).at(0);
  EXPECT_EQ(outcome.before, (Watermarks{.low = slot(5), .high = slot(20)}));
  EXPECT_EQ(outcome.after, (Watermarks{.low = slot(9), .high = slot(20)}));
  EXPECT_EQ(look(own).watermarks.low, slot(9));
  EXPECT_EQ(change_watermarks(own, {.low = slot(8)}).before, (Watermarks{.low = slot(7), .high = slot(30)}));
  const auto refused =
      change_watermarks(rollup, every, {.low = slot(8), .extent = WatermarkChange::Extent::kTightenOnly}).at(0);
  EXPECT_FALSE(refused.applied);
  EXPECT_EQ(look(other).watermarks.low, slot(9));
  const auto listed = answer(observer().history->watermarks(soon()));
  EXPECT_EQ(std::ranges::count(listed, std::string(kEveryValidator), &WatermarkEntry::validator), 1);
  // They protect where the history is imported, too.
  HistorySnapshot snapshot = exported();
  const Copy copy = another_store();
  const auto imported = run(copy.connection.history->import_history(snapshot, soon()));
  ASSERT_TRUE(imported);
  EXPECT_TRUE(imported->conflicts.empty());
  const auto there = run(copy.connection.store->look({other.key}, soon()));
  ASSERT_TRUE(there);
  EXPECT_EQ(there->at(0).watermarks, (Watermarks{.low = slot(9), .high = slot(20)}));
}

TEST_P(HistoryContract, many_watermarks_are_set_at_once_and_one_that_would_loosen_keeps_none_back) {
  const auto rollup = duty(5).key.rollup;
  set_watermarks(duty(5), {.low = slot(7), .high = {}});
  const std::vector<WatermarkSubject> subjects = {{address(0xcd), DutyType::kAttestation},
                                                  {address(0xab), DutyType::kAttestation},
                                                  {address(0xab), DutyType::kGovernanceVote}};
  const auto outcomes =
      change_watermarks(rollup, subjects, {.low = slot(6), .extent = WatermarkChange::Extent::kTightenOnly});
  ASSERT_EQ(outcomes.size(), 3U);
  EXPECT_TRUE(outcomes[0].applied);
  EXPECT_EQ(outcomes[0].after.low, slot(6));
  EXPECT_FALSE(outcomes[1].applied);
  EXPECT_EQ(outcomes[1].after.low, slot(7));
  EXPECT_TRUE(outcomes[2].applied);
  EXPECT_EQ(look(duty(5)).watermarks.low, slot(7));
  EXPECT_EQ(look(duty(5, 0x11, DutyType::kAttestation, 0xcd)).watermarks.low, slot(6));
  EXPECT_TRUE(change_watermarks(rollup, {}, {.low = slot(9)}).empty());
}

TEST_P(HistoryContract, what_is_exported_can_be_imported_elsewhere_and_protects_there) {
  Node& a = node();
  sign(a, duty(1));
  const LockToken held = token(a);
  claim(a, duty(2), held);
  sign(a, duty(3, 0x11, DutyType::kBlockProposal));
  TableRow odd = foreign_row(duty(4, 0x44), DutyStatus::kSigned);
  odd.validator = "0x" + upper(odd.validator.substr(2));
  odd.node_id = "it's {\"odd\"}, \\ really";
  under_test->put(odd);
  set_watermarks(duty(5, 0x11, DutyType::kSlashingVote), {.low = slot(40), .high = slot(50)});

  const HistorySnapshot snapshot = exported();
  EXPECT_EQ(snapshot.duties.size(), 4U);
  Copy copy = another_store();
  const ImportOutcome outcome = answer(copy.connection.history->import_history(snapshot, soon()));
  EXPECT_EQ(outcome.inserted, 4U);
  EXPECT_EQ(outcome.already_there, 0U);
  EXPECT_TRUE(outcome.conflicts.empty());

  HistorySnapshot back = answer(copy.connection.history->export_history(soon()));
  ASSERT_EQ(back.duties.size(), 4U);
  const auto texts = [](const DutyEntry& e) {
    return std::vector<std::string>{e.rollup,      e.validator,  e.slot,       e.block_number, e.checkpoint_number,
                                    e.block_index, e.duty_type,  e.status,     e.message_hash, e.signature,
                                    e.node_id,     e.lock_token, e.started_at, e.completed_at, e.expires_at};
  };
  auto expected = snapshot.duties;
  std::ranges::sort(expected, {}, &DutyEntry::slot);
  std::ranges::sort(back.duties, {}, &DutyEntry::slot);
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(texts(back.duties[i]), texts(expected[i]));
  ASSERT_EQ(back.watermarks.size(), 1U);
  EXPECT_EQ(back.watermarks[0].watermarks, (Watermarks{.low = slot(40), .high = slot(50)}));

  const auto views = answer(copy.connection.store->look({duty(2).key, duty(4).key}, soon()));
  EXPECT_EQ(views[0].row->status, DutyStatus::kSigning);
  EXPECT_EQ(views[0].row->lock_token, held);
  EXPECT_EQ(views[0].row->holder, HolderState::kUnfenced) << "the node is not registered there";
  EXPECT_EQ(views[1].alias->message_hash, hash(0x44));
  run(copy.connection.store->close());
}

TEST_P(HistoryContract, importing_twice_changes_nothing) {
  Node& a = node();
  sign(a, duty(1));
  claim(a, duty(2), token(a));
  const ImportOutcome outcome = import(exported());
  EXPECT_EQ(outcome.inserted, 0U);
  EXPECT_EQ(outcome.already_there, 2U);
  EXPECT_TRUE(outcome.conflicts.empty());
}

TEST_P(HistoryContract, an_import_with_a_conflict_is_reported_and_imports_nothing_at_all) {
  Node& a = node();
  sign(a, duty(1));
  HistorySnapshot snapshot;
  snapshot.duties.push_back(duty_entry_of(foreign_row(duty(2), DutyStatus::kSigned)));
  snapshot.duties.push_back(duty_entry_of(foreign_row(duty(1, 0x22), DutyStatus::kSigned)));
  snapshot.watermarks.push_back(mark(slot(99), {}));
  const ImportOutcome outcome = import(snapshot);
  ASSERT_EQ(outcome.conflicts.size(), 1U);
  EXPECT_NE(outcome.conflicts[0].find("slot 1"), std::string::npos) << outcome.conflicts[0];
  EXPECT_NE(outcome.conflicts[0].find(hash(0x11).to_string()), std::string::npos) << outcome.conflicts[0];
  EXPECT_NE(outcome.conflicts[0].find(hash(0x22).to_string()), std::string::npos) << outcome.conflicts[0];
  EXPECT_EQ(slots({}), (Slots{"1"}));
  EXPECT_EQ(look(duty(1)).watermarks, Watermarks{});
}

TEST_P(HistoryContract, the_same_duty_in_another_letter_case_with_other_data_is_a_conflict) {
  Node& a = node();
  sign(a, duty(1));
  TableRow in_upper_case = foreign_row(duty(1, 0x22), DutyStatus::kSigned);
  in_upper_case.validator = "0x" + upper(in_upper_case.validator.substr(2));
  HistorySnapshot snapshot;
  snapshot.duties.push_back(duty_entry_of(in_upper_case));
  EXPECT_EQ(import(snapshot).conflicts.size(), 1U);
  EXPECT_EQ(rows().size(), 1U);
}

TEST_P(HistoryContract, a_row_that_stands_in_another_letter_case_with_other_data_is_a_conflict) {
  TableRow in_upper_case = foreign_row(duty(1, 0x22), DutyStatus::kSigned);
  in_upper_case.rollup = "0x" + upper(in_upper_case.rollup.substr(2));
  in_upper_case.validator = "0x" + upper(in_upper_case.validator.substr(2));
  under_test->put(in_upper_case);
  HistorySnapshot snapshot;
  snapshot.duties.push_back(duty_entry_of(foreign_row(duty(1), DutyStatus::kSigned)));
  EXPECT_EQ(import(snapshot).conflicts.size(), 1U);
  EXPECT_EQ(rows().size(), 1U);
}

TEST_P(HistoryContract, the_same_duty_under_a_foreign_block_index_with_other_data_is_a_conflict) {
  Node& a = node();
  sign(a, duty(1));
  TableRow with_index = foreign_row(duty(1, 0x22), DutyStatus::kSigned);
  with_index.block_index = 0;
  HistorySnapshot snapshot;
  snapshot.duties.push_back(duty_entry_of(with_index));
  EXPECT_EQ(import(snapshot).conflicts.size(), 1U);
}

TEST_P(HistoryContract, a_duty_that_stands_twice_with_different_data_is_a_conflict) {
  HistorySnapshot snapshot;
  snapshot.duties.push_back(duty_entry_of(foreign_row(duty(1, 0x11), DutyStatus::kSigned)));
  snapshot.duties.push_back(duty_entry_of(foreign_row(duty(1, 0x22), DutyStatus::kSigned)));
  EXPECT_EQ(import(snapshot).conflicts.size(), 1U);
  EXPECT_TRUE(rows().empty());
}

TEST_P(HistoryContract, a_duty_that_was_signed_elsewhere_is_signed_and_an_attempt_in_flight_loses_its_lock) {
  Node& a = node();
  const LockToken mine = token(a);
  claim(a, duty(1), mine);
  HistorySnapshot snapshot;
  snapshot.duties.push_back(duty_entry_of(foreign_row(duty(1), DutyStatus::kSigned)));
  EXPECT_EQ(import(snapshot).inserted, 1U);
  EXPECT_EQ(look(duty(1)).row->status, DutyStatus::kSigned);
  EXPECT_EQ(record(a, duty(1), mine, 0x77), RowOutcome::kNotMatched);
  EXPECT_FALSE(release(a, duty(1), mine));
}

TEST_P(HistoryContract, a_signing_entry_never_takes_the_place_of_a_signed_row) {
  Node& a = node();
  const LockToken mine = sign(a, duty(1));
  HistorySnapshot snapshot;
  snapshot.duties.push_back(duty_entry_of(foreign_row(duty(1))));
  EXPECT_EQ(import(snapshot).already_there, 1U);
  EXPECT_EQ(look(duty(1)).row->status, DutyStatus::kSigned);
  EXPECT_EQ(look(duty(1)).row->lock_token, mine);
}

TEST_P(HistoryContract, a_key_is_enabled_until_it_is_disabled_and_all_nodes_see_who_changed_it) {
  const auto address = duty(1).key.validator;
  const auto other = duty(1, 0x11, DutyType::kAttestation, 0xcd).key.validator;
  auto& a = node();
  auto& b = node("node-b");
  const auto set = [&](Node& by, const EthAddress& key, KeyState state, const std::string& who) {
    return answer(by.connection.history->set_key_switch(key, state, who, soon()));
  };
  const auto seen = [&] { return answer(b.connection.history->key_switches(soon())); };
  EXPECT_TRUE(seen().empty());
  EXPECT_FALSE(set(a, address, KeyState::kEnabled, "anna"));
  EXPECT_TRUE(seen().empty());
  EXPECT_TRUE(set(a, address, KeyState::kDisabled, "anna"));
  EXPECT_FALSE(set(b, address, KeyState::kDisabled, "berta"));
  ASSERT_EQ(seen().size(), 1U);
  EXPECT_EQ(seen()[0].address, address.to_string());
  EXPECT_FALSE(seen()[0].is_enabled);
  EXPECT_EQ(seen()[0].changed_by, "anna");
  EXPECT_EQ(seen()[0].changed_at.size(), std::string("2026-01-31 12:00:00.000000").size());
  EXPECT_TRUE(set(b, other, KeyState::kDisabled, "berta"));
  EXPECT_TRUE(set(b, address, KeyState::kEnabled, "berta"));
  const auto both = seen();
  ASSERT_EQ(both.size(), 2U);
  const auto& first = both[0].address == address.to_string() ? both[0] : both[1];
  EXPECT_TRUE(first.is_enabled);
  EXPECT_EQ(first.changed_by, "berta");
}

TEST_P(HistoryContract, imported_watermarks_never_lower_protection) {
  set_watermarks(duty(1), {.low = slot(10), .high = slot(20)});
  HistorySnapshot snapshot;
  snapshot.watermarks = {mark(slot(5), slot(25))};
  import(snapshot);
  EXPECT_EQ(look(duty(1)).watermarks, (Watermarks{.low = slot(10), .high = slot(20)}));
  snapshot.watermarks = {mark({}, {})};
  import(snapshot);
  EXPECT_EQ(look(duty(1)).watermarks, (Watermarks{.low = slot(10), .high = slot(20)}));
  snapshot.watermarks = {mark(slot(15), slot(18))};
  import(snapshot);
  EXPECT_EQ(look(duty(1)).watermarks, (Watermarks{.low = slot(15), .high = slot(18)}));
  // One bound protects more, the other one less.
  snapshot.watermarks = {mark(slot(3), slot(17))};
  import(snapshot);
  EXPECT_EQ(look(duty(1)).watermarks, (Watermarks{.low = slot(15), .high = slot(17)}));
  snapshot.watermarks = {mark(slot(16), slot(40))};
  import(snapshot);
  EXPECT_EQ(look(duty(1)).watermarks, (Watermarks{.low = slot(16), .high = slot(17)}));
}

TEST_P(HistoryContract, imported_watermarks_are_set_where_there_are_none) {
  HistorySnapshot snapshot;
  snapshot.watermarks = {mark(slot(5), {})};
  import(snapshot);
  EXPECT_EQ(look(duty(1)).watermarks, (Watermarks{.low = slot(5), .high = {}}));
  snapshot.watermarks = {mark({}, slot(9))};
  import(snapshot);
  EXPECT_EQ(look(duty(1)).watermarks, (Watermarks{.low = slot(5), .high = slot(9)}));
}

TEST_P(HistoryContract, an_entry_that_the_table_cannot_hold_is_refused_by_name) {
  const auto refusal = [&](auto spoil) {
    HistorySnapshot snapshot;
    snapshot.duties.push_back(duty_entry_of(foreign_row(duty(1), DutyStatus::kSigned)));
    spoil(snapshot.duties[0]);
    const ImportOutcome outcome = import(snapshot);
    return outcome.conflicts.size() == 1 ? outcome.conflicts[0] : "imported";
  };
  EXPECT_NE(refusal([](DutyEntry& e) { e.slot = "9223372036854775808"; }).find("slot"), std::string::npos);
  EXPECT_NE(refusal([](DutyEntry& e) { e.rollup = "0x12"; }).find("rollup"), std::string::npos);
  EXPECT_NE(refusal([](DutyEntry& e) { e.status = "done"; }).find("status"), std::string::npos);
  EXPECT_NE(refusal([](DutyEntry& e) { e.duty_type = "TXS"; }).find("duty type"), std::string::npos);
  EXPECT_NE(refusal([](DutyEntry& e) { e.started_at = "yesterday"; }).find("started_at"), std::string::npos);
  EXPECT_TRUE(rows().empty());
}

}  // namespace
}  // namespace hasigner::contract
