#include "hasigner/cli/nearest.hpp"

#include <algorithm>
#include <vector>

namespace hasigner::cli {

namespace {

/// How many insertions, deletions, replacements and swaps of neighbours make one word of the other.
/// Source: Damerau-Levenshtein, in the variant of optimal string alignment.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({last[j] + 1, current[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) current[j] = std::min(current[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, current);
  }
  return last[b.size()];
}

}  // namespace

std::optional<std::string> nearest(std::string_view typed, std::span<const std::string> known) {
  constexpr std::size_t kLongestWord = 64;  // a longer one is not a typing error
  if (typed.size() > kLongestWord) return std::nullopt;
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(1, typed.size() / 3) + 1;
  for (const auto& word : known) {
    const std::size_t steps = word.starts_with(typed) && typed.size() >= 3 ? 1 : distance(typed, word);
    if (steps < best_distance) {
      best_distance = steps;
      best = word;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view typed, std::span<const std::string> known) {
  const auto word = nearest(typed, known);
  return word ? " (did you mean " + *word + "?)" : "";
}

}  // namespace hasigner::cli
