#pragma once

#include <optional>
#include <span>
#include <variant>

#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/store.hpp"

namespace hasigner {

/// Who asks for a duty: what decide() has to know of an attempt.
struct Claimant {
  const Duty& duty;
  std::span<const LockToken> own_tokens;  ///< under which a row is this attempt's
  bool may_take_over = true;
  const Signature* signature_in_hand = nullptr;  ///< made already: the same data need not be waited for
  bool peer_timeout_passed = false;              ///< since the row's present token was first seen
};

/// The row is ours, with our data, and nothing refuses: sign.
struct Won {
  LockToken token;
};
/// A rule says no. If our row stands all the same, it has to be deleted again.
struct Refuse {
  SigningError error;
};
/// Another attempt holds the duty: look again later.
struct Wait {};
/// Become the owner of the row that carries `seen`.
struct TakeOver {
  TakeoverKind kind;
  LockToken seen;
};
/// No row is there: claim again.
struct Reclaim {};

using Decision = std::variant<Won, Refuse, Wait, TakeOver, Reclaim>;

/// What follows from what the store found, as a pure function.
[[nodiscard]] Decision decide(const DutyView& view, const Claimant& claimant);

/// The refusal if another message of the duty was released on the claim of another node; returns nullopt when none was.
///
/// Where the released message's hash and digest differ, only a signature tells whether the attempt signs the same;
/// without one nothing is refused yet.
[[nodiscard]] std::optional<SlashingProtection> refused_by_released(const DutyView& view, const Duty& duty,
                                                                    const Signature* signature_in_hand);

/// The refusal if a watermark forbids the duty; returns nullopt when none does.
[[nodiscard]] std::optional<OutsideWatermark> forbidden_by_watermark(const DutyKey& duty, const Watermarks& watermarks);

}  // namespace hasigner
