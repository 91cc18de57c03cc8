#include "hasigner/cli/demo_duties.hpp"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "hasigner/crypto/keccak.hpp"
#include "hasigner/duty/assert.hpp"

namespace hasigner::cli {

namespace {

struct Kind {
  DutyType type;
  std::optional<std::int64_t> block_index;
};

constexpr std::array<Kind, DemoDuties::kPerValidator> kKinds = {{
    {DutyType::kBlockProposal, 0},
    {DutyType::kBlockProposal, 1},
    {DutyType::kCheckpointProposal, std::nullopt},
    {DutyType::kAttestation, std::nullopt},
    {DutyType::kAttestationsAndSigners, std::nullopt},
    {DutyType::kGovernanceVote, std::nullopt},
    {DutyType::kSlashingVote, std::nullopt},
}};

const Kind& kind_of(std::size_t duty) {
  return kKinds.at(duty % kKinds.size());
}

}  // namespace

DemoDuties::DemoDuties(EthAddress rollup, std::vector<EthAddress> validators, std::size_t slots)
    : rollup_(rollup), validators_(std::move(validators)), slots_(slots) {
  HASIGNER_ASSERT(!validators_.empty());
}

const EthAddress& DemoDuties::validator_of(std::size_t duty) const {
  return validators_.at(validator_index_of(duty));
}

SigningContext DemoDuties::context_of(std::size_t duty) const {
  const auto number = slot_index_of(duty) + 1;
  const auto& kind = kind_of(duty);
  SigningContext context{.duty_type = kind.type, .slot = *Slot::from(number)};
  context.block_index = kind.block_index;
  if (kind.block_index)
    context.block_number = BlockNumber::from(10 * number + static_cast<std::uint64_t>(*kind.block_index)).value();
  if (differs_by_node(duty) || kind.type == DutyType::kAttestation)
    context.checkpoint_number = CheckpointNumber::from(number).value();
  return context;
}

bool DemoDuties::differs_by_node(std::size_t duty) const {
  const auto type = kind_of(duty).type;
  return type == DutyType::kBlockProposal || type == DutyType::kCheckpointProposal;
}

MessageHash DemoDuties::message_of(std::size_t duty, std::string_view author) const {
  std::string text =
      "demo duty " + std::to_string(duty) + " of " + rollup_.to_string() + " by " + validator_of(duty).to_string();
  if (differs_by_node(duty)) text += ", made by " + std::string(author);
  return MessageHash(keccak256(text));
}

}  // namespace hasigner::cli
