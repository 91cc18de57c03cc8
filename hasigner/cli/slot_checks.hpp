#pragma once

#include <map>
#include <string>
#include <vector>

#include "hasigner/cli/database.hpp"
#include "hasigner/cli/settings.hpp"
#include "hasigner/protection/plausible_slots.hpp"

namespace hasigner::cli {

/// Errors: CommandError where a genesis time comes without a slot duration.
[[nodiscard]] SlotRules slot_rules(const Settings& settings);

/// The plausible slots of each rollup of a database.
class SlotChecks {
 public:
  SlotChecks(SlotRules rules, Database& database) : rules_(rules), database_(database) {}

  /// Reads the anchor of a rollup when it is first asked for. `rollup`: text of a row, which may be no address.
  [[nodiscard]] const PlausibleSlots& of(const std::string& rollup);
  /// Takes out each duty whose slot is not plausible, lowers each such watermark to the latest plausible slot, and says
  /// of each what is wrong with it. The lower watermark still protects every slot that can have begun.
  [[nodiscard]] std::vector<std::string> take_out_implausible(HistorySnapshot& snapshot);

 private:
  SlotRules rules_;
  Database& database_;
  std::map<std::string, PlausibleSlots> by_rollup_;
};

}  // namespace hasigner::cli
