#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "hasigner/duty/duty.hpp"

namespace hasigner {

/// How it is known which slots can have begun. All of it is optional.
struct SlotRules {
  std::optional<std::chrono::sys_seconds> genesis;    ///< when slot 0 of the rollup began; needs slot_duration
  std::optional<std::chrono::seconds> slot_duration;  ///< nullopt: taken as one second, the shortest
  std::optional<std::uint64_t> slots_ahead;           ///< nullopt: kAheadOfClock with genesis, else kAheadOfSeen

  static constexpr std::uint64_t kAheadOfClock = 100;
  static constexpr std::uint64_t kAheadOfSeen = 100'000;
};

/// A slot, and when it was.
struct SlotAnchor {
  Slot slot;
  std::chrono::sys_seconds at;
};

/// The latest slot that a duty of one rollup can have now.
///
/// A signed slot becomes a low watermark when its row is deleted or imported, and nothing below it is signed any more:
/// one absurd slot would silence a validator for good. So a slot is refused that cannot have begun: one that is more
/// than `slots_ahead` later than the slot of the clock. The slot of the clock is counted from an anchor: from slot 0 at
/// genesis where that is known; otherwise from the highest slot that the rollup had in the store when the process
/// began. That anchor does not move with what is signed afterwards, so no client moves the bound by steps while the
/// process runs. Without either it is counted from the beginning of Ethereum, before which no rollup began.
///
/// Thread safety: one executor.
class PlausibleSlots {
 public:
  using WallClock = std::function<std::chrono::sys_seconds()>;

  explicit PlausibleSlots(SlotRules rules, WallClock now = system_time);

  /// Whether an anchor of the store would tell more.
  [[nodiscard]] bool wants_anchor() const { return !rules_.genesis && !seen_; }
  /// The highest slot of the rollup in the store. The first anchor counts.
  void seen(const SlotAnchor& anchor);
  [[nodiscard]] Slot latest() const;
  /// Why the slot is refused, naming `field`; nullopt: it is plausible.
  [[nodiscard]] std::optional<InvalidInput> refuse(const Slot& slot, std::string_view field = "slot") const;

  [[nodiscard]] static std::chrono::sys_seconds system_time();

 private:
  [[nodiscard]] Slot after(const SlotAnchor& anchor, std::uint64_t ahead) const;

  SlotRules rules_;
  WallClock now_;
  std::optional<SlotAnchor> seen_;
};

}  // namespace hasigner
