#include "hasigner/protection/attempt/decide.hpp"

#include <algorithm>

namespace hasigner {

namespace {

std::string shown_hash(const DutyRow& row) {
  return row.message_hash ? row.message_hash->to_string() : "unreadable";
}

/// The refusal that another row of the duty demands; its status does not matter, since it may be released at any time.
SigningError refusal_by(const DutyRow& row, const Duty& duty, bool give_signature) {
  if (row.message_hash == duty.message_hash) {
    const bool is_signed = row.status == DutyStatus::kSigned;
    return DutyAlreadySigned{.duty = duty.key,
                             .signed_by = row.node_id,
                             .signature = give_signature && is_signed ? row.signature : std::nullopt,
                             .has_unusable_signature = is_signed && !row.signature};
  }
  return SlashingProtection{duty.key, shown_hash(row), duty.message_hash, row.node_id};
}

Decision decide_for_foreign_signing_row(const DutyRow& row, const Claimant& claimant) {
  if (row.holder == HolderState::kExpired) return TakeOver{TakeoverKind::kReplace, row.lock_token};
  // Both sign the same message, so it does not matter whether the holder still lives.
  const bool same_data = row.message_hash == claimant.duty.message_hash;
  const bool waited = claimant.peer_timeout_passed || claimant.signature_in_hand;
  if (same_data && waited && claimant.may_take_over) return TakeOver{TakeoverKind::kSameData, row.lock_token};
  if (!claimant.peer_timeout_passed) return Wait{};
  return Refuse{DutyAlreadySigned{claimant.duty.key, std::string(kUnknownTimeout), std::nullopt}};
}

}  // namespace

std::optional<OutsideWatermark> forbidden_by_watermark(const DutyKey& duty, const Watermarks& watermarks) {
  if (watermarks.allow(duty.slot)) return std::nullopt;
  if (watermarks.low && duty.slot <= *watermarks.low) {
    return OutsideWatermark{duty, OutsideWatermark::Bound::kLow, *watermarks.low};
  }
  return OutsideWatermark{duty, OutsideWatermark::Bound::kHigh, *watermarks.high};
}

std::optional<SlashingProtection> refused_by_released(const DutyView& view, const Duty& duty,
                                                      const Signature* signature_in_hand) {
  if (!view.released) return std::nullopt;
  const auto& released = *view.released;
  const bool is_named = released.message_hash == duty.message_hash || released.digest == duty.message_hash;
  const bool is_same =
      released.message_hash == released.digest || !signature_in_hand || released.signature == *signature_in_hand;
  if (is_named && is_same) return std::nullopt;
  const auto& hash = released.message_hash == duty.message_hash ? released.digest : released.message_hash;
  return SlashingProtection{duty.key, hash ? hash->to_string() : "unreadable", duty.message_hash,
                            view.released->node_id};
}

Decision decide(const DutyView& view, const Claimant& claimant) {
  const auto forbidden = forbidden_by_watermark(claimant.duty.key, view.watermarks);
  const auto& row = view.row;
  const bool ours = row && row->status == DutyStatus::kSigning && !row->lock_token.empty() &&
                    std::ranges::count(claimant.own_tokens, row->lock_token) > 0 &&
                    row->message_hash == claimant.duty.message_hash;

  if (row && row->status == DutyStatus::kSigned) {
    return Refuse{refusal_by(*row, claimant.duty, !forbidden)};
  }
  if (view.alias) return Refuse{refusal_by(*view.alias, claimant.duty, !forbidden)};
  if (auto refused = refused_by_released(view, claimant.duty, claimant.signature_in_hand))
    return Refuse{std::move(*refused)};
  if (forbidden) return Refuse{*forbidden};
  if (ours) return Won{row->lock_token};
  if (!row) return Reclaim{};
  return decide_for_foreign_signing_row(*row, claimant);
}

}  // namespace hasigner
