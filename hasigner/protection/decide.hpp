#pragma once

#include <optional>
#include <variant>

#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/store.hpp"

namespace hasigner {

/// What an attempt is and has seen when it looks at what the store found.
struct Standing {
  Duty duty;
  LockToken claim_token;                    ///< its claim's
  std::optional<LockToken> takeover_token;  ///< of a takeover whose outcome may be unknown
  bool may_take_over = true;
  bool signature_in_hand = false;    ///< its signature is made: the same data need not be waited for
  bool peer_timeout_passed = false;  ///< since the row's present token was first seen
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
struct Wait {
  LockToken seen;
};
/// Become the owner of the row that carries `seen`.
struct TakeOver {
  TakeoverKind kind;
  LockToken seen;
};
/// No row is there: claim again.
struct Reclaim {};

using Decision = std::variant<Won, Refuse, Wait, TakeOver, Reclaim>;

/// The rules of one attempt, as a pure function of what the store found and what the attempt has seen.
[[nodiscard]] Decision decide(const DutyView& view, const Standing& standing);

/// The refusal if a watermark forbids the duty.
[[nodiscard]] std::optional<OutsideWatermark> forbidden_by_watermark(const DutyKey& duty, const Watermarks& watermarks);

}  // namespace hasigner
