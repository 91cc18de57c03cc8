#include "hasigner/cli/settings.hpp"

#include <algorithm>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/files.hpp"
#include "hasigner/cli/nearest.hpp"
#include "hasigner/cli/setting_values.hpp"
#include "hasigner/cli/settings_file.hpp"
#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/duty/utf8.hpp"

namespace hasigner::cli {

namespace {

[[noreturn]] void refuse_value(const SettingDefinition& definition, const SettingValue& value,
                               const std::string& allowed) {
  const std::string origin = value.origin == SettingOrigin::kDefault ? " (by default)" : "";
  throw CommandError(
      InvalidInput{value.given_as + origin, printable(shown_value(definition.kind, value.text), 200), allowed});
}

/// The value of the setting's variable. Returns nullopt when no variable is set. Several names of one setting must not
/// contradict each other.
std::optional<SettingValue> from_environment(const SettingDefinition& definition, const SettingSources& sources) {
  const auto read = [&](std::string_view name) -> std::optional<SettingValue> {
    auto text = sources.environment ? sources.environment(name) : std::nullopt;
    if (!text || trimmed(*text).empty()) return std::nullopt;
    return SettingValue{std::move(*text), SettingOrigin::kEnvironment, std::string(name)};
  };
  if (definition.id == SettingId::kDatabaseUrl && sources.database_url_of_migrations) {
    if (auto value = read("DATABASE_URL")) return value;
  }
  std::optional<SettingValue> found;
  for (const auto name : definition.environment) {
    auto value = read(name);
    if (!value) continue;
    if (found && trimmed(found->text) != trimmed(value->text)) {
      throw CommandError(ExitCode::kUsage,
                         found->given_as + " and " + value->given_as + " are two names of one setting, but differ");
    }
    if (!found) found = std::move(value);
  }
  return found;
}

std::vector<std::string> known_keys() {
  std::vector<std::string> keys;
  for (const auto& definition : setting_definitions()) keys.emplace_back(definition.key);
  return keys;
}

}  // namespace

std::string_view to_string(SettingOrigin origin) {
  switch (origin) {
    case SettingOrigin::kUnset: return "unset";
    case SettingOrigin::kDefault: return "default";
    case SettingOrigin::kDerived: return "derived";
    case SettingOrigin::kFile: return "file";
    case SettingOrigin::kEnvironment: return "environment";
    case SettingOrigin::kFlag: return "flag";
  }
  return "unknown";
}

void Settings::accept(SettingId id, SettingValue value) {
  const auto& definition = definition_of(id);
  if (const auto bare = trimmed(value.text); bare.size() != value.text.size()) {
    notes_.push_back(value.given_as + " has white space at its edges, such as a line break; it is left out");
    value.text = std::string(bare);
  }
  auto text = canonical_value(definition, value.text);
  if (!text) refuse_value(definition, value, text.error());
  const auto digits = value.text.substr(value.text.size() - std::min(value.text.size(), 2 * EthAddress::kSize));
  if (definition.kind == SettingKind::kAddress && !checksum_matches("0x" + digits)) {
    notes_.push_back(value.given_as + " is '" + value.text +
                     "', whose letter case does not match its checksum (EIP-55); check it for a typing error");
  }
  value.text = std::move(*text);
  values_[id] = std::move(value);
}

void Settings::read_file(const std::string& path) {
  config_file_ = path;
  for (auto& [key, text, given_as] : read_settings_file(path)) {
    const auto found = std::ranges::find(setting_definitions(), key, &SettingDefinition::key);
    if (found == setting_definitions().end()) {
      throw CommandError(ExitCode::kUsage, given_as + " is not a setting" + did_you_mean(key, known_keys()));
    }
    accept(found->id, {std::move(text), SettingOrigin::kFile, std::move(given_as)});
  }
  const auto& url = values_.at(SettingId::kDatabaseUrl);
  const bool has_password = url.origin == SettingOrigin::kFile && shown(SettingId::kDatabaseUrl).contains("***");
  if (has_password && others_can_read(path)) {
    notes_.push_back(printable(path, 200) + " holds a password, but other users may read it: chmod 600");
  }
}

Settings Settings::load(const SettingSources& sources) {
  Settings settings;
  for (const auto& definition : setting_definitions()) {
    const bool has_default = !definition.fallback.empty();
    settings.values_[definition.id] = {std::string(definition.fallback),
                                       has_default ? SettingOrigin::kDefault : SettingOrigin::kUnset,
                                       std::string(definition.environment.front())};
  }
  if (sources.wanted.empty()) return settings;

  // From the least to the most important. A wrong value is refused even where a more important one hides it.
  auto file = sources.config_file;
  if (!file && sources.environment) file = sources.environment("HA_SIGNER_CONFIG");
  if (file && (sources.config_file || !file->empty())) settings.read_file(*file);
  for (const SettingId id : sources.wanted) {
    const auto& definition = definition_of(id);
    if (auto value = from_environment(definition, sources)) settings.accept(id, std::move(*value));
    if (const auto flag = sources.flags.find(id); flag != sources.flags.end()) {
      settings.accept(id, {flag->second, SettingOrigin::kFlag, std::string(definition.flag)});
    }
  }
  const auto wants = [&](SettingId id) { return std::ranges::find(sources.wanted, id) != sources.wanted.end(); };
  for (const auto* const name : {"VALIDATOR_PRIVATE_KEYS", "VALIDATOR_ADDRESSES", "WEB3_SIGNER_URL"}) {
    if (!wants(SettingId::kKeyStoreDirectory) || !sources.take_secret) break;
    if (auto text = sources.take_secret(name)) settings.key_variables_[name] = std::move(text);
  }
  settings.derive_from_slot_duration();
  settings.derive_from_stuck_age(SettingId::kSignerCallTimeoutMs, 1, 2, "half");
  settings.derive_from_stuck_age(SettingId::kAttemptTimeoutMs, 3, 4, "three quarters");
  if (wants(SettingId::kSignerCallTimeoutMs) && wants(SettingId::kRemoteTimeoutMs)) settings.bound_remote_timeout();
  return settings;
}

std::shared_ptr<const SecretText> Settings::key_variable(std::string_view name) const {
  const auto found = key_variables_.find(name);
  return found == key_variables_.end() ? nullptr : found->second;
}

void Settings::derive_from_slot_duration() {
  const auto seconds = number(SettingId::kSlotDurationS);
  if (!seconds || value(SettingId::kMaxStuckDutiesAgeMs).origin != SettingOrigin::kDefault) return;
  values_[SettingId::kMaxStuckDutiesAgeMs] = {std::to_string(2 * 1'000 * *seconds), SettingOrigin::kDerived,
                                              "two slots of " + value(SettingId::kSlotDurationS).given_as};
}

void Settings::derive_from_stuck_age(SettingId id, std::uint64_t parts, std::uint64_t whole,
                                     std::string_view part_name) {
  const SettingValue& stuck_age = value(SettingId::kMaxStuckDutiesAgeMs);
  const std::uint64_t derived = number(SettingId::kMaxStuckDutiesAgeMs).value() * parts / whole;
  if (value(id).origin != SettingOrigin::kDefault || number(id).value() <= derived) return;
  values_[id] = {std::to_string(derived), SettingOrigin::kDerived,
                 std::string(part_name) + " of " + stuck_age.given_as};
}

void Settings::bound_remote_timeout() {
  auto& remote = values_.at(SettingId::kRemoteTimeoutMs);
  const SettingValue& call = value(SettingId::kSignerCallTimeoutMs);
  if (duration(SettingId::kRemoteTimeoutMs) <= duration(SettingId::kSignerCallTimeoutMs)) return;
  const bool is_given = call.origin != SettingOrigin::kDefault && call.origin != SettingOrigin::kDerived;
  const auto name =
      is_given ? call.given_as : std::string(definition_of(SettingId::kSignerCallTimeoutMs).environment.front());
  if (remote.origin != SettingOrigin::kDefault) {
    notes_.push_back(remote.given_as + " is '" + remote.text + "', longer than " + name + ", which is '" + call.text +
                     "'; a call of a remote signer takes at most " + call.text + " ms");
  }
  remote = {call.text, SettingOrigin::kDerived, "no longer than " + name};
}

const SettingValue& Settings::value(SettingId id) const {
  return values_.at(id);
}

std::string Settings::shown(SettingId id) const {
  return shown_value(definition_of(id).kind, value(id).text);
}

const std::string& Settings::required(SettingId id) const {
  if (is_set(id)) return value(id).text;
  const auto& definition = definition_of(id);
  throw CommandError(ExitCode::kUsage, std::string(definition.flag) + " is missing: give it, set " +
                                           std::string(definition.environment.front()) + ", or put " +
                                           std::string(definition.key) + " into the settings file");
}

std::optional<std::uint64_t> Settings::number(SettingId id) const {
  return parse_number(value(id).text);
}

milliseconds Settings::duration(SettingId id) const {
  return milliseconds(number(id).value());
}

void Settings::refuse(SettingId id, const std::string& allowed) const {
  refuse_value(definition_of(id), value(id), allowed);
}

}  // namespace hasigner::cli
