#include "hasigner/store/rows/highest_slots.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "hasigner/store/rows/table_row.hpp"

namespace hasigner {

void raise_to_highest_slots(HistorySnapshot& snapshot) {
  std::map<std::array<std::string, 3>, WatermarkEntry> kinds;
  const auto kind = [&kinds](const auto& entry) -> WatermarkEntry& {
    std::array<std::string, 3> key = {lower_case(entry.rollup), lower_case(entry.validator), entry.duty_type};
    return kinds.try_emplace(key, WatermarkEntry{key[0], key[1], key[2], {}, {}}).first->second;
  };
  for (const auto& entry : snapshot.watermarks) {
    WatermarkEntry& stored = kind(entry);
    stored.watermarks.low = std::max(stored.watermarks.low, entry.watermarks.low);
    if (!stored.watermarks.high || (entry.watermarks.high && *entry.watermarks.high < *stored.watermarks.high)) {
      stored.watermarks.high = entry.watermarks.high;
    }
  }
  for (const auto& duty : snapshot.duties) {
    const auto slot = Slot::parse(duty.slot);  // a foreign row's slot below zero bounds nothing
    if (duty.status != "signed" || !slot) continue;
    WatermarkEntry& stored = kind(duty);
    stored.watermarks.low = std::max(stored.watermarks.low, std::optional(*slot));
  }
  snapshot.watermarks.clear();
  for (auto& [key, entry] : kinds) snapshot.watermarks.push_back(std::move(entry));
}

}  // namespace hasigner
