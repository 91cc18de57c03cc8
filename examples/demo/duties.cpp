#include "examples/demo/duties.hpp"

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "hasigner/hasigner.hpp"

namespace hasigner::demo {

namespace {

struct Kind {
  DutyType type;
  std::optional<std::int64_t> block_index;
};

constexpr std::array<Kind, Duties::kPerValidator> kKinds = {{
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

Duties::Duties(EthAddress rollup, std::vector<EthAddress> validators, std::size_t slots)
    : rollup_(rollup), validators_(std::move(validators)), slots_(slots) {}

const EthAddress& Duties::validator_of(std::size_t duty) const {
  return validators_.at(validator_index_of(duty));
}

SigningContext Duties::context_of(std::size_t duty) const {
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

bool Duties::differs_by_node(std::size_t duty) const {
  const auto type = kind_of(duty).type;
  return type == DutyType::kBlockProposal || type == DutyType::kCheckpointProposal;
}

MessageHash Duties::message_of(std::size_t duty, std::string_view author) const {
  std::string text =
      "demo duty " + std::to_string(duty) + " of " + rollup_.to_string() + " by " + validator_of(duty).to_string();
  if (differs_by_node(duty)) text += ", made by " + std::string(author);
  return personal_message_digest(std::vector<std::uint8_t>(text.begin(), text.end()));
}

}  // namespace hasigner::demo
