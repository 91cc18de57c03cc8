#pragma once

#include <optional>
#include <string>

#include "hasigner/cli/command.hpp"
#include "hasigner/protection/history.hpp"

namespace hasigner::cli {

/// The options that say which duties are meant.
struct DutyFilterOptions {
  std::optional<std::string> rollup, validator, slot, from_slot, to_slot, duty_type, status, node, limit;

  void add_to(CLI::App& app);
  /// Throws CommandError for a value that is wrong, or for options that contradict each other.
  [[nodiscard]] DutyFilter filter(std::size_t default_limit) const;
};

}  // namespace hasigner::cli
