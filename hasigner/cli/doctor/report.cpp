#include "hasigner/cli/doctor/report.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <ostream>

#include "hasigner/cli/output.hpp"

namespace hasigner::cli::doctor {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMostText = 4'000;
/// Of the longest verdict, with two spaces behind it.
constexpr std::size_t kVerdictWidth = 9;

std::map<Verdict, std::size_t> counts_of(const std::vector<Group>& groups) {
  std::map<Verdict, std::size_t> counts;
  for (const auto& group : groups) {
    for (const auto& finding : group.findings) ++counts[finding.verdict];
  }
  return counts;
}

void print_line(const Finding& finding, const std::string& checks, std::ostream& out) {
  const std::string verdict(to_string(finding.verdict));
  out << "  " << verdict << std::string(kVerdictWidth - verdict.size(), ' ') << checks << ": "
      << (finding.verdict == Verdict::kSkipped ? "because " : "") << printable(finding.found, kMostText) << '\n';
  if (!finding.mend.empty()) {
    out << std::string(2 + kVerdictWidth, ' ') << "mend: " << printable(finding.mend, kMostText) << '\n';
  }
}

/// Neighbours that were skipped for one reason are one line.
void print_findings(const std::vector<Finding>& findings, std::ostream& out) {
  for (auto next = findings.begin(); next != findings.end();) {
    const Finding& finding = *next;
    std::string checks = finding.check;
    const auto is_same = [&](const Finding& other) {
      return other.verdict == Verdict::kSkipped && other.found == finding.found && other.mend == finding.mend;
    };
    for (++next; finding.verdict == Verdict::kSkipped && next != findings.end() && is_same(*next); ++next) {
      checks += ", " + next->check;
    }
    print_line(finding, checks, out);
  }
}

ordered_json finding_json(const Group& group, const Finding& finding) {
  return {{"group", group.title},
          {"check", finding.check},
          {"verdict", to_string(finding.verdict)},
          {"found", printable(finding.found, kMostText)},
          {"mend", finding.mend.empty() ? ordered_json(nullptr) : ordered_json(printable(finding.mend, kMostText))}};
}

}  // namespace

ExitCode exit_code_of(const std::vector<Group>& groups) {
  ExitCode code = ExitCode::kSuccess;
  for (const auto& group : groups) {
    for (const auto& finding : group.findings) {
      if (finding.verdict != Verdict::kFailure) continue;
      if (!finding.unavailable) return ExitCode::kUsage;
      code = ExitCode::kUnavailable;
    }
  }
  return code;
}

void print(const std::vector<Group>& groups, std::ostream& out) {
  for (const auto& group : groups) {
    out << printable(group.title, kMostText) << '\n';
    print_findings(group.findings, out);
    out << '\n';
  }
  auto counts = counts_of(groups);
  std::size_t all = 0;
  for (const auto& [verdict, count] : counts) all += count;
  out << count_of(all, "check") << ": " << counts[Verdict::kOk] << " ok, "
      << count_of(counts[Verdict::kWarning], "warning") << ", " << count_of(counts[Verdict::kFailure], "failure")
      << ", " << counts[Verdict::kSkipped] << " skipped\n";
}

void print_json(const std::vector<Group>& groups, std::ostream& out) {
  auto checks = ordered_json::array();
  for (const auto& group : groups) {
    for (const auto& finding : group.findings) checks.push_back(finding_json(group, finding));
  }
  ordered_json counts;
  auto found = counts_of(groups);
  for (const auto verdict : {Verdict::kOk, Verdict::kWarning, Verdict::kFailure, Verdict::kSkipped}) {
    counts[std::string(to_string(verdict))] = found[verdict];
  }
  cli::print_json(out, {{"checks", std::move(checks)},
                        {"counts", std::move(counts)},
                        {"exit_code", static_cast<int>(exit_code_of(groups))}});
}

}  // namespace hasigner::cli::doctor
