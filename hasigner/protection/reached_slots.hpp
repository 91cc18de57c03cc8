#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "hasigner/duty/duty.hpp"

namespace hasigner {

/// The highest slots that nodes were asked for.
struct ReachedSlots {
  std::map<EthAddress, Slot> near;  ///< by rollup: of all validators, and no later than duties can be now
  /// By rollup and validator: later than that, so it says nothing about other validators.
  std::map<std::pair<EthAddress, EthAddress>, Slot> far;

  void add(const ReachedSlots& others);
  /// Of this program only: `ROLLUP:SLOT` and `ROLLUP/VALIDATOR:SLOT`, separated by spaces.
  [[nodiscard]] std::string text() const;
  /// Leaves out what it cannot read.
  [[nodiscard]] static ReachedSlots parse(std::string_view text);

  friend bool operator==(const ReachedSlots&, const ReachedSlots&) = default;
};

}  // namespace hasigner
