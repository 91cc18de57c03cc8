#include "hasigner/protection/plausible_slots.hpp"

#include <algorithm>

namespace hasigner {

namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

/// The time of Ethereum's block 0: 2015-07-30 15:26:13 UTC.
constexpr sys_seconds kEthereumBegan{seconds(1'438'269'973)};
/// 2026-01-01: a clock that shows less is wrong, and says nothing about slots.
constexpr sys_seconds kClocksAreLater{seconds(1'767'225'600)};
constexpr std::uint64_t kHighest = 9'223'372'036'854'775'807;

std::uint64_t sum(std::uint64_t a, std::uint64_t b) {
  return a > kHighest - std::min(b, kHighest) ? kHighest : a + b;
}

}  // namespace

PlausibleSlots::PlausibleSlots(SlotRules rules, WallClock now) : rules_(rules), now_(std::move(now)) {}

sys_seconds PlausibleSlots::system_time() {
  return std::chrono::floor<seconds>(std::chrono::system_clock::now());
}

void PlausibleSlots::seen(const SlotAnchor& anchor) {
  if (wants_anchor()) seen_ = anchor;
}

/// A clock that is behind counts no slots; it must not forbid the anchor itself.
Slot PlausibleSlots::after(const SlotAnchor& anchor, std::uint64_t ahead) const {
  const auto passed = std::max(seconds(0), now_() - anchor.at) / rules_.slot_duration.value_or(seconds(1));
  const auto begun = sum(static_cast<std::uint64_t>(anchor.slot.value()), static_cast<std::uint64_t>(passed));
  return Slot::from(sum(begun, ahead)).value();
}

Slot PlausibleSlots::latest() const {
  if (rules_.genesis) return after({Slot{}, *rules_.genesis}, rules_.slots_ahead.value_or(SlotRules::kAheadOfClock));
  const auto ahead = rules_.slots_ahead.value_or(SlotRules::kAheadOfSeen);
  const auto since_ethereum = std::max(now_(), kClocksAreLater) - kEthereumBegan;
  const auto begun = static_cast<std::uint64_t>(since_ethereum / rules_.slot_duration.value_or(seconds(1)));
  const auto of_ethereum = Slot::from(sum(begun, ahead)).value();
  return seen_ ? std::min(of_ethereum, after(*seen_, ahead)) : of_ethereum;
}

std::optional<InvalidInput> PlausibleSlots::refuse(const Slot& slot, std::string_view field) const {
  const auto most = latest();
  if (slot <= most) return std::nullopt;
  std::string basis = "the beginning of Ethereum";
  if (rules_.genesis) basis = "the genesis of the rollup";
  if (seen_) basis = "slot " + seen_->slot.to_string() + ", the highest that the rollup had in the store";
  return InvalidInput{std::string(field), slot.to_string(),
                      "at most " + most.to_string() + ", counted from " + basis +
                          ": a later slot cannot have begun, and would silence the validator (see "
                          "docs/operating.md, Plausible slots)"};
}

}  // namespace hasigner
