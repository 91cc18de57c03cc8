#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/duty/bytes.hpp"

namespace hasigner {

class JsonValue;

/// A transaction to sign, as `eth_signTransaction` takes it.
///
/// Of type 0 (with the chain id of EIP-155), 1 (EIP-2930), 2 (EIP-1559) or 3 (EIP-4844).
struct Transaction {
  std::uint8_t type = 2;
  EthAddress from;
  std::uint64_t chain_id = 0;
  std::string unsigned_fields;  ///< RLP of the fields before the signature, without the head of their list
  MessageHash digest;           ///< what is signed
};

/// Reads a transaction for this chain.
///
/// The type is `type`, or follows from the fields: blob fields make it 3, `gasPrice` makes it 0 (with `accessList` 1),
/// and everything else is 2. Quantities are `0x` and hex digits, or decimal digits. A missing `value` is 0, missing
/// `data` are empty, a missing `chainId` is ours. `blobs` (whole, as hex) must be as many as `blobVersionedHashes`, and
/// are not part of what is signed. Errors: InvalidInput naming `field` and the member: one that is missing, wrong,
/// unknown, or not of this type. Source: EIP-155, EIP-2930, EIP-1559, EIP-4844; Web3Signer for the members.
[[nodiscard]] Parsed<Transaction> read_transaction(const JsonValue& value, std::uint64_t chain_id,
                                                   std::string_view field = "transaction");

/// The raw signed transaction, as `0x` and hex digits; of type 3 without its blobs, as a block holds it.
///
/// Source: EIP-2718.
[[nodiscard]] std::string signed_transaction(const Transaction& transaction, const Signature& signature);

}  // namespace hasigner
