#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "hasigner/duty/duty.hpp"
#include "hasigner/protection/config.hpp"

namespace hasigner {

/// A slot, and when it was.
struct SlotAnchor {
  Slot slot;
  std::chrono::sys_seconds at;
};

/// The latest slot that a duty of one rollup can have now.
///
/// A signed slot becomes a low watermark when its row is deleted or imported, and nothing at or below it is signed:
/// one absurd slot would silence a validator for good. So a slot is refused that cannot have begun: one that is more
/// than `slots_ahead` later than the slot of this moment, which is counted
/// - from slot 0 at genesis by this machine's clock, where genesis is known. That clock may be behind, so the highest
///   slot that the rollup had in the store counts too, if it had begun by the time of its row: the later of both;
/// - otherwise from the highest slot that the rollup had in the store when the process began;
/// - without either from the beginning of Ethereum, before which no rollup began.
/// What was in the store does not move with what is signed afterwards, so no client moves the bound by steps while the
/// process runs.
///
/// Thread safety: one executor.
class PlausibleSlots {
 public:
  /// The time of day, which may be wrong and jump.
  using WallClock = std::function<std::chrono::sys_seconds()>;
  /// How long something has run, by a clock that does not jump.
  using UpTime = std::function<std::chrono::seconds()>;

  explicit PlausibleSlots(SlotRules rules, WallClock now = system_time, UpTime up_time = system_up_time);

  /// Whether an anchor of the store would tell more.
  [[nodiscard]] bool wants_anchor() const { return !seen_; }
  /// No row of a later slot is an anchor: it cannot have begun whenever the rollup did.
  [[nodiscard]] Slot latest_anchor() const;
  /// The highest slot of the rollup in the store. The first anchor counts.
  void seen(const SlotAnchor& anchor);
  [[nodiscard]] Slot latest() const;
  /// The latest slot that honest duties reach now: as latest(), but without a genesis time, too, no further ahead of
  /// the slot of this moment than kAheadOfClock, unless the rules say how far.
  [[nodiscard]] Slot latest_near() const;
  /// Why the slot is refused, naming `field`. Returns nullopt when it is plausible.
  [[nodiscard]] std::optional<InvalidInput> refuse(const Slot& slot, std::string_view field = "slot") const;

  [[nodiscard]] static std::chrono::sys_seconds system_time();
  [[nodiscard]] static std::chrono::seconds system_up_time();

 private:
  /// An anchor, and how long the process had run when it was seen.
  struct Seen {
    SlotAnchor anchor;
    std::chrono::seconds up_time;
  };

  [[nodiscard]] std::uint64_t slots_in(std::chrono::seconds time) const;
  [[nodiscard]] std::uint64_t begun_at(std::chrono::sys_seconds time) const;
  [[nodiscard]] std::uint64_t begun() const;
  [[nodiscard]] std::uint64_t begun_since_ethereum() const;
  [[nodiscard]] std::uint64_t slots_ahead() const;

  SlotRules rules_;
  WallClock now_;
  UpTime up_time_;
  std::optional<Seen> seen_;
};

}  // namespace hasigner
