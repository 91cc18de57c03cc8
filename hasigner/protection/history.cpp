#include "hasigner/protection/history.hpp"

namespace hasigner {

Watermarks WatermarkChange::applied_to(const Watermarks& before) const {
  return {.low = low.value_or(before.low), .high = high.value_or(before.high)};
}

bool WatermarkChange::may_turn(const Watermarks& before, const Watermarks& after) const {
  return extent == Extent::kAny || !allows_more(before, after);
}

std::string validator_text(const std::optional<EthAddress>& validator) {
  return validator ? validator->to_string() : std::string(kEveryValidator);
}

bool allows_more(const Watermarks& before, const Watermarks& after) {
  const bool lower_low = before.low && (!after.low || *after.low < *before.low);
  const bool higher_high = before.high && (!after.high || *after.high > *before.high);
  return lower_low || higher_high;
}

}  // namespace hasigner
