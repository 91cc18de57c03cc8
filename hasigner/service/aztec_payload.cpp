#include "hasigner/service/aztec_payload.hpp"

#include <array>

namespace hasigner::service {

namespace {

constexpr std::string_view kDomainName = "Aztec Rollup";
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

std::optional<DutyType> duty_type_of(std::string_view primary_type) {
  for (const auto& kind : kKinds) {
    if (kind.primary_type == primary_type) return kind.duty_type;
  }
  return std::nullopt;
}

/// What is wrong with the domain of a payload.
std::optional<std::string> wrong_domain(const TypedDataDomain& domain, const SigningDomain& ours) {
  if (domain.name != kDomainName) return "its domain names our rollup but is not called Aztec Rollup";
  if (domain.version != kDomainVersion) return "the version of its domain is not 1";
  if (!domain.chain_id) return "its domain has no chainId";
  if (*domain.chain_id != ours.chain_id) {
    return "its chainId is " + printable(*domain.chain_id) + ", but this service signs for chain " + ours.chain_id;
  }
  if (!domain.verifying_contract) return "its domain has no verifyingContract";
  if (*domain.verifying_contract != ours.rollup) {
    return "its rollup is " + domain.verifying_contract->to_string() + ", but this service signs for rollup " +
           ours.rollup.to_string();
  }
  return std::nullopt;
}

}  // namespace

std::optional<AztecPayload> aztec_payload(const TypedData& typed_data, const SigningDomain& ours) {
  const auto& domain = typed_data.domain;
  const bool named = domain.name == kDomainName;
  const bool is_aztec_kind = duty_type_of(typed_data.primary_type).has_value();
  const bool at_our_rollup = domain.verifying_contract == ours.rollup;
  if (!named && !(at_our_rollup && is_aztec_kind)) return std::nullopt;
  return AztecPayload{duty_type_of(typed_data.primary_type)};
}

std::optional<std::string> refuse_payload(const TypedData& typed_data, std::optional<DutyType> duty_type,
                                          const SigningDomain& ours) {
  const auto payload = aztec_payload(typed_data, ours);
  if (!payload) return std::nullopt;
  const std::string refused = "the typed data is an Aztec payload, but ";
  if (auto wrong = wrong_domain(typed_data.domain, ours)) return refused + *wrong;
  const auto shown = printable(typed_data.primary_type);
  if (!payload->duty_type) return refused + "no duty signs its primary type " + shown;
  if (duty_type == payload->duty_type) return std::nullopt;
  if (duty_type) {
    return refused + "its primary type " + shown + " is of duty type " + std::string(to_string(*payload->duty_type)) +
           ", and the signing context says " + std::string(to_string(*duty_type));
  }
  if (!is_protected(*payload->duty_type)) return std::nullopt;
  return refused + "comes without the signing context of its duty type " + std::string(to_string(*payload->duty_type)) +
         ", so it cannot be protected";
}

}  // namespace hasigner::service
