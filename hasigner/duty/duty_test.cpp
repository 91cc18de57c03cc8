#include "hasigner/duty/duty.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "hasigner/duty/ownership.hpp"

namespace hasigner {
namespace {

const EthAddress kRollup = *EthAddress::try_parse("0x1111111111111111111111111111111111111111");
const EthAddress kValidator = *EthAddress::try_parse("0x2222222222222222222222222222222222222222");
const MessageHash kHash = *MessageHash::try_parse("0x" + std::string(64, 'a'));
constexpr std::string_view kNumberRange = "a whole number from 0 to 9223372036854775807";

Parsed<Duty> duty_of(DutyType type, std::optional<std::int64_t> block_index) {
  return make_duty(kRollup, kValidator, kHash,
                   {.duty_type = type,
                    .slot = *Slot::from(5),
                    .block_number = *BlockNumber::from(7),
                    .checkpoint_number = *CheckpointNumber::from(9),
                    .block_index = block_index});
}

TEST(Slot, accepts_the_whole_range_of_a_bigint) {
  for (const char* text : {"0", "1", "9223372036854775807"}) EXPECT_EQ(Slot::parse(text)->to_string(), text);
  EXPECT_EQ(Slot::from(Slot::kMax)->value(), 9223372036854775807u);
  EXPECT_EQ(Slot::from_signed(std::numeric_limits<std::int64_t>::max())->value(), 9223372036854775807u);
}

TEST(Slot, refuses_negative_numbers) {
  EXPECT_EQ(Slot::from_signed(-1).error(), (InvalidInput{"slot", "-1", std::string(kNumberRange)}));
  EXPECT_EQ(Slot::parse("-1").error(), (InvalidInput{"slot", "-1", std::string(kNumberRange)}));
}

TEST(Slot, refuses_numbers_from_2_to_the_63) {
  EXPECT_EQ(Slot::from(std::uint64_t{1} << 63).error().value, "9223372036854775808");
  for (const char* text : {"9223372036854775808", "9999999999999999999", "18446744073709551616",
                           "99999999999999999999999999999999999999"}) {
    ASSERT_FALSE(Slot::parse(text).has_value()) << text;
    EXPECT_EQ(Slot::parse(text).error().value, text);
  }
}

TEST(Slot, refuses_text_that_is_not_only_digits) {
  for (const std::string text : {"", "five", "5.0", "5e3", "0x5", " 5", "5 ", "5\n", "+5", "1_000", "٥"}) {
    const auto slot = Slot::parse(text, "--slot");
    ASSERT_FALSE(slot.has_value()) << text;
    EXPECT_EQ(slot.error().field, "--slot");
    EXPECT_EQ(slot.error().allowed, kNumberRange);
  }
}

TEST(Numbers, are_named_after_what_they_count) {
  EXPECT_EQ(BlockNumber::parse("x").error().field, "block number");
  EXPECT_EQ(CheckpointNumber::parse("x").error().field, "checkpoint number");
}

TEST(DutyTypes, are_spelled_as_in_the_tables) {
  const std::vector<std::pair<DutyType, std::string>> spelled = {
      {DutyType::kBlockProposal, "BLOCK_PROPOSAL"},   {DutyType::kCheckpointProposal, "CHECKPOINT_PROPOSAL"},
      {DutyType::kAttestation, "ATTESTATION"},        {DutyType::kAttestationsAndSigners, "ATTESTATIONS_AND_SIGNERS"},
      {DutyType::kGovernanceVote, "GOVERNANCE_VOTE"}, {DutyType::kSlashingVote, "SLASHING_VOTE"},
      {DutyType::kAuthRequest, "AUTH_REQUEST"},       {DutyType::kTxs, "TXS"}};
  for (const auto& [type, text] : spelled) {
    EXPECT_EQ(to_string(type), text);
    EXPECT_EQ(parse_duty_type(text), type);
  }
}

TEST(DutyTypes, six_are_protected_and_two_are_not) {
  for (const auto type : kProtectedDutyTypes) EXPECT_TRUE(is_protected(type)) << to_string(type);
  EXPECT_EQ(kProtectedDutyTypes.size(), 6u);
  EXPECT_FALSE(is_protected(DutyType::kAuthRequest));
  EXPECT_FALSE(is_protected(DutyType::kTxs));
}

TEST(DutyTypes, refuse_other_words_and_list_the_right_ones) {
  for (const char* text : {"", "attestation", "ATTESTATION ", "BLOCK", "unknown"}) {
    const auto type = parse_duty_type(text);
    ASSERT_FALSE(type.has_value()) << text;
    EXPECT_EQ(type.error().field, "duty type");
    EXPECT_NE(type.error().allowed.find("ATTESTATIONS_AND_SIGNERS"), std::string::npos);
  }
}

TEST(MakeDuty, keeps_everything_that_the_row_needs) {
  const auto duty = duty_of(DutyType::kBlockProposal, 3);
  ASSERT_TRUE(duty.has_value());
  EXPECT_EQ(duty->key, (DutyKey{kRollup, kValidator, *Slot::from(5), DutyType::kBlockProposal, 3}));
  EXPECT_EQ(duty->block_number.value(), 7u);
  EXPECT_EQ(duty->checkpoint_number.value(), 9u);
  EXPECT_EQ(duty->message_hash, kHash);
}

TEST(MakeDuty, writes_0_for_numbers_that_a_type_does_not_carry) {
  const auto duty = make_duty(kRollup, kValidator, kHash, {.duty_type = DutyType::kGovernanceVote});
  ASSERT_TRUE(duty.has_value());
  EXPECT_EQ(duty->block_number.value(), 0u);
  EXPECT_EQ(duty->checkpoint_number.value(), 0u);
}

TEST(MakeDuty, accepts_every_block_index_that_the_column_can_hold) {
  for (const std::int64_t index : {std::int64_t{0}, std::int64_t{1}, std::int64_t{2147483647}}) {
    EXPECT_EQ(duty_of(DutyType::kBlockProposal, index)->key.block_index, index);
  }
}

TEST(MakeDuty, refuses_a_block_proposal_without_a_block_index) {
  for (const auto& [index, shown] : std::vector<std::pair<std::optional<std::int64_t>, std::string>>{
           {std::nullopt, "missing"}, {-1, "-1"}, {-2, "-2"}, {2147483648, "2147483648"}, {4294967296, "4294967296"}}) {
    const auto duty = duty_of(DutyType::kBlockProposal, index);
    ASSERT_FALSE(duty.has_value()) << shown;
    EXPECT_EQ(duty.error(),
              (InvalidInput{"block index", shown, "a whole number from 0 to 2147483647 for BLOCK_PROPOSAL"}));
  }
}

TEST(MakeDuty, refuses_a_block_index_on_every_other_type) {
  for (const auto type : kProtectedDutyTypes) {
    if (type == DutyType::kBlockProposal) continue;
    EXPECT_EQ(duty_of(type, std::nullopt)->key.block_index, -1);
    EXPECT_EQ(duty_of(type, -1)->key.block_index, -1);
    for (const std::int64_t index : {0, 1, -2}) {
      const auto duty = duty_of(type, index);
      ASSERT_FALSE(duty.has_value()) << to_string(type);
      EXPECT_EQ(duty.error().message(), "block index is '" + std::to_string(index) +
                                            "', but must be left out (or -1) for " + std::string(to_string(type)));
    }
  }
}

TEST(MakeDuty, refuses_types_that_are_signed_directly) {
  for (const auto type : {DutyType::kAuthRequest, DutyType::kTxs}) {
    const auto duty = duty_of(type, std::nullopt);
    ASSERT_FALSE(duty.has_value());
    EXPECT_EQ(duty.error().field, "duty type");
  }
}

TEST(DutyKey, is_ordered_by_its_parts_in_the_order_of_the_primary_key) {
  const DutyKey base{kRollup, kValidator, *Slot::from(5), DutyType::kCheckpointProposal, 1};
  const auto changed = [&](auto change) {
    DutyKey key = base;
    change(key);
    return key;
  };
  std::vector<DutyKey> ordered = {
      base,
      changed([](DutyKey& key) { key.block_index = 2; }),
      changed([](DutyKey& key) { key.duty_type = DutyType::kAttestation, key.block_index = 0; }),
      changed([](DutyKey& key) { key.slot = *Slot::from(10), key.duty_type = DutyType::kBlockProposal; }),
      changed([](DutyKey& key) { key.validator.bytes()[19]++, key.slot = Slot(); }),
      changed([](DutyKey& key) { key.rollup.bytes()[19]++, key.validator = EthAddress(); }),
  };
  EXPECT_TRUE(std::ranges::is_sorted(ordered));
}

TEST(DutyKey, describes_itself_to_a_person) {
  EXPECT_EQ(duty_of(DutyType::kBlockProposal, 0)->key.describe(),
            "BLOCK_PROPOSAL of 0x2222222222222222222222222222222222222222 for slot 5, block index 0");
  EXPECT_EQ(duty_of(DutyType::kAttestation, std::nullopt)->key.describe(),
            "ATTESTATION of 0x2222222222222222222222222222222222222222 for slot 5");
}

TEST(NodeId, accepts_1_to_255_characters_of_any_script) {
  const std::string two_bytes = "\xc3\xa9";
  std::string longest;
  for (int i = 0; i < 255; ++i) longest += two_bytes;
  for (const std::string& text : {std::string("a"), std::string("node-1.eu west"), std::string(255, 'n'), longest,
                                  std::string("\xf0\x9f\x9a\x80"), std::string("\xed\x9f\xbf\xee\x80\x80")}) {
    const auto id = NodeId::parse(text);
    ASSERT_TRUE(id.has_value()) << text;
    EXPECT_EQ(id->str(), text);
  }
}

TEST(NodeId, refuses_empty_and_over_long_names) {
  std::string longer;
  for (int i = 0; i < 256; ++i) longer += "\xc3\xa9";
  for (const std::string& text : {std::string(), std::string(256, 'n'), longer}) {
    const auto id = NodeId::parse(text, "VALIDATOR_HA_NODE_ID");
    ASSERT_FALSE(id.has_value());
    EXPECT_EQ(id.error().field, "VALIDATOR_HA_NODE_ID");
    EXPECT_EQ(id.error().allowed, "1 to 255 characters of UTF-8 without control characters");
  }
}

TEST(NodeId, refuses_control_characters_of_both_sets) {
  for (int c = 0; c < 0x20; ++c)
    EXPECT_FALSE(NodeId::parse("a" + std::string(1, static_cast<char>(c))).has_value()) << c;
  EXPECT_FALSE(NodeId::parse("a\x7f").has_value());
  for (int c = 0x80; c < 0xa0; ++c) {
    EXPECT_FALSE(NodeId::parse(std::string{'\xc2', static_cast<char>(c)}).has_value()) << c;
  }
  EXPECT_TRUE(NodeId::parse("\xc2\xa0").has_value());
}

// The ill-formed sequences of the Unicode Standard, chapter 3.9, table 3-8 and following.
TEST(NodeId, refuses_text_that_is_not_utf_8) {
  for (const std::string text : {"caf\xe9", "\x80", "\xbf", "\xc3", "\xc3(", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf",
                                 "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                 "\xf5\x80\x80\x80", "\xe2\x82", "\xf0\x9f\x9a", "\xff", "\xfe"}) {
    EXPECT_FALSE(NodeId::parse(text).has_value()) << testing::PrintToString(text);
  }
}

const Incarnation kIncarnation = *Incarnation::try_parse("0x0123456789abcdef");

TEST(LockToken, carries_incarnation_kind_and_random_bytes_as_32_digits) {
  const auto token = LockToken::make(kIncarnation, TokenKind::kTakenOver, {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6});
  EXPECT_EQ(token.str(), "0123456789abcdef01a0a1a2a3a4a5a6");
  EXPECT_EQ(token.incarnation(), kIncarnation);
  EXPECT_EQ(token.kind(), TokenKind::kTakenOver);
}

TEST(LockToken, is_read_back_from_a_row) {
  for (const auto kind : {TokenKind::kFenced, TokenKind::kTakenOver, TokenKind::kHandedOut}) {
    const LockToken token(LockToken::make(kIncarnation, kind, {}).str());
    EXPECT_EQ(token.kind(), kind);
    EXPECT_EQ(token.incarnation(), kIncarnation);
  }
}

TEST(LockToken, of_another_shape_says_nothing) {
  for (const std::string text : {"", "0123456789abcdef", "0123456789abcdef03a0a1a2a3a4a5a6",
                                 "0123456789abcdefffa0a1a2a3a4a5a6", "0123456789abcdef00a0a1a2a3a4a5ag",
                                 "0123456789abcdef00a0a1a2a3a4a5a600", "a token that another program made"}) {
    EXPECT_EQ(LockToken(text).kind(), std::nullopt) << text;
    EXPECT_EQ(LockToken(text).incarnation(), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace hasigner
