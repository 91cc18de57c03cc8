#pragma once

#include <algorithm>
#include <functional>

namespace hasigner::cli {

/// Whether one of the elements, or what `projection` makes of it, is `value`.
template <class Range, class Value, class Projection = std::identity>
[[nodiscard]] bool contains(const Range& range, const Value& value, Projection projection = {}) {
  return std::ranges::find(range, value, projection) != std::ranges::end(range);
}

}  // namespace hasigner::cli
