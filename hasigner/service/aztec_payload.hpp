#pragma once

#include <optional>
#include <string>

#include "hasigner/crypto/eip712.hpp"
#include "hasigner/duty/duty.hpp"

namespace hasigner::service {

/// Which chain and which rollup this service signs for.
struct SigningDomain {
  std::string chain_id;  ///< decimal digits
  EthAddress rollup;
};

/// What an Aztec payload says that it is.
struct AztecPayload {
  std::optional<DutyType> duty_type;  ///< nothing: a primary type that no duty has
};

/// Whether typed data counts for an Aztec rollup: its domain says so, or names our rollup's contract.
[[nodiscard]] std::optional<AztecPayload> aztec_payload(const TypedData& typed_data, const SigningDomain& ours);

/// Why typed data must not be signed under this duty type, in one sentence; nothing: it may.
///
/// Typed data that is no Aztec payload may be signed under any type. An Aztec payload must be of the type's kind, and
/// of our chain and rollup. `duty_type` is nothing for a request without context: then no Aztec payload is signed, but
/// for one that needs no protection.
[[nodiscard]] std::optional<std::string> refuse_payload(const TypedData& typed_data, std::optional<DutyType> duty_type,
                                                        const SigningDomain& ours);

}  // namespace hasigner::service
