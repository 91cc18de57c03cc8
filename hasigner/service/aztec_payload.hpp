#pragma once

#include <optional>
#include <string>

#include "hasigner/crypto/eip712.hpp"
#include "hasigner/duty/duty.hpp"

namespace hasigner::service {

/// The chain and the rollup that this service signs for.
struct SigningDomain {
  std::string chain_id;  ///< decimal digits
  EthAddress rollup;
};

/// An Aztec payload, as its primary type identifies it.
struct AztecPayload {
  std::optional<DutyType> duty_type;  ///< nullopt for a primary type that no duty type has
};

/// Identifies an Aztec payload: its domain is that of Aztec, or names the contract of our rollup. Returns nullopt for
/// other typed data.
[[nodiscard]] std::optional<AztecPayload> aztec_payload(const TypedData& typed_data, const SigningDomain& ours);

/// Returns why typed data must not be signed under this duty type, in one sentence, or nullopt when it may be signed.
///
/// Typed data that is not an Aztec payload may be signed under any type. The primary type of an Aztec payload must be
/// one of the duty type, and its chain and rollup must be ours. `duty_type` is nullopt for a request without context;
/// then only an Aztec payload that needs no protection may be signed.
[[nodiscard]] std::optional<std::string> refuse_payload(const TypedData& typed_data, std::optional<DutyType> duty_type,
                                                        const SigningDomain& ours);

}  // namespace hasigner::service
