#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "hasigner/duty/bytes.hpp"

namespace hasigner {

class JsonValue;

/// Where a signature of typed data is valid. A field is nullopt when the typed data does not have it.
struct TypedDataDomain {
  std::optional<std::string> name;
  std::optional<std::string> version;
  /// Decimal digits: a chain id may be any number of 256 bits.
  std::optional<std::string> chain_id;
  std::optional<EthAddress> verifying_contract;
};

/// Structured data to sign, checked and hashed, with the text for a remote signer.
struct TypedData {
  std::string json;
  std::string primary_type;
  TypedDataDomain domain;
  MessageHash digest;  ///< what is signed
};

/// Reads and hashes what `eth_signTypedData_v4` takes: an object of `types`, `primaryType`, `domain` and `message`.
///
/// Without a type `EIP712Domain`, the fields of the domain give that type, as in viem and ethers. The reader is
/// stricter than some others. It refuses a field of a message or domain that the type does not have, since that field
/// would not be signed, unless it is null or empty. It also refuses a missing field, null, an array of another length
/// than its type's, and an address in mixed letter case that is not its checksum. Whole numbers may be JSON numbers, or
/// strings of decimal digits, or of `0x` and hex digits. Errors: InvalidInput naming the JSON path, as in `typed data
/// message.to.wallets[1]`. Source: EIP-712.
[[nodiscard]] Parsed<TypedData> parse_typed_data(std::string_view json, std::string_view field = "typed data");

/// As parse_typed_data(), for a part of a document that was read already. `json` must be that part as text.
[[nodiscard]] Parsed<TypedData> read_typed_data(const JsonValue& document, std::string json,
                                                std::string_view field = "typed data");

}  // namespace hasigner
