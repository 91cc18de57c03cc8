#include "hasigner/service/aztec_payload.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace hasigner::service {

namespace {

constexpr std::string_view kRollupDomain = "Aztec Rollup";
constexpr std::string_view kDomainVersion = "1";

struct PayloadKind {
  std::string_view primary_type;
  DutyType duty_type;
};
constexpr std::array kPayloadKinds = {
    PayloadKind{"BlockProposal", DutyType::kBlockProposal},
    PayloadKind{"CheckpointProposal", DutyType::kCheckpointProposal},
    PayloadKind{"CheckpointAttestation", DutyType::kAttestation},
    PayloadKind{"AttestationsAndSigners", DutyType::kAttestationsAndSigners},
    PayloadKind{"SignedTxs", DutyType::kTxs},
};

struct Field {
  std::string_view name, type;
};
constexpr std::array kSignalFields = {Field{"payload", "address"}, Field{"slot", "uint256"},
                                      Field{"instance", "address"}};
constexpr std::array kVoteFields = {Field{"votes", "bytes"}, Field{"slot", "uint256"}};

struct VoteKind {
  std::string_view domain;
  std::string_view primary_type;
  DutyType duty_type;
  std::span<const Field> fields;
};
constexpr std::array kVoteKinds = {
    VoteKind{"EmpireBase", "Signal", DutyType::kGovernanceVote, kSignalFields},
    VoteKind{"SlashingProposer", "Vote", DutyType::kSlashingVote, kVoteFields},
    VoteKind{"TallySlashingProposer", "Vote", DutyType::kSlashingVote, kVoteFields},
};

std::optional<DutyType> duty_type_of(std::string_view primary_type) {
  for (const auto& kind : kPayloadKinds) {
    if (kind.primary_type == primary_type) return kind.duty_type;
  }
  return std::nullopt;
}

/// What is wrong with version and chain of a domain.
std::optional<std::string> wrong_chain(const TypedDataDomain& domain, const SigningDomain& ours) {
  if (domain.version != kDomainVersion) return "the version of its domain is not 1";
  if (!domain.chain_id) return "its domain has no chainId";
  if (*domain.chain_id != ours.chain_id) {
    return "its chainId is " + printable(*domain.chain_id) + ", but this service signs for chain " + ours.chain_id;
  }
  if (!domain.verifying_contract) return "its domain has no verifyingContract";
  return std::nullopt;
}

/// What is wrong with the domain of a payload of the rollup.
std::optional<std::string> wrong_domain(const TypedDataDomain& domain, const SigningDomain& ours) {
  if (domain.name != kRollupDomain) return "its domain names our rollup but is not called Aztec Rollup";
  if (auto wrong = wrong_chain(domain, ours)) return wrong;
  if (*domain.verifying_contract != ours.rollup) {
    return "its rollup is " + domain.verifying_contract->to_string() + ", but this service signs for rollup " +
           ours.rollup.to_string();
  }
  return std::nullopt;
}

bool has_fields(const TypedData& typed_data, std::span<const Field> fields) {
  return std::ranges::equal(typed_data.fields, fields, [](const TypedField& has, const Field& wanted) {
    return has.name == wanted.name && has.type == wanted.type;
  });
}

const VoteKind* vote_kind_of(const TypedData& typed_data) {
  for (const auto& kind : kVoteKinds) {
    if (kind.domain == typed_data.domain.name) return &kind;
  }
  for (const auto& kind : kVoteKinds) {
    if (kind.primary_type == typed_data.primary_type && has_fields(typed_data, kind.fields)) return &kind;
  }
  return nullptr;
}

DutyType duty_type_of(const VoteKind& kind, const TypedDataDomain& domain, const SigningDomain& ours) {
  const auto& slashes = ours.empire_slashing_proposer;
  const bool is_slashing = kind.primary_type == "Signal" && slashes && domain.verifying_contract == slashes;
  return is_slashing ? DutyType::kSlashingVote : kind.duty_type;
}

/// The text of a field of the message. Returns nullopt when it has none of this name.
std::optional<std::string_view> value_of(const TypedData& typed_data, std::string_view name) {
  const auto field = std::ranges::find(typed_data.fields, name, &TypedField::name);
  return field == typed_data.fields.end() ? std::nullopt : std::optional<std::string_view>(field->value);
}

std::optional<Slot> slot_of(std::string_view text) {
  if (!text.starts_with("0x")) {
    const auto slot = Slot::parse(text);
    return slot ? std::optional(*slot) : std::nullopt;
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  const auto slot = Slot::from(value);
  return slot ? std::optional(*slot) : std::nullopt;
}

/// What is wrong with a vote that has the primary type of its kind.
std::optional<std::string> wrong_vote(const TypedData& typed_data, const VoteKind& kind, const SigningDomain& ours) {
  if (typed_data.domain.name != kind.domain) {
    return "it is a vote by its type, and its domain is not called EmpireBase, SlashingProposer or "
           "TallySlashingProposer";
  }
  if (auto wrong = wrong_chain(typed_data.domain, ours)) return wrong;
  if (!has_fields(typed_data, kind.fields)) {
    return "its type " + std::string(kind.primary_type) + " does not have the fields of such a vote";
  }
  if (!slot_of(value_of(typed_data, "slot").value_or(""))) return "its slot is not a slot";
  const auto instance = value_of(typed_data, "instance");
  if (instance && EthAddress::try_parse(*instance) != ours.rollup) {
    return "its instance is " + printable(*instance) + ", but this service signs for rollup " + ours.rollup.to_string();
  }
  return std::nullopt;
}

AztecPayload read_vote(const TypedData& typed_data, const VoteKind& kind, const SigningDomain& ours) {
  AztecPayload payload;
  if (typed_data.primary_type != kind.primary_type) return payload;
  payload.duty_type = duty_type_of(kind, typed_data.domain, ours);
  payload.wrong = wrong_vote(typed_data, kind, ours);
  if (!payload.wrong) payload.slot = slot_of(*value_of(typed_data, "slot"));
  return payload;
}

/// What a person can do about a signal that is meant as a slashing vote.
std::string_view advice(const TypedData& typed_data, DutyType duty_type, DutyType wanted) {
  const bool may_slash = typed_data.primary_type == "Signal" && duty_type == DutyType::kGovernanceVote &&
                         wanted == DutyType::kSlashingVote;
  return may_slash ? "; if its contract is the rollup's empire slashing proposer, name it with "
                     "--empire-slashing-proposer"
                   : "";
}

}  // namespace

std::optional<AztecPayload> aztec_payload(const TypedData& typed_data, const SigningDomain& ours) {
  const auto& domain = typed_data.domain;
  if (const auto* const vote = vote_kind_of(typed_data)) return read_vote(typed_data, *vote, ours);
  const auto duty_type = duty_type_of(typed_data.primary_type);
  const bool at_our_rollup = domain.verifying_contract == ours.rollup;
  if (domain.name != kRollupDomain && !(at_our_rollup && duty_type)) return std::nullopt;
  return AztecPayload{.duty_type = duty_type, .slot = {}, .wrong = wrong_domain(domain, ours)};
}

std::optional<std::string> refuse_payload(const TypedData& typed_data, const std::optional<SigningContext>& context,
                                          const SigningDomain& ours) {
  const auto payload = aztec_payload(typed_data, ours);
  if (!payload) return std::nullopt;
  const std::string refused = "the typed data is an Aztec payload, but ";
  if (payload->wrong) return refused + *payload->wrong;
  const auto shown = printable(typed_data.primary_type);
  if (!payload->duty_type) return refused + "no duty signs its primary type " + shown;
  if (!context) {
    if (!is_protected(*payload->duty_type)) return std::nullopt;
    return refused + "comes without the signing context of its duty type " +
           std::string(to_string(*payload->duty_type)) + ", so it cannot be protected";
  }
  if (context->duty_type != *payload->duty_type) {
    return refused + "its primary type " + shown + " is of duty type " + std::string(to_string(*payload->duty_type)) +
           ", and the signing context says " + std::string(to_string(context->duty_type)) +
           std::string(advice(typed_data, *payload->duty_type, context->duty_type));
  }
  if (payload->slot && *payload->slot != context->slot) {
    return refused + "it is for slot " + payload->slot->to_string() + ", and the signing context says slot " +
           context->slot.to_string();
  }
  return std::nullopt;
}

}  // namespace hasigner::service
