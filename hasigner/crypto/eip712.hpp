#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

/// The bounds of typed data, far beyond what wallets and contracts use. With them the time to hash a document is linear
/// in its size.
struct TypedDataLimits {
  std::size_t types = 256;
  std::size_t fields = 1'024;                    ///< of one type
  std::size_t nesting = 50;                      ///< structs and arrays within one another, in types and in values
  std::size_t encoded_types = 64 * 1024;         ///< bytes of encodeType of all types that have values
  std::size_t encoded_values = 4 * 1024 * 1024;  ///< 32 bytes for each value, and its text
  std::size_t told_fields = 8, told_text = 100;  ///< see TypedData::fields
};
inline constexpr TypedDataLimits kTypedDataLimits;

/// A field of a message.
struct TypedField {
  std::string name;
  std::string type;
  std::string value;  ///< the text of a short string or number, as it was written; empty for other values
};

/// Structured data to sign, checked and hashed, with the text for a remote signer.
struct TypedData {
  std::string json;
  std::string primary_type;
  TypedDataDomain domain;
  std::vector<TypedField> fields;  ///< of the message, in the order of its type; empty when it has many
  MessageHash digest;              ///< what is signed
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
