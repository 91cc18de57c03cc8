#include "hasigner/crypto/transaction.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "hasigner/crypto/json.hpp"
#include "hasigner/crypto/keccak.hpp"
#include "hasigner/crypto/uint256.hpp"

namespace hasigner {

namespace {

using Kind = JsonValue::Kind;

constexpr std::size_t kBlobBytes = 131'072;
constexpr std::uint64_t kLargestLegacyChainId = (std::numeric_limits<std::uint64_t>::max() - 36) / 2;

// ---- RLP (the Ethereum yellow paper, appendix B)

std::string without_leading_zeros(std::string_view bytes) {
  return std::string(bytes.substr(std::min(bytes.find_first_not_of('\0'), bytes.size())));
}

std::string big_endian(std::uint64_t number) {
  std::string bytes(8, '\0');
  for (std::size_t i = bytes.size(); i-- > 0; number >>= 8) bytes[i] = static_cast<char>(number & 0xff);
  return without_leading_zeros(bytes);
}

std::string head(std::size_t length, std::uint8_t base) {
  if (length <= 55) return {static_cast<char>(base + length)};
  const auto digits = big_endian(length);
  return static_cast<char>(base + 55 + digits.size()) + digits;
}

std::string rlp(std::string_view bytes) {
  if (bytes.size() == 1 && static_cast<std::uint8_t>(bytes[0]) < 0x80) return std::string(bytes);
  return head(bytes.size(), 0x80) + std::string(bytes);
}

std::string rlp_list(std::string_view items) {
  return head(items.size(), 0xc0) + std::string(items);
}

std::string rlp_number(std::uint64_t number) {
  return rlp(big_endian(number));
}

template <std::size_t N>
std::string text_of(const std::array<std::uint8_t, N>& bytes) {
  return {bytes.begin(), bytes.end()};
}

// ---- Members

struct Member {
  std::string_view name;
  std::string_view types;  ///< the digits of the types that have it
};
constexpr std::array kMembers = {
    Member{"from", "0123"},
    Member{"to", "0123"},
    Member{"data", "0123"},
    Member{"input", "0123"},
    Member{"value", "0123"},
    Member{"nonce", "0123"},
    Member{"gas", "0123"},
    Member{"gasLimit", "0123"},
    Member{"type", "0123"},
    Member{"chainId", "0123"},
    Member{"gasPrice", "01"},
    Member{"accessList", "123"},
    Member{"maxFeePerGas", "23"},
    Member{"maxPriorityFeePerGas", "23"},
    Member{"maxFeePerBlobGas", "3"},
    Member{"blobVersionedHashes", "3"},
    Member{"blobs", "3"},
};

/// Reads the members of one transaction. The first error stays.
class Reader {
 public:
  Reader(const JsonValue& value, std::string_view field) : value_(value), field_(field) {}

  Parsed<Transaction> read(std::uint64_t chain_id) {
    if (!value_.is(Kind::kObject)) return std::unexpected(InvalidInput{field_, "something else", "an object"});
    Transaction transaction;
    transaction.chain_id = chain_id;
    transaction.type = read_type();
    refuse_other_members(transaction.type);
    read_chain(transaction);
    transaction.from = required_address("from");
    transaction.unsigned_fields = fields_of(transaction);
    if (error_) return std::unexpected(std::move(*error_));
    transaction.digest = MessageHash(keccak256(to_be_signed(transaction)));
    return transaction;
  }

 private:
  void refuse(std::string_view name, std::string value, std::string allowed) {
    if (!error_) error_ = InvalidInput{field_ + "." + std::string(name), std::move(value), std::move(allowed)};
  }

  [[nodiscard]] const JsonValue* find(std::string_view name) const {
    const auto* const member = value_.find(name);
    return member && !member->is(Kind::kNull) ? member : nullptr;
  }

  static std::string shown(const JsonValue& value) {
    const bool has_text = value.is(Kind::kString) || value.is(Kind::kNumber);
    return has_text ? printable(value.text()) : std::string(to_string(value.kind()));
  }

  std::uint8_t read_type() {
    if (const auto* const type = find("type")) {
      const auto word = parse_integer(type->text(), {});
      const auto digits = word ? to_decimal(*word) : std::string();
      if (digits.size() == 1 && digits[0] <= '3') return static_cast<std::uint8_t>(digits[0] - '0');
      refuse("type", shown(*type), "0x0, 0x1, 0x2 or 0x3");
      return 2;
    }
    if (find("blobVersionedHashes") || find("maxFeePerBlobGas") || find("blobs")) return 3;
    if (!find("gasPrice") || find("maxFeePerGas")) return 2;
    return find("accessList") ? 1 : 0;
  }

  void refuse_other_members(std::uint8_t type) {
    for (const auto& [name, member] : value_.members()) {
      const auto* const known = std::ranges::find(kMembers, name, &Member::name);
      if (known == kMembers.end()) {
        refuse(printable(name), "a member that is not known", "one that is part of what is signed");
      } else if (!member.is(Kind::kNull) && !known->types.contains(static_cast<char>('0' + type))) {
        refuse(name, "given", "left out in a transaction of type " + std::to_string(type));
      }
    }
  }

  void read_chain(const Transaction& transaction) {
    const auto* const given = find("chainId");
    if (given) {
      const auto word = parse_integer(given->text(), {});
      if (!word || to_decimal(*word) != std::to_string(transaction.chain_id)) {
        refuse("chainId", shown(*given), "the chain of this service, " + std::to_string(transaction.chain_id));
      }
    }
    if (transaction.type == 0 && transaction.chain_id > kLargestLegacyChainId) {
      refuse("type", "0", "another one: the chain id is too large for a legacy transaction");
    }
  }

  EthAddress required_address(std::string_view name) {
    const auto* const member = find(name);
    const auto address = member && member->is(Kind::kString) ? EthAddress::try_parse(member->text()) : std::nullopt;
    if (!address) refuse(name, member ? shown(*member) : "missing", "0x and 40 hexadecimal digits");
    return address.value_or(EthAddress{});
  }

  std::string quantity_or_zero(std::string_view name, unsigned bits) {
    return find(name) ? quantity(name, bits) : rlp("");
  }

  std::string quantity(std::string_view name, unsigned bits) {
    const auto* const member = find(name);
    const bool has_digits = member && (member->is(Kind::kString) || member->is(Kind::kNumber));
    const auto word = has_digits ? parse_integer(member->text(), {.bits = bits}) : std::nullopt;
    if (!word) {
      refuse(name, member ? shown(*member) : "missing", "a quantity of at most " + std::to_string(bits) + " bits");
      return {};
    }
    return rlp(without_leading_zeros(text_of(*word)));
  }

  std::optional<std::string> hex_bytes(const JsonValue& value) {
    const auto text = value.is(Kind::kString) ? value.text() : std::string_view();
    if (!text.starts_with("0x") || text.size() % 2 != 0) return std::nullopt;
    std::vector<std::uint8_t> bytes(text.size() / 2 - 1);
    if (!from_hex(text.substr(2), bytes)) return std::nullopt;
    return std::string(bytes.begin(), bytes.end());
  }

  std::string to(std::uint8_t type) {
    if (!find("to") && type != 3) return rlp("");
    return rlp(text_of(required_address("to").bytes()));
  }

  std::string data() {
    const auto* const member = find("data");
    const auto* const input = find("input");
    if (member && input && member->text() != input->text()) refuse("input", "other bytes than data", "one of the two");
    const auto* const given = member ? member : input;
    if (!given) return rlp("");
    const auto bytes = hex_bytes(*given);
    if (!bytes) refuse(member ? "data" : "input", shown(*given), "0x and an even number of hexadecimal digits");
    return rlp(bytes.value_or(""));
  }

  std::string gas() {
    if (find("gas") && find("gasLimit") && find("gas")->text() != find("gasLimit")->text()) {
      refuse("gasLimit", "another quantity than gas", "one of the two");
    }
    return quantity(find("gas") || !find("gasLimit") ? "gas" : "gasLimit", 64);
  }

  std::string hashes(const JsonValue* list, std::string_view name) {
    std::string items;
    for (const auto& item : list->items()) {
      const auto hash = item.is(Kind::kString) ? MessageHash::try_parse(item.text()) : std::nullopt;
      if (!hash) refuse(name, shown(item), "0x and 64 hexadecimal digits");
      items += rlp(text_of(hash.value_or(MessageHash{}).bytes()));
    }
    return rlp_list(items);
  }

  std::string access_list() {
    std::string entries;
    const auto* const list = find("accessList");
    if (list && !list->is(Kind::kArray)) refuse("accessList", shown(*list), "an array");
    static const std::vector<JsonValue> kNone;
    for (const auto& entry : list ? list->items() : kNone) {
      const auto* const address = entry.find("address");
      const auto parsed = address ? EthAddress::try_parse(address->text()) : std::nullopt;
      const auto* const keys = entry.find("storageKeys");
      if (!parsed || !keys || !keys->is(Kind::kArray) || entry.members().size() != 2) {
        refuse("accessList", "an entry of another shape", "objects of address and storageKeys");
        return {};
      }
      entries += rlp_list(rlp(text_of(parsed->bytes())) + hashes(keys, "accessList"));
    }
    return rlp_list(entries);
  }

  std::string blob_hashes() {
    const auto* const list = find("blobVersionedHashes");
    if (!list || !list->is(Kind::kArray) || list->items().empty()) {
      refuse("blobVersionedHashes", list ? "empty, or not an array" : "missing", "an array of one hash for each blob");
      return {};
    }
    for (const auto& hash : list->items()) {
      if (!hash.text().starts_with("0x01")) refuse("blobVersionedHashes", shown(hash), "hashes of version 0x01");
    }
    if (const auto* const blobs = find("blobs")) {
      if (!blobs->is(Kind::kArray) || blobs->items().size() != list->items().size()) {
        refuse("blobs", "another number of blobs", "one for each of blobVersionedHashes");
      }
      for (const auto& blob : blobs->items()) {
        if (blob.text().size() != 2 + 2 * kBlobBytes) refuse("blobs", "a blob of another size", "131072 bytes as hex");
      }
    }
    return hashes(list, "blobVersionedHashes");
  }

  /// The fields in the order of the type. What is only one function's argument is evaluated in its place.
  std::string fields_of(const Transaction& transaction) {
    std::string fields = transaction.type == 0 ? "" : rlp_number(transaction.chain_id);
    fields += quantity("nonce", 64);
    if (transaction.type <= 1) {
      fields += quantity("gasPrice", 256);
    } else {
      fields += quantity("maxPriorityFeePerGas", 256);
      fields += quantity("maxFeePerGas", 256);
    }
    fields += gas();
    fields += to(transaction.type);
    fields += quantity_or_zero("value", 256);
    fields += data();
    if (transaction.type >= 1) fields += access_list();
    if (transaction.type == 3) {
      fields += quantity("maxFeePerBlobGas", 256);
      fields += blob_hashes();
    }
    return fields;
  }

  static std::string to_be_signed(const Transaction& transaction) {
    if (transaction.type == 0) {
      return rlp_list(transaction.unsigned_fields + rlp_number(transaction.chain_id) + rlp("") + rlp(""));
    }
    return static_cast<char>(transaction.type) + rlp_list(transaction.unsigned_fields);
  }

  const JsonValue& value_;
  std::string field_;
  std::optional<InvalidInput> error_;
};

}  // namespace

Parsed<Transaction> read_transaction(const JsonValue& value, std::uint64_t chain_id, std::string_view field) {
  return Reader(value, field).read(chain_id);
}

std::string signed_transaction(const Transaction& transaction, const Signature& signature) {
  const auto text = text_of(signature.bytes());
  const std::uint64_t y_parity = static_cast<std::uint8_t>(text[64]) - 27U;
  const std::uint64_t v = transaction.type == 0 ? transaction.chain_id * 2 + 35 + y_parity : y_parity;
  const auto r = rlp(without_leading_zeros(std::string_view(text).substr(0, 32)));
  const auto s = rlp(without_leading_zeros(std::string_view(text).substr(32, 32)));
  std::string raw = transaction.type == 0 ? "" : std::string(1, static_cast<char>(transaction.type));
  raw += rlp_list(transaction.unsigned_fields + rlp_number(v) + r + s);
  return "0x" + to_hex({reinterpret_cast<const std::uint8_t*>(raw.data()), raw.size()});
}

}  // namespace hasigner
