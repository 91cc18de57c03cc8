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
  /// The contract whose signals are slashing votes. Signals of all other contracts are governance votes.
  std::optional<EthAddress> empire_slashing_proposer = {};
};

/// An Aztec payload: what its domain and its primary type say about it.
struct AztecPayload {
  std::optional<DutyType> duty_type;  ///< nullopt for a primary type that no duty type has
  std::optional<Slot> slot;           ///< of a vote; the other payloads do not say theirs
  std::optional<std::string> wrong;   ///< why it must not be signed here at all, in words for a person
};

/// Identifies an Aztec payload: its domain is that of Aztec's rollup or of a contract that counts votes, or it names
/// the contract of our rollup. Returns nullopt for other typed data.
///
/// Votes are `Signal` of the domain `EmpireBase` (a governance vote, or a slashing vote of the empire slashing
/// proposer; its `instance` must be our rollup), and `Vote` of `SlashingProposer` or `TallySlashingProposer` (a
/// slashing vote). Typed data with the type of such a vote is one in every domain, and wrong in another domain: a
/// contract of another name may count it.
[[nodiscard]] std::optional<AztecPayload> aztec_payload(const TypedData& typed_data, const SigningDomain& ours);

/// Returns why typed data must not be signed in this context, in one sentence, or nullopt when it may be signed.
///
/// Typed data that is not an Aztec payload may be signed in any context. The primary type of an Aztec payload must be
/// one of the context's duty type, its chain and rollup must be ours, and the slot of a vote must be the context's.
/// Without a context only an Aztec payload that needs no protection may be signed.
[[nodiscard]] std::optional<std::string> refuse_payload(const TypedData& typed_data,
                                                        const std::optional<SigningContext>& context,
                                                        const SigningDomain& ours);

}  // namespace hasigner::service
