#pragma once

#include <iosfwd>
#include <vector>

#include "hasigner/cli/doctor/finding.hpp"
#include "hasigner/cli/exit_code.hpp"

namespace hasigner::cli::doctor {

/// kSuccess without failures; kUnavailable where every failure is something that did not answer; otherwise kUsage.
[[nodiscard]] ExitCode exit_code_of(const std::vector<Group>& groups);

void print(const std::vector<Group>& groups, std::ostream& out);
void print_json(const std::vector<Group>& groups, std::ostream& out);

}  // namespace hasigner::cli::doctor
