#include "hasigner/store/rows/table_row.hpp"

#include <gtest/gtest.h>

namespace hasigner {
namespace {

DutyEntry good_entry() {
  return DutyEntry{.rollup = "0x" + std::string(40, 'a'),
                   .validator = "0x" + std::string(40, 'B'),
                   .slot = "9223372036854775807",
                   .block_number = "0",
                   .checkpoint_number = "3",
                   .block_index = "-1",
                   .duty_type = "ATTESTATION",
                   .status = "signed",
                   .message_hash = "0x" + std::string(64, 'c'),
                   .signature = "0x" + std::string(130, 'd'),
                   .node_id = "node",
                   .lock_token = std::string(32, 'e'),
                   .started_at = "2024-02-29 12:34:56.000000",
                   .completed_at = "2024-02-29 12:34:57.500000",
                   .expires_at = ""};
}

TEST(table_row, an_entry_comes_back_as_it_was) {
  const auto row = table_row_of(good_entry());
  ASSERT_TRUE(row) << row.error();
  const DutyEntry back = duty_entry_of(*row);
  EXPECT_EQ(back.validator, good_entry().validator);
  EXPECT_EQ(back.slot, "9223372036854775807");
  EXPECT_EQ(back.completed_at, good_entry().completed_at);
  EXPECT_EQ(back.expires_at, "");
}

TEST(table_row, refuses_a_bad_entry_and_names_the_field) {
  const auto refusal = [](auto spoil) {
    DutyEntry entry = good_entry();
    spoil(entry);
    const auto row = table_row_of(entry);
    return row ? std::string("accepted") : row.error();
  };
  const auto names = [](const std::string& sentence, std::string_view field) {
    return sentence.find(field) != std::string::npos;
  };
  EXPECT_TRUE(names(refusal([](DutyEntry& e) { e.slot = "9223372036854775808"; }), "slot"));
  EXPECT_TRUE(names(refusal([](DutyEntry& e) { e.slot = "5x"; }), "slot"));
  EXPECT_TRUE(names(refusal([](DutyEntry& e) { e.rollup = "0x12"; }), "rollup"));
  EXPECT_TRUE(names(refusal([](DutyEntry& e) { e.duty_type = "TXS"; }), "duty type"));
  EXPECT_TRUE(names(refusal([](DutyEntry& e) { e.status = "done"; }), "status"));
  EXPECT_TRUE(names(refusal([](DutyEntry& e) { e.block_index = "2147483648"; }), "block index"));
  EXPECT_TRUE(names(refusal([](DutyEntry& e) { e.started_at = "yesterday"; }), "started_at"));
  EXPECT_TRUE(names(refusal([](DutyEntry& e) { e.completed_at = "2024-02-29 12:34:55"; }), "completed_at"));
  EXPECT_TRUE(names(refusal([](DutyEntry& e) { e.lock_token = ""; }), "lock token"));
}

TEST(table_row, only_a_signed_row_is_that_of_a_repeated_signed_claim) {
  DutyRow found = duty_row_of(table_row_of(good_entry()).value(), HolderState::kUnfenced);
  const Duty duty{.key = {EthAddress{}, EthAddress{}, *Slot::from(5), DutyType::kAttestation, kNoBlockIndex},
                  .block_number = {},
                  .checkpoint_number = {},
                  .message_hash = found.message_hash.value()};
  const SignedClaim claim{duty, LockToken(found.lock_token), found.signature.value()};
  EXPECT_TRUE(is_repetition(claim, found));
  found.status = DutyStatus::kSigning;
  EXPECT_FALSE(is_repetition(claim, found));
}

TEST(table_row, text_that_is_not_a_hash_equals_none) {
  auto row = table_row_of(good_entry());
  ASSERT_TRUE(row);
  EXPECT_TRUE(duty_row_of(*row, HolderState::kUnfenced).message_hash.has_value());
  row->message_hash = "not a hash";
  EXPECT_FALSE(duty_row_of(*row, HolderState::kUnfenced).message_hash.has_value());
}

}  // namespace
}  // namespace hasigner
