#include "hasigner/service/duty_query.hpp"

#include <set>

namespace hasigner::service {

namespace {

constexpr std::uint64_t kMostRows = 1'000;

std::unexpected<InvalidInput> refuse(std::string_view name, std::string_view value, std::string allowed) {
  return std::unexpected(InvalidInput{printable(name), printable(value), std::move(allowed)});
}

/// Decodes `%41` as `A` and `+` as a space. Returns nullopt for a text with a wrong escape.
std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::array<std::uint8_t, 1> byte{};
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
    } else if (i + 2 < text.size() && from_hex(text.substr(i + 1, 2), byte)) {
      out += static_cast<char>(byte[0]);
      i += 2;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

template <class T>
Parsed<void> set(std::optional<T>& field, Parsed<T> value) {
  if (!value) return std::unexpected(value.error());
  field = *value;
  return {};
}

Parsed<void> apply(DutyFilter& filter, std::string_view name, const std::string& value) {
  if (name == "rollup") return set(filter.rollup, EthAddress::parse(value, name));
  if (name == "validator") return set(filter.validator, EthAddress::parse(value, name));
  if (name == "fromSlot") return set(filter.from_slot, Slot::parse(value, name));
  if (name == "toSlot") return set(filter.to_slot, Slot::parse(value, name));
  if (name == "slot") {
    if (auto first = set(filter.from_slot, Slot::parse(value, name)); !first) return first;
    return set(filter.to_slot, Slot::parse(value, name));
  }
  if (name == "dutyType") return set(filter.duty_type, parse_duty_type(value));
  if (name == "status") {
    if (value != "signing" && value != "signed") return refuse(name, value, "signing or signed");
    filter.status = value == "signed" ? DutyStatus::kSigned : DutyStatus::kSigning;
    return {};
  }
  if (name == "nodeId") {
    const auto node = NodeId::parse(value, name);
    if (!node) return std::unexpected(node.error());
    filter.node_id = node->str();
    return {};
  }
  if (name == "limit") {
    const auto limit = Slot::parse(value, name);
    if (!limit || limit->value() == 0 || limit->value() > kMostRows) return refuse(name, value, "from 1 to 1000");
    filter.limit = limit->value();
    return {};
  }
  return refuse(name, "a parameter that is not known",
                "one of rollup, validator, slot, fromSlot, toSlot, dutyType, status, nodeId, limit");
}

}  // namespace

Parsed<DutyFilter> parse_duty_query(std::string_view query) {
  DutyFilter filter;
  filter.limit = 100;
  std::set<std::string_view> seen;
  while (!query.empty()) {
    const auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    if (part.empty()) continue;
    const auto equals = std::min(part.find('='), part.size());
    const auto name = part.substr(0, equals);
    const auto value = decoded(part.substr(std::min(part.size(), equals + 1)));
    if (!value) return refuse(name, part, "percent-encoded text");
    if (!seen.insert(name).second) return refuse(name, "given twice", "given once");
    if (auto applied = apply(filter, name, *value); !applied) return std::unexpected(applied.error());
  }
  return filter;
}

}  // namespace hasigner::service
