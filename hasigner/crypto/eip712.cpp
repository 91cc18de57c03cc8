#include "hasigner/crypto/eip712.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/crypto/json.hpp"
#include "hasigner/crypto/keccak.hpp"
#include "hasigner/crypto/uint256.hpp"

namespace hasigner {

namespace {

using Kind = JsonValue::Kind;

constexpr std::string_view kDomainType = "EIP712Domain";

/// The fields that a domain may have, in the order in which they stand in its type.
struct DomainField {
  std::string_view name;
  std::string_view type;
};
constexpr DomainField kDomainFields[] = {{"name", "string"},
                                         {"version", "string"},
                                         {"chainId", "uint256"},
                                         {"verifyingContract", "address"},
                                         {"salt", "bytes32"}};

struct Field {
  std::string name;
  std::string type;
};
using Struct = std::vector<Field>;
using Structs = std::map<std::string, Struct, std::less<>>;

std::unexpected<InvalidInput> refuse(std::string json_path, std::string_view value, std::string allowed) {
  return std::unexpected(InvalidInput{std::move(json_path), printable(value), std::move(allowed)});
}

std::string shown(const JsonValue& value) {
  if (value.is(Kind::kString) || value.is(Kind::kNumber)) return printable(value.text());
  if (value.is(Kind::kBool)) return value.boolean() ? "true" : "false";
  return std::string(to_string(value.kind()));
}

std::string member_of(const std::string& json_path, std::string_view name) {
  return json_path + "." + printable(name);
}

/// Letters, digits, `_` and `$`. Any other character could end a name within an encoded type.
bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
  });
}

/// A decimal number from 1, without leading zeros, up to six digits.
std::optional<std::size_t> small_number(std::string_view digits) {
  if (digits.empty() || digits.size() > 6 || digits.front() == '0') return std::nullopt;
  std::size_t number = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<std::size_t>(c - '0');
  }
  return number;
}

/// `uint8` to `uint256` and `int8` to `int256`. EIP-712 has no `uint` and `int`.
std::optional<IntegerRange> integer_type(std::string_view type) {
  const bool is_signed = type.starts_with("int");
  if (!is_signed && !type.starts_with("uint")) return std::nullopt;
  const auto digits = type.substr(is_signed ? 3 : 4);
  const auto bits = small_number(digits);
  if (!bits || *bits % 8 != 0 || *bits > 256) return std::nullopt;
  return IntegerRange{static_cast<unsigned>(*bits), is_signed};
}

/// `bytes1` to `bytes32`.
std::optional<std::size_t> fixed_bytes_type(std::string_view type) {
  if (!type.starts_with("bytes")) return std::nullopt;
  const auto size = small_number(type.substr(5));
  return size && *size <= 32 ? size : std::nullopt;
}

bool is_basic(std::string_view type) {
  return type == "bool" || type == "address" || type == "string" || type == "bytes" || integer_type(type) ||
         fixed_bytes_type(type);
}

/// Whether another program could take the name of a struct for a basic type, as `uint` and `bytes33`.
bool looks_basic(std::string_view name) {
  const auto end = name.find_last_not_of("0123456789");
  const auto word = end == std::string_view::npos ? name : name.substr(0, end + 1);
  return word == "uint" || word == "int" || word == "bytes" || name == "bool" || name == "address" || name == "string";
}

/// As viem has it: names, and colons between their parts.
bool is_struct_name(std::string_view name) {
  std::string without_colons(name);
  std::erase(without_colons, ':');
  return is_name(without_colons) && !looks_basic(name);
}

/// The elements of an array type.
struct ArrayType {
  std::string_view of;
  std::optional<std::size_t> length;  ///< nullopt when any length is allowed
};

/// Returns nullopt when the type does not end as an array does, or ends with an impossible length.
std::optional<ArrayType> array_type(std::string_view type) {
  const auto open = type.rfind('[');
  if (open == std::string_view::npos || !type.ends_with(']')) return std::nullopt;
  const auto digits = type.substr(open + 1, type.size() - open - 2);
  if (digits.empty()) return ArrayType{type.substr(0, open), std::nullopt};
  const auto length = small_number(digits);
  if (!length) return std::nullopt;
  return ArrayType{type.substr(0, open), length};
}

std::string_view base_of(std::string_view type) {
  while (const auto array = array_type(type)) type = array->of;
  return type;
}

Parsed<Struct> parse_struct(const JsonValue& value, const std::string& json_path) {
  if (!value.is(Kind::kArray)) return refuse(json_path, shown(value), "an array of {\"name\", \"type\"}");
  Struct fields;
  for (std::size_t i = 0; i < value.items().size(); ++i) {
    const auto& item = value.items()[i];
    const auto item_path = json_path + "[" + std::to_string(i) + "]";
    const JsonValue* const name = item.find("name");
    const JsonValue* const type = item.find("type");
    if (!name || !type || !name->is(Kind::kString) || !type->is(Kind::kString) || item.members().size() != 2) {
      return refuse(item_path, shown(item), "an object of a \"name\" and a \"type\", both strings");
    }
    if (!is_name(name->text())) return refuse(item_path + ".name", name->text(), "letters, digits, _ and $");
    if (std::ranges::find(fields, name->text(), &Field::name) != fields.end()) {
      return refuse(item_path + ".name", name->text(), "a name that no other field of the struct has");
    }
    fields.push_back({std::string(name->text()), std::string(type->text())});
  }
  return fields;
}

Parsed<Structs> parse_structs(const JsonValue& types, const std::string& json_path) {
  Structs structs;
  for (const auto& [name, value] : types.members()) {
    if (!is_struct_name(name))
      return refuse(member_of(json_path, name), name, "letters, digits, _, $ and :, and not the name of a basic type");
    auto fields = parse_struct(value, member_of(json_path, name));
    if (!fields) return std::unexpected(fields.error());
    structs.emplace(name, std::move(*fields));
  }
  for (const auto& [name, fields] : structs) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      const auto base = base_of(fields[i].type);
      if (is_basic(base) || structs.contains(base)) continue;
      return refuse(member_of(json_path, name) + "[" + std::to_string(i) + "].type", fields[i].type,
                    "a type of EIP-712, a struct among the types, or an array of one");
    }
  }
  return structs;
}

/// The type of the domain when the types do not have it: the known fields that the domain has.
Struct derive_domain_type(const JsonValue* domain) {
  Struct fields;
  for (const auto& [name, type] : kDomainFields) {
    const auto* const field = domain ? domain->find(name) : nullptr;
    if (field && !field->is(Kind::kNull)) fields.push_back({std::string(name), std::string(type)});
  }
  return fields;
}

/// What some writers put there instead of leaving a field out: null, and `"salt": ""` of go-ethereum.
bool says_nothing(const JsonValue& value) {
  return value.is(Kind::kNull) || (value.is(Kind::kString) && value.text().empty());
}

void append(std::vector<std::uint8_t>& bytes, std::span<const std::uint8_t> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

/// hashStruct and encodeData of EIP-712 for one set of types.
class Encoder {
 public:
  explicit Encoder(const Structs& structs) : structs_(structs) {}

  Parsed<Word> hash_struct(std::string_view type, const JsonValue& value, const std::string& json_path) {
    if (!value.is(Kind::kObject)) return refuse(json_path, shown(value), "an object: the struct " + std::string(type));
    const Struct& fields = structs_.find(type)->second;
    if (auto extra = refuse_extra_members(type, fields, value, json_path)) return std::unexpected(std::move(*extra));
    std::vector<std::uint8_t> encoded;
    append(encoded, type_hash(type));
    for (const auto& field : fields) {
      const JsonValue* const member = value.find(field.name);
      const auto member_path = member_of(json_path, field.name);
      if (!member) return refuse(member_path, "missing", "there: a value of type " + field.type);
      const auto word = encode(field.type, *member, member_path);
      if (!word) return word;
      append(encoded, *word);
    }
    return keccak256(encoded);
  }

 private:
  static std::optional<InvalidInput> refuse_extra_members(std::string_view type, const Struct& fields,
                                                          const JsonValue& value, const std::string& json_path) {
    std::string names;
    for (const auto& field : fields) names += (names.empty() ? "" : ", ") + field.name;
    for (const auto& [name, member] : value.members()) {
      if (says_nothing(member) || std::ranges::find(fields, name, &Field::name) != fields.end()) continue;
      return InvalidInput{member_of(json_path, name), "a field that would not be signed",
                          "one of the fields of " + printable(type) + ": " + printable(names)};
    }
    return std::nullopt;
  }

  const Word& type_hash(std::string_view type) {
    const auto known = type_hashes_.find(type);
    if (known != type_hashes_.end()) return known->second;
    return type_hashes_.emplace(type, keccak256(encode_type(type))).first->second;
  }

  /// The struct itself, then the structs that it refers to, sorted by name.
  std::string encode_type(std::string_view type) const {
    std::set<std::string_view> referred;
    std::vector<std::string_view> waiting{type};
    while (!waiting.empty()) {
      const Struct& fields = structs_.find(waiting.back())->second;
      waiting.pop_back();
      for (const auto& field : fields) {
        const auto base = base_of(field.type);
        if (structs_.contains(base) && base != type && referred.insert(base).second) waiting.push_back(base);
      }
    }
    std::string encoded = describe(type);
    for (const auto& name : referred) encoded += describe(name);
    return encoded;
  }

  std::string describe(std::string_view type) const {
    std::string fields;
    for (const auto& field : structs_.find(type)->second) {
      if (!fields.empty()) fields += ",";
      fields += field.type;
      fields += " ";
      fields += field.name;
    }
    return std::string(type) + "(" + fields + ")";
  }

  Parsed<Word> encode(std::string_view type, const JsonValue& value, const std::string& json_path) {
    if (const auto array = array_type(type)) return encode_array(type, *array, value, json_path);
    if (structs_.contains(type)) return hash_struct(type, value, json_path);
    if (type == "string") {
      if (!value.is(Kind::kString)) return refuse(json_path, shown(value), "a string");
      return keccak256(value.text());
    }
    if (type == "bytes") {
      const auto bytes = hex_bytes(value);
      if (!bytes) return refuse(json_path, shown(value), "bytes: 0x and an even number of hexadecimal digits");
      return keccak256(*bytes);
    }
    return encode_atomic(type, value, json_path);
  }

  Parsed<Word> encode_array(std::string_view type, ArrayType array, const JsonValue& value,
                            const std::string& json_path) {
    if (!value.is(Kind::kArray)) return refuse(json_path, shown(value), "an array: " + std::string(type));
    const auto& items = value.items();
    if (array.length && items.size() != *array.length) {
      return refuse(json_path, "an array of " + std::to_string(items.size()),
                    "an array of " + std::to_string(*array.length) + ", as its type " + printable(type) + " says");
    }
    std::vector<std::uint8_t> encoded;
    encoded.reserve(items.size() * sizeof(Word));
    for (std::size_t i = 0; i < items.size(); ++i) {
      const auto word = encode(array.of, items[i], json_path + "[" + std::to_string(i) + "]");
      if (!word) return word;
      append(encoded, *word);
    }
    return keccak256(encoded);
  }

  static Parsed<Word> encode_atomic(std::string_view type, const JsonValue& value, const std::string& json_path) {
    if (type == "bool") {
      if (!value.is(Kind::kBool)) return refuse(json_path, shown(value), "true or false");
      Word word{};
      word.back() = value.boolean() ? 1 : 0;
      return word;
    }
    if (type == "address") {
      const bool may_be_address = value.is(Kind::kString) && value.text().starts_with("0x");
      const auto address = may_be_address ? EthAddress::try_parse(value.text()) : std::nullopt;
      if (!address) return refuse(json_path, shown(value), "an address: 0x and 40 hexadecimal digits");
      // As viem and ethers do: what is signed for a mistyped address cannot be taken back.
      if (!checksum_matches(value.text())) {
        return refuse(json_path, shown(value),
                      "an address whose letter case is its checksum (EIP-55), or one case only");
      }
      Word word{};
      std::ranges::copy(address->bytes(), word.begin() + 12);
      return word;
    }
    if (const auto size = fixed_bytes_type(type)) {
      const auto bytes = hex_bytes(value);
      if (!bytes || bytes->size() != *size) {
        return refuse(json_path, shown(value),
                      std::string(type) + ": 0x and " + std::to_string(2 * *size) + " hexadecimal digits");
      }
      Word word{};
      std::ranges::copy(*bytes, word.begin());
      return word;
    }
    const bool may_be_number = value.is(Kind::kNumber) || value.is(Kind::kString);
    const auto word = may_be_number ? parse_integer(value.text(), *integer_type(type)) : std::nullopt;
    if (!word) return refuse(json_path, shown(value), "a whole number that " + std::string(type) + " holds");
    return *word;
  }

  static std::optional<std::vector<std::uint8_t>> hex_bytes(const JsonValue& value) {
    const auto text = value.text();
    if (!value.is(Kind::kString) || !text.starts_with("0x")) return std::nullopt;
    std::vector<std::uint8_t> bytes((text.size() - 2) / 2);
    if (!from_hex(text.substr(2), bytes)) return std::nullopt;
    return bytes;
  }

  const Structs& structs_;
  std::map<std::string, Word, std::less<>> type_hashes_;
};

/// The fields of the hashed domain. A field of another type than usual is left out.
TypedDataDomain read_domain(const JsonValue& domain, const Struct& type) {
  TypedDataDomain read;
  for (const auto& field : type) {
    const auto text = domain.find(field.name)->text();
    if (field.name == "name" && field.type == "string") read.name = text;
    if (field.name == "version" && field.type == "string") read.version = text;
    if (field.name == "verifyingContract" && field.type == "address") {
      read.verifying_contract = EthAddress::try_parse(text);
    }
    if (field.name != "chainId") continue;
    if (const auto range = integer_type(field.type); range && !range->is_signed) {
      if (const auto number = parse_integer(text, *range)) read.chain_id = to_decimal(*number);
    }
  }
  return read;
}

/// The four parts of typed data, each of the right kind.
struct Parts {
  const JsonValue* types = nullptr;
  const JsonValue* domain = nullptr;  ///< null when it is missing
  const JsonValue* message = nullptr;
  std::string primary_type;
};

Parsed<Parts> take_apart(const JsonValue& document, const std::string& json_path) {
  if (!document.is(Kind::kObject)) return refuse(json_path, shown(document), "an object");
  for (const auto& [name, ignored] : document.members()) {
    if (name != "types" && name != "domain" && name != "primaryType" && name != "message") {
      return refuse(json_path + " " + printable(name), "an unknown field",
                    "one of types, primaryType, domain, message");
    }
  }
  Parts parts{document.find("types"), document.find("domain"), document.find("message"), ""};
  const JsonValue* const primary_type = document.find("primaryType");
  const auto require = [&](const JsonValue* part, std::string_view name, Kind kind) -> std::optional<InvalidInput> {
    if (part && part->is(kind)) return std::nullopt;
    return InvalidInput{json_path + " " + std::string(name), part ? shown(*part) : "missing",
                        std::string(to_string(kind))};
  };
  if (auto wrong = require(parts.types, "types", Kind::kObject)) return std::unexpected(*wrong);
  if (auto wrong = require(primary_type, "primaryType", Kind::kString)) return std::unexpected(*wrong);
  if (parts.domain && parts.domain->is(Kind::kNull)) parts.domain = nullptr;
  if (parts.domain) {
    if (auto wrong = require(parts.domain, "domain", Kind::kObject)) return std::unexpected(*wrong);
  }
  parts.primary_type = primary_type->text();
  // A signature of the domain alone has no message.
  if (parts.message || parts.primary_type != kDomainType) {
    if (auto wrong = require(parts.message, "message", Kind::kObject)) return std::unexpected(*wrong);
  }
  return parts;
}

Parsed<TypedData> hash_typed_data(const JsonValue& document, const std::string& json_path) {
  auto parts = take_apart(document, json_path);
  if (!parts) return std::unexpected(parts.error());
  auto structs = parse_structs(*parts->types, json_path + " types");
  if (!structs) return std::unexpected(structs.error());
  structs->try_emplace(std::string(kDomainType), derive_domain_type(parts->domain));
  if (!structs->contains(parts->primary_type)) {
    return refuse(json_path + " primaryType", parts->primary_type, "the name of one of the types");
  }
  Encoder encoder(*structs);
  auto no_domain = JsonValue::parse("{}", "domain");
  const JsonValue& domain = parts->domain ? *parts->domain : *no_domain;
  const auto domain_hash = encoder.hash_struct(kDomainType, domain, json_path + " domain");
  if (!domain_hash) return std::unexpected(domain_hash.error());
  std::vector<std::uint8_t> encoded{0x19, 0x01};
  append(encoded, *domain_hash);
  if (parts->primary_type != kDomainType) {
    const auto message_hash = encoder.hash_struct(parts->primary_type, *parts->message, json_path + " message");
    if (!message_hash) return std::unexpected(message_hash.error());
    append(encoded, *message_hash);
  }
  return TypedData{.json = {},
                   .primary_type = std::move(parts->primary_type),
                   .domain = read_domain(domain, structs->find(kDomainType)->second),
                   .digest = MessageHash(keccak256(encoded))};
}

}  // namespace

Parsed<TypedData> parse_typed_data(std::string_view json, std::string_view field) {
  const auto document = JsonValue::parse(json, field);
  if (!document) return std::unexpected(document.error());
  return read_typed_data(*document, std::string(json), field);
}

Parsed<TypedData> read_typed_data(const JsonValue& document, std::string json, std::string_view field) {
  auto typed_data = hash_typed_data(document, std::string(field));
  if (typed_data) typed_data->json = std::move(json);
  return typed_data;
}

}  // namespace hasigner
