#pragma once

#include <set>
#include <string>
#include <string_view>

#include "hasigner/protection/reached_slots.hpp"

namespace hasigner {

/// What a node's journal keeps for its FailoverGuard.
struct GuardMemory {
  std::string cleared_in;        ///< the history in which the node was cleared last, in one line; empty: never
  std::set<std::string> alive;   ///< other nodes that kept a journal and lived
  std::set<std::string> listed;  ///< other nodes that keep a journal, or did
  ReachedSlots slots;            ///< the highest of any node

  [[nodiscard]] std::string text() const;
  /// Leaves out what it cannot read.
  [[nodiscard]] static GuardMemory parse(std::string_view text);
};

}  // namespace hasigner
