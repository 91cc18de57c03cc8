#include "hasigner/service/aztec_payload.hpp"

#include <array>
#include <charconv>
#include <span>

#include "hasigner/crypto/json.hpp"

namespace hasigner::service {

namespace {

constexpr std::string_view kRollupDomain = "Aztec Rollup";
constexpr std::string_view kDomainVersion = "1";

struct Kind {
  std::string_view primary_type;
  DutyType duty_type;
};
constexpr std::array kKinds = {
    Kind{"BlockProposal", DutyType::kBlockProposal},
    Kind{"CheckpointProposal", DutyType::kCheckpointProposal},
    Kind{"CheckpointAttestation", DutyType::kAttestation},
    Kind{"AttestationsAndSigners", DutyType::kAttestationsAndSigners},
    Kind{"SignedTxs", DutyType::kTxs},
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
  for (const auto& kind : kKinds) {
    if (kind.primary_type == primary_type) return kind.duty_type;
  }
  return std::nullopt;
}

const VoteKind* vote_kind_of(const TypedDataDomain& domain) {
  for (const auto& kind : kVoteKinds) {
    if (kind.domain == domain.name) return &kind;
  }
  return nullptr;
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

bool has_fields(const JsonValue* type, std::span<const Field> fields) {
  if (!type || type->items().size() != fields.size()) return false;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto* const name = type->items()[i].find("name");
    const auto* const type_name = type->items()[i].find("type");
    if (!name || !type_name || name->text() != fields[i].name || type_name->text() != fields[i].type) return false;
  }
  return true;
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

AztecPayload read_vote(const TypedData& typed_data, const VoteKind& kind, const SigningDomain& ours) {
  AztecPayload payload;
  if (typed_data.primary_type != kind.primary_type) return payload;
  payload.duty_type = kind.duty_type;
  payload.wrong = wrong_chain(typed_data.domain, ours);
  if (payload.wrong) return payload;
  const auto document = JsonValue::parse(typed_data.json, "typed data");
  const auto* const types = document ? document->find("types") : nullptr;
  const auto* const message = document ? document->find("message") : nullptr;
  if (!types || !message || !has_fields(types->find(kind.primary_type), kind.fields)) {
    payload.wrong = "its type " + std::string(kind.primary_type) + " does not have the fields of such a vote";
    return payload;
  }
  const auto* const slot = message->find("slot");
  payload.slot = slot ? slot_of(slot->text()) : std::nullopt;
  if (!payload.slot) {
    payload.wrong = "its slot is not a slot";
    return payload;
  }
  const auto* const instance = message->find("instance");
  const auto rollup = instance ? EthAddress::try_parse(instance->text()) : std::optional(ours.rollup);
  if (rollup != ours.rollup) {
    payload.wrong = "its instance is " + printable(instance->text()) + ", but this service signs for rollup " +
                    ours.rollup.to_string();
  }
  return payload;
}

}  // namespace

std::optional<AztecPayload> aztec_payload(const TypedData& typed_data, const SigningDomain& ours) {
  const auto& domain = typed_data.domain;
  if (const auto* const vote = vote_kind_of(domain)) return read_vote(typed_data, *vote, ours);
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
           ", and the signing context says " + std::string(to_string(context->duty_type));
  }
  if (payload->slot && *payload->slot != context->slot) {
    return refused + "it is for slot " + payload->slot->to_string() + ", and the signing context says slot " +
           context->slot.to_string();
  }
  return std::nullopt;
}

}  // namespace hasigner::service
