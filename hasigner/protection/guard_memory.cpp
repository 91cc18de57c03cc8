#include "hasigner/protection/guard_memory.hpp"

#include <algorithm>

namespace hasigner {

namespace {

constexpr std::string_view kAlive = "alive ", kListed = "listed ", kSlots = "slots ";

}  // namespace

/// A line for each, since node ids have no control characters.
std::string GuardMemory::text() const {
  std::string text = cleared_in;
  const auto add = [&text](std::string_view what, const std::string& value) {
    text += "\n" + std::string(what) + value;
  };
  for (const auto& node_id : alive) add(kAlive, node_id);
  for (const auto& node_id : listed) add(kListed, node_id);
  if (auto reached = slots.text(); !reached.empty()) add(kSlots, reached);
  return text;
}

GuardMemory GuardMemory::parse(std::string_view text) {
  GuardMemory memory;
  for (bool is_first = true; is_first || !text.empty(); is_first = false) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (is_first) {
      memory.cleared_in = line;
    } else if (line.starts_with(kAlive)) {
      memory.alive.emplace(line.substr(kAlive.size()));
    } else if (line.starts_with(kListed)) {
      memory.listed.emplace(line.substr(kListed.size()));
    } else if (line.starts_with(kSlots)) {
      memory.slots = ReachedSlots::parse(line.substr(kSlots.size()));
    }
  }
  return memory;
}

}  // namespace hasigner
