#include "hasigner/crypto/eip712.hpp"

#include <algorithm>
#include <map>
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

/// One pair of brackets of an array type.
struct Dimension {
  std::string_view type;              ///< the text of the type up to these brackets
  std::optional<std::size_t> length;  ///< nullopt when any length is allowed
};

struct Struct;

struct Field {
  std::string name;
  std::string type;
  std::vector<Dimension> dimensions = {};  ///< the outermost array first
  std::string_view base = {};              ///< the type without its arrays
  Struct* structure = nullptr;             ///< null when the base is a basic type
};

/// A type of the document. What is said about it is computed once, however many values it has.
struct Struct {
  std::string_view name;
  std::vector<Field> fields;
  /// Not a hash table: names are the client's, and could all have one hash.
  std::map<std::string_view, std::size_t> by_name = {};
  std::size_t described_size = 0;  ///< of its part in an encoded type
  std::optional<Word> hash = {};
};
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

std::string counted(std::size_t count, std::string_view of) {
  return std::to_string(count) + " " + std::string(of);
}

/// Where a value is. It becomes text only for an error: a text for each value would cost more than the value.
struct Location {
  const Location* in = nullptr;
  std::string_view name = {};             ///< of a member; of the outermost location, the whole text
  std::optional<std::size_t> index = {};  ///< of an item
  std::size_t depth = in ? in->depth + 1 : 0;

  [[nodiscard]] std::string json_path() const {  // NOLINT(misc-no-recursion)
    if (!in) return std::string(name);
    if (index) return in->json_path() + "[" + std::to_string(*index) + "]";
    return member_of(in->json_path(), name);
  }
};

std::unexpected<InvalidInput> refuse(const Location& location, std::string_view value, std::string allowed) {
  return refuse(location.json_path(), value, std::move(allowed));
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

Parsed<std::vector<Field>> parse_fields(const JsonValue& value, const std::string& json_path) {
  if (!value.is(Kind::kArray)) return refuse(json_path, shown(value), "an array of {\"name\", \"type\"}");
  if (value.items().size() > kTypedDataLimits.fields) {
    return refuse(json_path, counted(value.items().size(), "fields"),
                  "at most " + counted(kTypedDataLimits.fields, "fields of one type"));
  }
  std::vector<Field> fields;
  fields.reserve(value.items().size());
  for (std::size_t i = 0; i < value.items().size(); ++i) {
    const auto& item = value.items()[i];
    const auto item_path = [&] { return json_path + "[" + std::to_string(i) + "]"; };
    const JsonValue* const name = item.find("name");
    const JsonValue* const type = item.find("type");
    if (!name || !type || !name->is(Kind::kString) || !type->is(Kind::kString) || item.members().size() != 2) {
      return refuse(item_path(), shown(item), "an object of a \"name\" and a \"type\", both strings");
    }
    if (!is_name(name->text())) return refuse(item_path() + ".name", name->text(), "letters, digits, _ and $");
    fields.push_back({std::string(name->text()), std::string(type->text())});
  }
  return fields;
}

/// Takes the arrays from the type of a field, and finds its struct.
std::optional<InvalidInput> resolve(Field& field, Structs& structs, const std::string& json_path) {
  std::string_view rest = field.type;
  while (const auto array = array_type(rest)) {
    if (field.dimensions.size() == kTypedDataLimits.nesting) {
      return InvalidInput{json_path, printable(field.type),
                          "at most " + counted(kTypedDataLimits.nesting, "arrays within one another")};
    }
    field.dimensions.push_back({rest, array->length});
    rest = array->of;
  }
  field.base = rest;
  if (is_basic(rest)) return std::nullopt;
  const auto found = structs.find(rest);
  if (found == structs.end()) {
    return InvalidInput{json_path, printable(field.type),
                        "a type of EIP-712, a struct among the types, or an array of one"};
  }
  field.structure = &found->second;
  return std::nullopt;
}

/// Prepares a struct whose fields stay where they are from now on.
std::optional<InvalidInput> prepare(Struct& type, Structs& structs, const std::string& json_path) {
  type.described_size = type.name.size() + 2;
  for (std::size_t i = 0; i < type.fields.size(); ++i) {
    auto& field = type.fields[i];
    const auto field_path = [&] { return json_path + "[" + std::to_string(i) + "]"; };
    if (!type.by_name.emplace(field.name, i).second) {
      return InvalidInput{field_path() + ".name", printable(field.name),
                          "a name that no other field of the struct has"};
    }
    if (auto wrong = resolve(field, structs, field_path() + ".type")) return wrong;
    type.described_size += field.type.size() + field.name.size() + 2;
  }
  return std::nullopt;
}

Parsed<Structs> parse_structs(const JsonValue& types, const std::string& json_path) {
  if (types.members().size() > kTypedDataLimits.types) {
    return refuse(json_path, counted(types.members().size(), "types"),
                  "at most " + counted(kTypedDataLimits.types, "types"));
  }
  Structs structs;
  for (const auto& [name, value] : types.members()) {
    if (!is_struct_name(name))
      return refuse(member_of(json_path, name), name, "letters, digits, _, $ and :, and not the name of a basic type");
    auto fields = parse_fields(value, member_of(json_path, name));
    if (!fields) return std::unexpected(fields.error());
    const auto [added, ignored] = structs.try_emplace(name);
    added->second.name = added->first;
    added->second.fields = std::move(*fields);
  }
  return structs;
}

/// Prepares all structs. Pointers into them stay valid when the map is moved.
std::optional<InvalidInput> prepare_all(Structs& structs, const std::string& json_path) {
  for (auto& [name, type] : structs) {
    if (auto wrong = prepare(type, structs, member_of(json_path, name))) return wrong;
  }
  return std::nullopt;
}

/// The type of the domain when the types do not have it: the known fields that the domain has.
std::vector<Field> derive_domain_type(const JsonValue* domain) {
  std::vector<Field> fields;
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

/// hashStruct and encodeData of EIP-712 for one set of types, in time that grows with the document.
///
/// It recurses at most as deep as values may be nested.
class Encoder {
 public:
  explicit Encoder(std::string types_path) : types_path_(std::move(types_path)) {}

  // NOLINTNEXTLINE(misc-no-recursion)
  Parsed<Word> hash_struct(Struct& type, const JsonValue& value, const Location& location) {
    if (!value.is(Kind::kObject))
      return refuse(location, shown(value), "an object: the struct " + printable(type.name));
    const auto type_hash = hash_type(type);
    if (!type_hash) return type_hash;
    const auto given = members_of_fields(type, value, location);
    if (!given) return std::unexpected(given.error());
    std::vector<std::uint8_t> encoded;
    encoded.reserve((1 + type.fields.size()) * sizeof(Word));
    append(encoded, *type_hash);
    for (std::size_t i = 0; i < type.fields.size(); ++i) {
      const auto& field = type.fields[i];
      const Location member{.in = &location, .name = field.name};
      if (!(*given)[i]) return refuse(member, "missing", "there: a value of type " + printable(field.type));
      const auto word = encode(field, 0, *(*given)[i], member);
      if (!word) return word;
      append(encoded, *word);
    }
    return keccak256(encoded);
  }

 private:
  /// The value of each field, null where the object has none. Refuses what would not be signed.
  static Parsed<std::vector<const JsonValue*>> members_of_fields(const Struct& type, const JsonValue& value,
                                                                 const Location& location) {
    std::vector<const JsonValue*> given(type.fields.size());
    for (const auto& [name, member] : value.members()) {
      const auto field = type.by_name.find(name);
      if (field != type.by_name.end()) {
        given[field->second] = &member;
      } else if (!says_nothing(member)) {
        return refuse(Location{.in = &location, .name = name}, "a field that would not be signed", one_of_fields(type));
      }
    }
    return given;
  }

  static std::string one_of_fields(const Struct& type) {
    std::string names;
    for (const auto& field : type.fields) names += (names.empty() ? "" : ", ") + field.name;
    return "one of the fields of " + printable(type.name) + ": " + printable(names);
  }

  Parsed<Word> hash_type(Struct& type) {
    if (type.hash) return *type.hash;
    const auto encoded = encode_type(type);
    if (!encoded) return std::unexpected(encoded.error());
    type.hash = keccak256(*encoded);
    return *type.hash;
  }

  /// The struct itself, then the structs that it refers to, sorted by name.
  Parsed<std::string> encode_type(const Struct& type) {
    std::map<std::string_view, const Struct*> referred;
    std::vector<const Struct*> waiting{&type};
    while (!waiting.empty()) {
      const auto& next = *waiting.back();
      waiting.pop_back();
      // Each struct may refer to all the others, so all encoded types together may be longer than the document squared.
      encoded_types_ += next.described_size;
      if (encoded_types_ > kTypedDataLimits.encoded_types) {
        return refuse(types_path_, "more, when each type is encoded with those that it refers to",
                      "at most " + counted(kTypedDataLimits.encoded_types, "bytes of encoded types"));
      }
      for (const auto& field : next.fields) {
        const auto* const structure = field.structure;
        if (structure && structure != &type && referred.emplace(structure->name, structure).second) {
          waiting.push_back(structure);
        }
      }
    }
    std::string encoded;
    describe(type, encoded);
    for (const auto& [name, structure] : referred) describe(*structure, encoded);
    return encoded;
  }

  static void describe(const Struct& type, std::string& encoded) {
    encoded += type.name;
    std::string_view separator = "(";
    for (const auto& field : type.fields) {
      encoded += separator;
      encoded += field.type;
      encoded += " ";
      encoded += field.name;
      separator = ",";
    }
    encoded += type.fields.empty() ? "()" : ")";
  }

  /// Encodes a value below so many arrays of the field's type.
  // NOLINTNEXTLINE(misc-no-recursion)
  Parsed<Word> encode(const Field& field, std::size_t arrays, const JsonValue& value, const Location& location) {
    if (location.depth > kTypedDataLimits.nesting) {
      return refuse(location, "a value within " + counted(location.depth, "structs and arrays"),
                    "at most " + std::to_string(kTypedDataLimits.nesting));
    }
    encoded_values_ += sizeof(Word) + value.text().size();
    if (encoded_values_ > kTypedDataLimits.encoded_values) {
      return refuse(location, "more, with the values before it",
                    "at most " + counted(kTypedDataLimits.encoded_values, "bytes of encoded values and their texts"));
    }
    if (arrays < field.dimensions.size()) return encode_array(field, arrays, value, location);
    if (field.structure) return hash_struct(*field.structure, value, location);
    if (field.base == "string") {
      if (!value.is(Kind::kString)) return refuse(location, shown(value), "a string");
      return keccak256(value.text());
    }
    if (field.base == "bytes") {
      const auto bytes = hex_bytes(value);
      if (!bytes) return refuse(location, shown(value), "bytes: 0x and an even number of hexadecimal digits");
      return keccak256(*bytes);
    }
    return encode_atomic(field.base, value, location);
  }

  // NOLINTNEXTLINE(misc-no-recursion)
  Parsed<Word> encode_array(const Field& field, std::size_t arrays, const JsonValue& value, const Location& location) {
    const auto& array = field.dimensions[arrays];
    if (!value.is(Kind::kArray)) return refuse(location, shown(value), "an array: " + printable(array.type));
    const auto& items = value.items();
    if (array.length && items.size() != *array.length) {
      return refuse(
          location, "an array of " + std::to_string(items.size()),
          "an array of " + std::to_string(*array.length) + ", as its type " + printable(array.type) + " says");
    }
    std::vector<std::uint8_t> encoded;
    encoded.reserve(items.size() * sizeof(Word));
    for (std::size_t i = 0; i < items.size(); ++i) {
      const auto word = encode(field, arrays + 1, items[i], Location{.in = &location, .index = i});
      if (!word) return word;
      append(encoded, *word);
    }
    return keccak256(encoded);
  }

  static Parsed<Word> encode_atomic(std::string_view type, const JsonValue& value, const Location& location) {
    if (type == "bool") {
      if (!value.is(Kind::kBool)) return refuse(location, shown(value), "true or false");
      Word word{};
      word.back() = value.boolean() ? 1 : 0;
      return word;
    }
    if (type == "address") {
      const bool may_be_address = value.is(Kind::kString) && value.text().starts_with("0x");
      const auto address = may_be_address ? EthAddress::try_parse(value.text()) : std::nullopt;
      if (!address) return refuse(location, shown(value), "an address: 0x and 40 hexadecimal digits");
      // As viem and ethers do: what is signed for a mistyped address cannot be taken back.
      if (!checksum_matches(value.text())) {
        return refuse(location, shown(value),
                      "an address whose letter case is its checksum (EIP-55), or one case only");
      }
      Word word{};
      std::ranges::copy(address->bytes(), word.begin() + 12);
      return word;
    }
    if (const auto size = fixed_bytes_type(type)) {
      const auto bytes = hex_bytes(value);
      if (!bytes || bytes->size() != *size) {
        return refuse(location, shown(value),
                      std::string(type) + ": 0x and " + std::to_string(2 * *size) + " hexadecimal digits");
      }
      Word word{};
      std::ranges::copy(*bytes, word.begin());
      return word;
    }
    const bool may_be_number = value.is(Kind::kNumber) || value.is(Kind::kString);
    const auto word = may_be_number ? parse_integer(value.text(), *integer_type(type)) : std::nullopt;
    if (!word) return refuse(location, shown(value), "a whole number that " + std::string(type) + " holds");
    return *word;
  }

  static std::optional<std::vector<std::uint8_t>> hex_bytes(const JsonValue& value) {
    const auto text = value.text();
    if (!value.is(Kind::kString) || !text.starts_with("0x")) return std::nullopt;
    std::vector<std::uint8_t> bytes((text.size() - 2) / 2);
    if (!from_hex(text.substr(2), bytes)) return std::nullopt;
    return bytes;
  }

  std::string types_path_;
  std::size_t encoded_types_ = 0;
  std::size_t encoded_values_ = 0;
};

/// The fields of the hashed domain. A field of another type than usual is left out.
TypedDataDomain read_domain(const JsonValue& domain, const Struct& type) {
  TypedDataDomain read;
  for (const auto& field : type.fields) {
    if (std::ranges::find(kDomainFields, field.name, &DomainField::name) == std::end(kDomainFields)) continue;
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

/// What a short message says, field by field.
std::vector<TypedField> read_fields(const Struct& type, const JsonValue& message) {
  std::vector<TypedField> read;
  if (type.fields.size() > kTypedDataLimits.told_fields) return read;
  for (const auto& field : type.fields) {
    const auto text = message.find(field.name)->text();
    const bool is_told = text.size() <= kTypedDataLimits.told_text;
    read.push_back({field.name, field.type, is_told ? std::string(text) : std::string()});
  }
  return read;
}

/// The types, with that of the domain.
Parsed<Structs> read_types(const Parts& parts, const std::string& json_path) {
  const auto types_path = json_path + " types";
  auto structs = parse_structs(*parts.types, types_path);
  if (!structs) return structs;
  if (const auto [added, is_new] = structs->try_emplace(std::string(kDomainType)); is_new) {
    added->second.name = added->first;
    added->second.fields = derive_domain_type(parts.domain);
  }
  if (auto wrong = prepare_all(*structs, types_path)) return std::unexpected(std::move(*wrong));
  return structs;
}

Parsed<TypedData> hash_typed_data(const JsonValue& document, const std::string& json_path) {
  auto parts = take_apart(document, json_path);
  if (!parts) return std::unexpected(parts.error());
  auto structs = read_types(*parts, json_path);
  if (!structs) return std::unexpected(structs.error());
  const auto primary = structs->find(parts->primary_type);
  if (primary == structs->end()) {
    return refuse(json_path + " primaryType", parts->primary_type, "the name of one of the types");
  }
  Encoder encoder(json_path + " types");
  auto no_domain = JsonValue::parse("{}", "domain");
  const JsonValue& domain = parts->domain ? *parts->domain : *no_domain;
  auto& domain_type = structs->find(kDomainType)->second;
  const auto domain_path = json_path + " domain", message_path = json_path + " message";
  const auto domain_hash = encoder.hash_struct(domain_type, domain, Location{.name = domain_path});
  if (!domain_hash) return std::unexpected(domain_hash.error());
  std::vector<std::uint8_t> encoded{0x19, 0x01};
  append(encoded, *domain_hash);
  std::vector<TypedField> fields;
  if (parts->primary_type != kDomainType) {
    const auto message_hash = encoder.hash_struct(primary->second, *parts->message, Location{.name = message_path});
    if (!message_hash) return std::unexpected(message_hash.error());
    append(encoded, *message_hash);
    fields = read_fields(primary->second, *parts->message);
  }
  return TypedData{.json = {},
                   .primary_type = std::move(parts->primary_type),
                   .domain = read_domain(domain, domain_type),
                   .fields = std::move(fields),
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
