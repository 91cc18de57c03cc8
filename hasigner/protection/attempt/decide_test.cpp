#include "hasigner/protection/attempt/decide.hpp"

#include <gtest/gtest.h>

namespace hasigner {
namespace {

MessageHash hash_of(std::uint8_t byte) {
  MessageHash hash;
  hash.bytes().fill(byte);
  return hash;
}

const Incarnation kOurs{{1, 2, 3, 4, 5, 6, 7, 8}};
const LockToken kClaimToken = LockToken::make(kOurs, TokenKind::kFenced, {1});
const LockToken kTakeoverToken = LockToken::make(kOurs, TokenKind::kTakenOver, {2});
const LockToken kOther("a token of another");

/// A claimant with what it refers to.
struct Asker {
  Duty duty{.key = {.slot = *Slot::from(100)}, .message_hash = hash_of(1)};
  std::vector<LockToken> own_tokens{kClaimToken};
  bool may_take_over = true;
  bool signature_in_hand = false;
  Signature signature;
  bool peer_timeout_passed = false;

  [[nodiscard]] Claimant claimant() const {
    return {duty, own_tokens, may_take_over, signature_in_hand ? &signature : nullptr, peer_timeout_passed};
  }
};

Decision decide(const DutyView& view, const Asker& asker = {}) {
  return hasigner::decide(view, asker.claimant());
}

DutyRow row(DutyStatus status, std::uint8_t hash, LockToken token, HolderState holder = HolderState::kUnfenced) {
  DutyRow r;
  r.status = status;
  r.message_hash = hash_of(hash);
  r.node_id = "other";
  r.lock_token = std::move(token);
  r.holder = holder;
  if (status == DutyStatus::kSigned) r.signature = Signature{};
  return r;
}

DutyView view_of(DutyRow r) {
  return DutyView{.row = std::move(r), .alias = std::nullopt, .watermarks = {}};
}

template <class T>
const T* refusal(const Decision& decision) {
  const auto* refuse = std::get_if<Refuse>(&decision);
  return refuse ? std::get_if<T>(&refuse->error) : nullptr;
}

TEST(Decide, signs_when_the_row_carries_our_token_and_our_hash_and_nothing_refuses) {
  const auto decision = decide(view_of(row(DutyStatus::kSigning, 1, kClaimToken, HolderState::kAlive)));
  ASSERT_TRUE(std::holds_alternative<Won>(decision));
  EXPECT_EQ(std::get<Won>(decision).token, kClaimToken);
}

TEST(Decide, does_not_sign_under_our_token_with_another_hash) {
  const auto decision = decide(view_of(row(DutyStatus::kSigning, 2, kClaimToken)));
  EXPECT_FALSE(std::holds_alternative<Won>(decision));
}

TEST(Decide, a_row_without_a_token_is_of_no_attempt) {
  Asker s;
  s.own_tokens.push_back(LockToken());
  EXPECT_TRUE(std::holds_alternative<Wait>(decide(view_of(row(DutyStatus::kSigning, 1, LockToken())), s)));
}

TEST(Decide, recognises_a_takeover_whose_reply_was_lost) {
  Asker s;
  s.own_tokens.push_back(kTakeoverToken);
  const auto decision = decide(view_of(row(DutyStatus::kSigning, 1, kTakeoverToken)), s);
  ASSERT_TRUE(std::holds_alternative<Won>(decision));
  EXPECT_EQ(std::get<Won>(decision).token, kTakeoverToken);
}

TEST(Decide, an_empty_token_is_not_a_token_of_ours) {
  Asker s;
  s.own_tokens = {LockToken{}};
  EXPECT_FALSE(std::holds_alternative<Won>(decide(view_of(row(DutyStatus::kSigning, 1, LockToken{})), s)));
}

TEST(Decide, a_signed_duty_with_the_same_data_is_refused_with_its_node_and_signature) {
  const auto decision = decide(view_of(row(DutyStatus::kSigned, 1, kOther)));
  const auto* error = refusal<DutyAlreadySigned>(decision);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->signed_by, "other");
  EXPECT_TRUE(error->signature.has_value());
}

TEST(Decide, a_signed_duty_with_other_data_is_slashing_protection_naming_both_hashes) {
  const auto decision = decide(view_of(row(DutyStatus::kSigned, 2, kOther)));
  const auto* error = refusal<SlashingProtection>(decision);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->existing_hash, hash_of(2).to_string());
  EXPECT_EQ(error->attempted_hash, hash_of(1));
  EXPECT_EQ(error->signed_by, "other");
}

TEST(Decide, a_row_with_an_unreadable_hash_equals_no_data) {
  auto r = row(DutyStatus::kSigned, 1, kOther);
  r.message_hash.reset();
  EXPECT_TRUE(refusal<SlashingProtection>(decide(view_of(r))));
}

TEST(Decide, a_watermark_refuses_a_won_row) {
  for (const auto& [marks, bound] : {std::pair(Watermarks{*Slot::from(100), {}}, OutsideWatermark::Bound::kLow),
                                     std::pair(Watermarks{{}, *Slot::from(99)}, OutsideWatermark::Bound::kHigh)}) {
    auto view = view_of(row(DutyStatus::kSigning, 1, kClaimToken));
    view.watermarks = marks;
    const auto decision = decide(view);
    const auto* error = refusal<OutsideWatermark>(decision);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->bound, bound);
  }
}

TEST(Decide, a_watermark_lets_the_slots_inside_it_pass) {
  auto view = view_of(row(DutyStatus::kSigning, 1, kClaimToken));
  view.watermarks = {*Slot::from(99), *Slot::from(100)};
  EXPECT_TRUE(std::holds_alternative<Won>(decide(view)));
}

TEST(Decide, a_stored_signature_outside_a_watermark_is_not_handed_out) {
  auto view = view_of(row(DutyStatus::kSigned, 1, kOther));
  view.watermarks.low = *Slot::from(100);
  const auto decision = decide(view);
  const auto* error = refusal<DutyAlreadySigned>(decision);
  ASSERT_TRUE(error);
  EXPECT_FALSE(error->signature.has_value());
}

TEST(Decide, a_row_under_another_letter_case_refuses_although_ours_was_inserted) {
  for (const auto status : {DutyStatus::kSigned, DutyStatus::kSigning}) {
    auto view = view_of(row(DutyStatus::kSigning, 1, kClaimToken));
    view.alias = row(status, 2, kOther);
    const auto decision = decide(view);
    EXPECT_TRUE(refusal<SlashingProtection>(decision));
    view.alias = row(status, 1, kOther);
    EXPECT_TRUE(refusal<DutyAlreadySigned>(decide(view)));
  }
}

TEST(Decide, waits_for_a_live_or_unfenced_holder_until_the_time_out) {
  for (const auto holder : {HolderState::kAlive, HolderState::kUnfenced}) {
    for (const std::uint8_t hash : {1, 2}) {
      EXPECT_TRUE(std::holds_alternative<Wait>(decide(view_of(row(DutyStatus::kSigning, hash, kOther, holder)))));
    }
  }
}

TEST(Decide, replaces_a_fenced_holder_whose_lease_has_run_out_with_the_same_data_or_other_at_once) {
  for (const std::uint8_t hash : {1, 2}) {
    const auto decision = decide(view_of(row(DutyStatus::kSigning, hash, kOther, HolderState::kExpired)));
    const auto* take_over = std::get_if<TakeOver>(&decision);
    ASSERT_TRUE(take_over);
    EXPECT_EQ(take_over->kind, TakeoverKind::kReplace);
    EXPECT_EQ(take_over->seen, kOther);
  }
}

TEST(Decide, after_the_time_out_takes_the_same_data_over_and_refuses_other_data) {
  Asker s;
  s.peer_timeout_passed = true;
  for (const auto holder : {HolderState::kAlive, HolderState::kUnfenced}) {
    const auto same = decide(view_of(row(DutyStatus::kSigning, 1, kOther, holder)), s);
    ASSERT_TRUE(std::holds_alternative<TakeOver>(same));
    EXPECT_EQ(std::get<TakeOver>(same).kind, TakeoverKind::kSameData);
    const auto other = decide(view_of(row(DutyStatus::kSigning, 2, kOther, holder)), s);
    const auto* error = refusal<DutyAlreadySigned>(other);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->signed_by, "unknown (timeout)");
    EXPECT_FALSE(error->signature.has_value());
  }
}

TEST(Decide, a_caller_of_the_step_api_takes_nothing_over) {
  Asker s;
  s.peer_timeout_passed = true;
  s.may_take_over = false;
  EXPECT_TRUE(refusal<DutyAlreadySigned>(decide(view_of(row(DutyStatus::kSigning, 1, kOther)), s)));
}

TEST(Decide, takes_the_same_data_over_at_once_with_a_signature_in_hand_and_waits_for_other_data) {
  Asker s;
  s.signature_in_hand = true;
  EXPECT_TRUE(std::holds_alternative<TakeOver>(decide(view_of(row(DutyStatus::kSigning, 1, kOther)), s)));
  EXPECT_TRUE(std::holds_alternative<Wait>(decide(view_of(row(DutyStatus::kSigning, 2, kOther)), s)));
}

TEST(Decide, claims_again_when_no_row_is_there) {
  EXPECT_TRUE(std::holds_alternative<Reclaim>(decide(DutyView{})));
}

TEST(Decide, another_message_that_was_released_on_a_claim_refuses_whatever_row_stands) {
  for (const auto& found : {DutyView{}, view_of(row(DutyStatus::kSigning, 1, kClaimToken, HolderState::kAlive)),
                            view_of(row(DutyStatus::kSigning, 1, kOther)),
                            view_of(row(DutyStatus::kSigning, 2, kOther, HolderState::kExpired))}) {
    auto view = found;
    view.released = {hash_of(2), hash_of(2), std::nullopt, "serve-1"};
    const auto decision = decide(view);
    const auto* refused = refusal<SlashingProtection>(decision);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->existing_hash, hash_of(2).to_string());
    EXPECT_EQ(refused->signed_by, "serve-1");
    view.released = {std::nullopt, std::nullopt, std::nullopt, "serve-1"};
    EXPECT_TRUE(refusal<SlashingProtection>(decide(view))) << "a text that is not a hash equals none";
    view.released = {hash_of(1), hash_of(1), std::nullopt, "serve-1"};
    EXPECT_EQ(decide(view).index(), decide(found).index()) << "the same message may be signed again";
  }
}

// eth_sign and typed data of the same 32 bytes are two messages with one hash.
TEST(Decide, a_message_with_the_released_hash_that_was_signed_in_another_way_is_told_by_its_signature) {
  const Asker unsigned_yet, signed_first{.signature_in_hand = true};
  for (const std::uint8_t digest : {1, 2}) {
    DutyView view;
    view.released = {hash_of(digest == 1 ? 2 : 1), hash_of(digest), Signature{}, "serve-1"};
    EXPECT_TRUE(std::holds_alternative<Reclaim>(decide(view, unsigned_yet)));
    EXPECT_TRUE(std::holds_alternative<Reclaim>(decide(view, signed_first)));
    view.released->signature->bytes()[0] = 1;
    EXPECT_TRUE(std::holds_alternative<Reclaim>(decide(view, unsigned_yet)));
    const auto decision = decide(view, signed_first);
    const auto* refused = refusal<SlashingProtection>(decision);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->existing_hash, hash_of(2).to_string()) << "the one of both that is not the attempt's own";
    view.released->signature.reset();
    EXPECT_TRUE(refusal<SlashingProtection>(decide(view, signed_first)));
  }
}

}  // namespace
}  // namespace hasigner
