#include "hasigner/duty/duty.hpp"

#include <limits>

namespace hasigner {

std::string_view to_string(DutyType type) {
  switch (type) {
    case DutyType::kBlockProposal: return "BLOCK_PROPOSAL";
    case DutyType::kCheckpointProposal: return "CHECKPOINT_PROPOSAL";
    case DutyType::kAttestation: return "ATTESTATION";
    case DutyType::kAttestationsAndSigners: return "ATTESTATIONS_AND_SIGNERS";
    case DutyType::kGovernanceVote: return "GOVERNANCE_VOTE";
    case DutyType::kSlashingVote: return "SLASHING_VOTE";
    case DutyType::kAuthRequest: return "AUTH_REQUEST";
    case DutyType::kTxs: return "TXS";
  }
  return "unknown";
}

Parsed<DutyType> parse_duty_type(std::string_view text) {
  for (int i = 0; i <= static_cast<int>(DutyType::kTxs); ++i) {
    const auto type = static_cast<DutyType>(i);
    if (to_string(type) == text) return type;
  }
  return std::unexpected(InvalidInput{"duty type", printable(text),
                                      "BLOCK_PROPOSAL, CHECKPOINT_PROPOSAL, ATTESTATION, ATTESTATIONS_AND_SIGNERS, "
                                      "GOVERNANCE_VOTE, SLASHING_VOTE, AUTH_REQUEST or TXS"});
}

bool is_protected(DutyType type) {
  return type != DutyType::kAuthRequest && type != DutyType::kTxs;
}

std::string DutyKey::describe() const {
  std::string text =
      std::string(to_string(duty_type)) + " of " + validator.to_string() + " for slot " + slot.to_string();
  if (block_index != kNoBlockIndex) text += ", block index " + std::to_string(block_index);
  return text;
}

std::size_t DutyKeyHash::operator()(const DutyKey& key) const {
  std::size_t hash = BytesHash<EthAddress>{}(key.validator);
  for (const std::uint64_t part : {static_cast<std::uint64_t>(BytesHash<EthAddress>{}(key.rollup)), key.slot.value(),
                                   static_cast<std::uint64_t>(key.duty_type),
                                   static_cast<std::uint64_t>(static_cast<std::uint32_t>(key.block_index))}) {
    hash = (hash ^ part) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 29;
  }
  return hash;
}

Parsed<Duty> make_duty(const EthAddress& rollup, const EthAddress& validator, const MessageHash& message_hash,
                       const SigningContext& context) {
  if (!is_protected(context.duty_type)) {
    return std::unexpected(InvalidInput{"duty type", std::string(to_string(context.duty_type)),
                                        "a protected duty type (this one is signed directly)"});
  }
  Duty duty{.key = {rollup, validator, context.slot, context.duty_type, kNoBlockIndex},
            .block_number = context.block_number.value_or(BlockNumber{}),
            .checkpoint_number = context.checkpoint_number.value_or(CheckpointNumber{}),
            .message_hash = message_hash};
  if (context.duty_type == DutyType::kBlockProposal) {
    if (!context.block_index || *context.block_index < 0 ||
        *context.block_index > std::numeric_limits<std::int32_t>::max()) {
      return std::unexpected(InvalidInput{"block index",
                                          context.block_index ? std::to_string(*context.block_index) : "missing",
                                          "a whole number from 0 to 2147483647 for BLOCK_PROPOSAL"});
    }
    duty.key.block_index = static_cast<std::int32_t>(*context.block_index);
  } else if (context.block_index && *context.block_index != kNoBlockIndex) {
    return std::unexpected(InvalidInput{"block index", std::to_string(*context.block_index),
                                        "left out (or -1) for " + std::string(to_string(context.duty_type))});
  }
  return duty;
}

}  // namespace hasigner
