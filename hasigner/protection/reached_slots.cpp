#include "hasigner/protection/reached_slots.hpp"

#include <algorithm>

namespace hasigner {

void ReachedSlots::add(const ReachedSlots& others) {
  const auto raise = [](auto& slots, const auto& higher) {
    for (const auto& [key, slot] : higher) {
      const auto [highest, is_new] = slots.try_emplace(key, slot);
      if (!is_new) highest->second = std::max(highest->second, slot);
    }
  };
  raise(near, others.near);
  raise(far, others.far);
}

std::string ReachedSlots::text() const {
  std::string text;
  const auto add_one = [&text](const std::string& whose, const Slot& slot) {
    text += (text.empty() ? "" : " ") + whose + ":" + slot.to_string();
  };
  for (const auto& [rollup, slot] : near) add_one(rollup.to_string(), slot);
  for (const auto& [duties, slot] : far) add_one(duties.first.to_string() + "/" + duties.second.to_string(), slot);
  return text;
}

ReachedSlots ReachedSlots::parse(std::string_view text) {
  ReachedSlots slots;
  while (!text.empty()) {
    const auto one = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    const auto colon = one.find(':');
    if (colon == std::string_view::npos) continue;
    const auto whose = one.substr(0, colon);
    const auto slash = whose.find('/');
    const auto rollup = EthAddress::try_parse(whose.substr(0, slash));
    const auto slot = Slot::parse(one.substr(colon + 1));
    if (!rollup || !slot) continue;
    if (slash == std::string_view::npos) {
      slots.near[*rollup] = *slot;
    } else if (const auto validator = EthAddress::try_parse(whose.substr(slash + 1))) {
      slots.far[{*rollup, *validator}] = *slot;
    }
  }
  return slots;
}

}  // namespace hasigner
