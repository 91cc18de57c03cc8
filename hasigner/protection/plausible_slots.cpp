#include "hasigner/protection/plausible_slots.hpp"

#include <algorithm>
#include <array>
#include <ctime>

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

Slot slot_of(std::uint64_t number) {
  return Slot::from(number).value();
}

/// `2026-01-31T12:00:00Z`
std::string shown(sys_seconds time) {
  const std::time_t since_epoch = time.time_since_epoch().count();
  std::tm parts{};
  std::array<char, 40> text{};
  if (::gmtime_r(&since_epoch, &parts) == nullptr) return "another age";
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace

PlausibleSlots::PlausibleSlots(SlotRules rules, WallClock now, UpTime up_time)
    : rules_(rules), now_(std::move(now)), up_time_(std::move(up_time)) {}

sys_seconds PlausibleSlots::system_time() {
  return std::chrono::floor<seconds>(std::chrono::system_clock::now());
}

seconds PlausibleSlots::system_up_time() {
  return std::chrono::floor<seconds>(std::chrono::steady_clock::now().time_since_epoch());
}

void PlausibleSlots::seen(const SlotAnchor& anchor) {
  if (wants_anchor()) seen_ = Seen{anchor, up_time_()};
}

std::uint64_t PlausibleSlots::slots_in(seconds time) const {
  return static_cast<std::uint64_t>(std::max(seconds(0), time) / rules_.slot_duration.value_or(seconds(1)));
}

std::uint64_t PlausibleSlots::begun_at(sys_seconds time) const {
  return slots_in(time - *rules_.genesis);
}

std::uint64_t PlausibleSlots::begun_since_ethereum() const {
  return slots_in(std::max(now_(), kClocksAreLater) - kEthereumBegan);
}

std::uint64_t PlausibleSlots::begun() const {
  const auto running = seen_ ? up_time_() - seen_->up_time : seconds(0);
  if (rules_.genesis) {
    const auto by_clock = begun_at(now_());
    // A client may have been allowed a slot ahead of its time, and a row may have a time that is wrong.
    const auto had_begun = seen_ ? std::min(seen_->anchor.slot.value(), begun_at(seen_->anchor.at)) : 0;
    return std::max(by_clock, sum(had_begun, slots_in(running)));
  }
  if (!seen_) return begun_since_ethereum();
  // Time passes although the clock is behind, or the row's time ahead of it.
  const auto passed = std::max(now_() - seen_->anchor.at, running);
  return std::min(begun_since_ethereum(), sum(seen_->anchor.slot.value(), slots_in(passed)));
}

std::uint64_t PlausibleSlots::slots_ahead() const {
  return rules_.slots_ahead.value_or(rules_.genesis ? SlotRules::kAheadOfClock : SlotRules::kAheadOfSeen);
}

Slot PlausibleSlots::latest_anchor() const {
  return slot_of(sum(begun_since_ethereum(), slots_ahead()));
}

Slot PlausibleSlots::latest() const {
  return slot_of(sum(begun(), slots_ahead()));
}

Slot PlausibleSlots::latest_near() const {
  return slot_of(sum(begun(), rules_.slots_ahead.value_or(SlotRules::kAheadOfClock)));
}

std::optional<InvalidInput> PlausibleSlots::refuse(const Slot& slot, std::string_view field) const {
  const auto most = latest();
  if (slot <= most) return std::nullopt;
  const auto row =
      seen_ ? "slot " + seen_->anchor.slot.to_string() + ", the highest that the rollup had in the store" : "";
  std::string basis = seen_ ? row : "the beginning of Ethereum";
  std::string unless;
  if (rules_.genesis) {
    basis = "the genesis of the rollup by this machine's clock, which says " + shown(now_()) +
            (seen_ ? " (the store: " + row + ", in a row of " + shown(seen_->anchor.at) + ")" : "");
    unless = " unless this clock is wrong";
  }
  return InvalidInput{std::string(field), slot.to_string(),
                      "at most " + most.to_string() + ", counted from " + basis + ": a later slot cannot have begun" +
                          unless +
                          ", and would silence the validator (see "
                          "docs/operating.md, Plausible slots)"};
}

}  // namespace hasigner
