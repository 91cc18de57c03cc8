#include "hasigner/cli/duty_filter.hpp"

#include <CLI/CLI.hpp>

#include "hasigner/cli/exit_code.hpp"

namespace hasigner::cli {

namespace {

constexpr std::uint64_t kMostRows = 1'000'000;

/// As parse_duty_type(), without the types that are never recorded.
DutyType protected_type(const std::string& text) {
  const auto type = parse_duty_type(text);
  if (type && is_protected(*type)) return *type;
  throw CommandError(
      InvalidInput{"--duty-type", printable(text),
                   "BLOCK_PROPOSAL, CHECKPOINT_PROPOSAL, ATTESTATION, ATTESTATIONS_AND_SIGNERS, GOVERNANCE_VOTE "
                   "or SLASHING_VOTE"});
}

DutyStatus status_of(const std::string& text) {
  if (text == "signing") return DutyStatus::kSigning;
  if (text == "signed") return DutyStatus::kSigned;
  throw CommandError(InvalidInput{"--status", printable(text), "signing or signed"});
}

std::size_t limit_of(const std::string& text) {
  const auto number = Slot::parse(text);
  if (number && number->value() >= 1 && number->value() <= kMostRows) return number->value();
  throw CommandError(InvalidInput{"--limit", printable(text), "a whole number from 1 to " + std::to_string(kMostRows)});
}

}  // namespace

void DutyFilterOptions::add_to(CLI::App& app) {
  const auto add = [&app](const char* name, std::optional<std::string>& value, const char* type, const char* meaning) {
    app.add_option(name, value, meaning)->type_name(type)->group("Which duties");
  };
  add("--rollup", rollup, "ADDRESS", "Of this rollup");
  add("--validator", validator, "ADDRESS", "Of this validator");
  add("--slot", slot, "N", "Of this slot");
  add("--from-slot", from_slot, "N", "Of this slot or later ones");
  add("--to-slot", to_slot, "N", "Of this slot or earlier ones");
  add("--duty-type", duty_type, "DUTY_TYPE", "Of this type, such as BLOCK_PROPOSAL");
  add("--status", status, "STATUS", "signing or signed");
  add("--node", node, "ID", "Held or signed by this node");
  add("--limit", limit, "N", "The newest N");
}

DutyFilter DutyFilterOptions::filter(std::size_t default_limit) const {
  DutyFilter filter;
  if (slot && (from_slot || to_slot))
    throw CommandError(ExitCode::kUsage, "--slot and --from-slot or --to-slot contradict each other");
  if (rollup) filter.rollup = accepted(EthAddress::parse(*rollup, "--rollup"));
  if (validator) filter.validator = accepted(EthAddress::parse(*validator, "--validator"));
  if (from_slot) filter.from_slot = accepted(Slot::parse(*from_slot, "--from-slot"));
  if (to_slot) filter.to_slot = accepted(Slot::parse(*to_slot, "--to-slot"));
  if (slot) filter.from_slot = filter.to_slot = accepted(Slot::parse(*slot, "--slot"));
  if (filter.from_slot && filter.to_slot && *filter.from_slot > *filter.to_slot) {
    throw CommandError(InvalidInput{"--from-slot", filter.from_slot->to_string(),
                                    "at most --to-slot, which is " + filter.to_slot->to_string()});
  }
  if (duty_type) filter.duty_type = protected_type(*duty_type);
  if (status) filter.status = status_of(*status);
  if (node) filter.node_id = accepted(NodeId::parse(*node, "--node")).str();
  filter.limit = limit ? limit_of(*limit) : default_limit;
  return filter;
}

}  // namespace hasigner::cli
