#include "hasigner/cli/setting_values.hpp"

#include <charconv>
#include <ranges>

#include "hasigner/duty/bytes.hpp"
#include "hasigner/duty/ownership.hpp"
#include "hasigner/duty/utf8.hpp"
#include "hasigner/factory/database_url.hpp"
#include "hasigner/keys/keystore_document.hpp"
#include "hasigner/keys/remote_url.hpp"
#include "hasigner/store/postgres/connection_string.hpp"

namespace hasigner::cli {

namespace {

std::string range_of(const SettingDefinition& definition) {
  return "a whole number from " + std::to_string(definition.least) + " to " + std::to_string(definition.most);
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Parsed<std::vector<DutyType>> parse_duty_types(std::string_view text) {
  std::vector<DutyType> types;
  for (const auto part : std::views::split(text, ',')) {
    const auto type = parse_duty_type(std::string_view(part));
    if (!type) return std::unexpected(type.error());
    types.push_back(*type);
  }
  return types;
}

Parsed<std::vector<EthAddress>> parse_addresses(std::string_view text) {
  std::vector<EthAddress> addresses;
  for (const auto part : std::views::split(text, ',')) {
    const auto address = EthAddress::parse(trimmed(std::string_view(part)));
    if (!address) return std::unexpected(address.error());
    addresses.push_back(*address);
  }
  return addresses;
}

std::string shown_value(SettingKind kind, const std::string& text) {
  if (kind == SettingKind::kDatabaseUrl && !text.starts_with("sqlite:")) return postgres::mask_password(text);
  // Where it cannot be parsed, it is not known which part of it is a password.
  if (kind == SettingKind::kWebUrl) {
    const bool is_url = keys::RemoteUrl::parse(text, "").has_value();
    return is_url ? keys::RemoteSigner{.url = text, .cert_path = {}, .cert_password = {}}.shown_url() : "(not shown)";
  }
  return printable(text, 4096);
}

std::expected<std::string, std::string> canonical_value(const SettingDefinition& definition, const std::string& text) {
  const auto kept = [](const auto& parsed, const std::string& value) -> std::expected<std::string, std::string> {
    if (!parsed) return std::unexpected(parsed.error().allowed);
    return value;
  };
  switch (definition.kind) {
    case SettingKind::kText: return text;
    case SettingKind::kPath:
      if (text.empty() || text.contains('\0')) return std::unexpected("a path");
      return text;
    case SettingKind::kDatabaseUrl: {
      const auto url = DatabaseUrl::parse(text);
      if (url && url->kind == DatabaseUrl::Kind::kPostgres) return kept(postgres::ConnectionString::parse(text), text);
      return kept(url, text);
    }
    case SettingKind::kWebUrl: return kept(keys::RemoteUrl::parse(text, ""), text);
    case SettingKind::kNodeId: return kept(NodeId::parse(text), text);
    case SettingKind::kAddress: {
      // Aztec's nodes add the 0x that may be missing.
      const auto address = EthAddress::parse(text.size() == 2 * EthAddress::kSize ? "0x" + text : text);
      return kept(address, address ? address->to_string() : text);
    }
    case SettingKind::kAddresses: return kept(parse_addresses(text), text);
    case SettingKind::kBoolean:
      // Those that Aztec's nodes take for true, and their opposites. Other texts are false there, which may be a
      // mistake.
      if (text == "true" || text == "TRUE" || text == "1") return "true";
      if (text == "false" || text == "FALSE" || text == "0") return "false";
      return std::unexpected("true or false (or TRUE, FALSE, 1, 0)");
    case SettingKind::kNumber: {
      const auto number = parse_number(text);
      if (!number || *number < definition.least || *number > definition.most)
        return std::unexpected(range_of(definition));
      return std::to_string(*number);
    }
    case SettingKind::kDutyTypes: return kept(parse_duty_types(text), text);
  }
  return text;
}

}  // namespace hasigner::cli
