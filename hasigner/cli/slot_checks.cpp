#include "hasigner/cli/slot_checks.hpp"

#include "hasigner/factory/seen_slots.hpp"

namespace hasigner::cli {

SlotRules slot_rules(const Settings& settings) {
  SlotRules rules;
  if (const auto seconds = settings.number(SettingId::kGenesisTime)) {
    if (!settings.is_set(SettingId::kSlotDurationS)) {
      throw CommandError(ExitCode::kUsage, settings.value(SettingId::kGenesisTime).given_as +
                                               " needs the length of a slot, too: give --slot-duration-s, or set "
                                               "AZTEC_SLOT_DURATION");
    }
    rules.genesis = std::chrono::sys_seconds(std::chrono::seconds(*seconds));
  }
  if (const auto seconds = settings.number(SettingId::kSlotDurationS)) {
    rules.slot_duration = std::chrono::seconds(*seconds);
  }
  rules.slots_ahead = settings.number(SettingId::kSlotsAhead);
  return rules;
}

const PlausibleSlots& SlotChecks::of(const std::string& rollup) {
  const auto [found, is_new] = by_rollup_.try_emplace(rollup, rules_);
  auto& slots = found->second;
  const auto address = EthAddress::try_parse(rollup);
  if (is_new && address && slots.wants_anchor()) {
    const auto anchor = database_.wait_for(
        highest_seen_slot(database_.shared_history(), *address, slots.latest_anchor(), Database::within(kLookTimeout)));
    if (anchor) slots.seen(*anchor);
  }
  return slots;
}

std::vector<std::string> SlotChecks::take_out_implausible(HistorySnapshot& snapshot) {
  std::vector<std::string> sentences;
  const auto name = [](std::string_view what, const auto& entry) {
    return std::string(what) + printable(entry.duty_type) + " of validator " + printable(entry.validator) +
           " and rollup " + printable(entry.rollup) + ": ";
  };
  std::erase_if(snapshot.duties, [&](const DutyEntry& duty) {
    const auto slot = Slot::parse(duty.slot);  // a foreign row's slot below zero silences no validator
    const auto refused = slot ? of(duty.rollup).refuse(*slot) : std::nullopt;
    if (refused) sentences.push_back(name("the duty ", duty) + refused->message());
    return refused.has_value();
  });
  for (WatermarkEntry& entry : snapshot.watermarks) {
    auto& low = entry.watermarks.low;
    const auto refused = low ? of(entry.rollup).refuse(*low, "low_slot") : std::nullopt;
    if (!refused) continue;
    sentences.push_back(name("the watermark of ", entry) + refused->message());
    low = of(entry.rollup).latest();
  }
  return sentences;
}

}  // namespace hasigner::cli
