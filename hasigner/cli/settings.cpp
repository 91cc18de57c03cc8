#include "hasigner/cli/settings.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/files.hpp"
#include "hasigner/cli/nearest.hpp"
#include "hasigner/cli/settings_file.hpp"
#include "hasigner/crypto/checksum.hpp"
#include "hasigner/factory/database_url.hpp"
#include "hasigner/store/postgres/connection_string.hpp"

namespace hasigner::cli {

namespace {

constexpr std::uint64_t kDayMs = 86'400'000;

const std::vector<SettingDefinition>& definitions() {
  using enum SettingKind;
  static const std::vector<SettingDefinition> all = {
      {.id = SettingId::kDatabaseUrl,
       .kind = kDatabaseUrl,
       .flag = "--database-url",
       .key = "database_url",
       .environment = {"VALIDATOR_HA_DATABASE_URL"},
       .placeholder = "URL",
       .fallback = "",
       .meaning = "Where duties are kept: postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:PATH"},
      {.id = SettingId::kNodeId,
       .kind = kNodeId,
       .flag = "--node-id",
       .key = "node_id",
       .environment = {"VALIDATOR_HA_NODE_ID"},
       .placeholder = "ID",
       .fallback = "",
       .meaning = "Stable name of this node, unique among all that share the database"},
      {.id = SettingId::kRollup,
       .kind = kAddress,
       .flag = "--rollup",
       .key = "rollup",
       .environment = {"ROLLUP_CONTRACT_ADDRESS"},
       .placeholder = "ADDRESS",
       .fallback = "",
       .meaning = "Address of the rollup contract"},
      {.id = SettingId::kSigningEnabled,
       .kind = kBoolean,
       .flag = "--ha-signing-enabled",
       .key = "ha_signing_enabled",
       .environment = {"VALIDATOR_HA_SIGNING_ENABLED"},
       .placeholder = "",
       .fallback = "false",
       .meaning = "Sign with protection by a shared database"},
      {.id = SettingId::kPollingIntervalMs,
       .kind = kNumber,
       .flag = "--polling-interval-ms",
       .key = "polling_interval_ms",
       .environment = {"VALIDATOR_HA_POLLING_INTERVAL_MS"},
       .placeholder = "MS",
       .fallback = "100",
       .meaning = "Longest pause between looks at another node's signing",
       .least = 1,
       .most = 60'000},
      {.id = SettingId::kSigningTimeoutMs,
       .kind = kNumber,
       .flag = "--signing-timeout-ms",
       .key = "signing_timeout_ms",
       .environment = {"VALIDATOR_HA_SIGNING_TIMEOUT_MS"},
       .placeholder = "MS",
       .fallback = "3000",
       .meaning = "How long to wait for another node's signing",
       .least = 1,
       .most = kDayMs},
      {.id = SettingId::kSignerCallTimeoutMs,
       .kind = kNumber,
       .flag = "--signer-call-timeout-ms",
       .key = "signer_call_timeout_ms",
       .environment = {"VALIDATOR_SIGNER_CALL_TIMEOUT_MS", "VALIDATOR_SIGNING_OPERATION_TIMEOUT_MS"},
       .placeholder = "MS",
       .fallback = "30000",
       .meaning = "Bound on making one signature; at most half the stuck-duty age",
       .least = 1,
       .most = kDayMs},
      {.id = SettingId::kAttemptTimeoutMs,
       .kind = kNumber,
       .flag = "--attempt-timeout-ms",
       .key = "attempt_timeout_ms",
       .environment = {"VALIDATOR_HA_ATTEMPT_TIMEOUT_MS"},
       .placeholder = "MS",
       .fallback = "60000",
       .meaning = "Bound on a whole attempt, claim to confirmation; less than the stuck-duty age",
       .least = 1,
       .most = kDayMs},
      {.id = SettingId::kMaxStuckDutiesAgeMs,
       .kind = kNumber,
       .flag = "--max-stuck-duties-age-ms",
       .key = "max_stuck_duties_age_ms",
       .environment = {"VALIDATOR_HA_MAX_STUCK_DUTIES_AGE_MS"},
       .placeholder = "MS",
       .fallback = "144000",
       .meaning = "Age at which this node's own unfinished duties are given up",
       .least = 2'000,
       .most = kDayMs},
      {.id = SettingId::kOldDutiesMaxAgeH,
       .kind = kNumber,
       .flag = "--old-duties-max-age-h",
       .key = "old_duties_max_age_h",
       .environment = {"VALIDATOR_HA_OLD_DUTIES_MAX_AGE_H"},
       .placeholder = "HOURS",
       .fallback = "",
       .meaning = "Age at which signed duties are removed; without it they are kept for ever",
       .least = 1,
       .most = 87'600},
      {.id = SettingId::kPoolMax,
       .kind = kNumber,
       .flag = "--pool-max",
       .key = "pool_max",
       .environment = {"VALIDATOR_HA_POOL_MAX"},
       .placeholder = "N",
       .fallback = "10",
       .meaning = "Most connections to PostgreSQL",
       .least = 1,
       .most = 1'000},
      {.id = SettingId::kPoolMin,
       .kind = kNumber,
       .flag = "--pool-min",
       .key = "pool_min",
       .environment = {"VALIDATOR_HA_POOL_MIN"},
       .placeholder = "N",
       .fallback = "0",
       .meaning = "Connections that stay open when idle",
       .least = 0,
       .most = 1'000},
      {.id = SettingId::kPoolIdleTimeoutMs,
       .kind = kNumber,
       .flag = "--pool-idle-timeout-ms",
       .key = "pool_idle_timeout_ms",
       .environment = {"VALIDATOR_HA_POOL_IDLE_TIMEOUT_MS"},
       .placeholder = "MS",
       .fallback = "10000",
       .meaning = "How long an idle connection stays open; 0: for ever",
       .least = 0,
       .most = kDayMs},
      {.id = SettingId::kPoolConnectionTimeoutMs,
       .kind = kNumber,
       .flag = "--pool-connection-timeout-ms",
       .key = "pool_connection_timeout_ms",
       .environment = {"VALIDATOR_HA_POOL_CONNECTION_TIMEOUT_MS"},
       .placeholder = "MS",
       .fallback = "0",
       .meaning = "Bound on getting a connection; 0: none of its own, the attempt's deadline holds",
       .least = 0,
       .most = kDayMs},
      {.id = SettingId::kAllowEphemeralProtection,
       .kind = kBoolean,
       .flag = "--allow-ephemeral-signing-protection",
       .key = "allow_ephemeral_signing_protection",
       .environment = {"VALIDATOR_ALLOW_EPHEMERAL_SIGNING_PROTECTION"},
       .placeholder = "",
       .fallback = "false",
       .meaning = "Allow protection that is forgotten when the process ends (memory:)"},
      {.id = SettingId::kDataDirectory,
       .kind = kPath,
       .flag = "--data-directory",
       .key = "data_directory",
       .environment = {"DATA_DIRECTORY"},
       .placeholder = "DIR",
       .fallback = "",
       .meaning = "Folder of a node that protects itself without a shared database"},
      {.id = SettingId::kKeyStoreDirectory,
       .kind = kPath,
       .flag = "--key-store-directory",
       .key = "key_store_directory",
       .environment = {"KEY_STORE_DIRECTORY"},
       .placeholder = "DIR",
       .fallback = "",
       .meaning = "Folder of Aztec keystore files, or one such file"},
      {.id = SettingId::kChainId,
       .kind = kNumber,
       .flag = "--l1-chain-id",
       .key = "l1_chain_id",
       .environment = {"L1_CHAIN_ID"},
       .placeholder = "N",
       .fallback = "",
       .meaning = "Id of the Ethereum chain that the rollup is on; Aztec payloads of another are refused",
       .least = 1,
       .most = 0x7fff'ffff'ffff'ffff},
      {.id = SettingId::kListen,
       .kind = kText,
       .flag = "--listen",
       .key = "listen",
       .environment = {"HA_SIGNER_LISTEN"},
       .placeholder = "ADDRESSES",
       .fallback = "127.0.0.1:9000",
       .meaning = "Where the service listens: IP:PORT or unix:PATH, several parted by commas"},
      {.id = SettingId::kClientsFile,
       .kind = kPath,
       .flag = "--clients-file",
       .key = "clients_file",
       .environment = {"HA_SIGNER_CLIENTS_FILE"},
       .placeholder = "FILE",
       .fallback = "",
       .meaning =
           "Who may use the service, and for what; without it everybody who reaches it on this machine may sign"},
      {.id = SettingId::kTlsCertificate,
       .kind = kPath,
       .flag = "--tls-certificate",
       .key = "tls_certificate",
       .environment = {"HA_SIGNER_TLS_CERTIFICATE"},
       .placeholder = "FILE",
       .fallback = "",
       .meaning = "Certificate of the service with its chain (PEM); then every TCP address speaks TLS"},
      {.id = SettingId::kTlsKey,
       .kind = kPath,
       .flag = "--tls-key",
       .key = "tls_key",
       .environment = {"HA_SIGNER_TLS_KEY"},
       .placeholder = "FILE",
       .fallback = "",
       .meaning = "Private key of that certificate (PEM); only its owner may read it"},
      {.id = SettingId::kTlsClientAuthority,
       .kind = kPath,
       .flag = "--tls-client-ca",
       .key = "tls_client_ca",
       .environment = {"HA_SIGNER_TLS_CLIENT_CA"},
       .placeholder = "FILE",
       .fallback = "",
       .meaning = "Authorities whose certificates clients may show instead of a token (PEM)"},
      {.id = SettingId::kAllowPlainHttp,
       .kind = kBoolean,
       .flag = "--allow-plain-http",
       .key = "allow_plain_http",
       .environment = {"HA_SIGNER_ALLOW_PLAIN_HTTP"},
       .placeholder = "",
       .fallback = "false",
       .meaning = "Listen beyond this machine without TLS: whoever sees the traffic can take tokens and change what is "
                  "signed"},
      {.id = SettingId::kMaxConnections,
       .kind = kNumber,
       .flag = "--max-connections",
       .key = "max_connections",
       .environment = {"HA_SIGNER_MAX_CONNECTIONS"},
       .placeholder = "N",
       .fallback = "1024",
       .meaning = "Most connections of clients",
       .least = 1,
       .most = 100'000},
      {.id = SettingId::kMaxRequests,
       .kind = kNumber,
       .flag = "--max-requests",
       .key = "max_requests",
       .environment = {"HA_SIGNER_MAX_REQUESTS"},
       .placeholder = "N",
       .fallback = "10000",
       .meaning = "Most requests in flight",
       .least = 1,
       .most = 1'000'000},
      {.id = SettingId::kMaxBodyBytes,
       .kind = kNumber,
       .flag = "--max-body-bytes",
       .key = "max_body_bytes",
       .environment = {"HA_SIGNER_MAX_BODY_BYTES"},
       .placeholder = "BYTES",
       .fallback = "8388608",
       .meaning = "Largest body of a request",
       .least = 1'024,
       .most = 1'073'741'824},
      {.id = SettingId::kMaxDutiesPerRequest,
       .kind = kNumber,
       .flag = "--max-duties-per-request",
       .key = "max_duties_per_request",
       .environment = {"HA_SIGNER_MAX_DUTIES_PER_REQUEST"},
       .placeholder = "N",
       .fallback = "10000",
       .meaning = "Most duties, or calls of JSON-RPC, in one request",
       .least = 1,
       .most = 100'000},
      {.id = SettingId::kHeaderTimeoutMs,
       .kind = kNumber,
       .flag = "--header-timeout-ms",
       .key = "header_timeout_ms",
       .environment = {"HA_SIGNER_HEADER_TIMEOUT_MS"},
       .placeholder = "MS",
       .fallback = "5000",
       .meaning = "How long the header of a request may take to come",
       .least = 1,
       .most = kDayMs},
      {.id = SettingId::kBodyTimeoutMs,
       .kind = kNumber,
       .flag = "--body-timeout-ms",
       .key = "body_timeout_ms",
       .environment = {"HA_SIGNER_BODY_TIMEOUT_MS"},
       .placeholder = "MS",
       .fallback = "10000",
       .meaning = "How long the body of a request may take to come",
       .least = 1,
       .most = kDayMs},
      {.id = SettingId::kIdleTimeoutMs,
       .kind = kNumber,
       .flag = "--idle-timeout-ms",
       .key = "idle_timeout_ms",
       .environment = {"HA_SIGNER_IDLE_TIMEOUT_MS"},
       .placeholder = "MS",
       .fallback = "60000",
       .meaning = "How long a connection without a request stays open",
       .least = 1,
       .most = kDayMs},
      {.id = SettingId::kDrainTimeoutMs,
       .kind = kNumber,
       .flag = "--drain-timeout-ms",
       .key = "drain_timeout_ms",
       .environment = {"HA_SIGNER_DRAIN_TIMEOUT_MS"},
       .placeholder = "MS",
       .fallback = "10000",
       .meaning = "How long requests in flight may take when the service is told to end",
       .least = 1,
       .most = kDayMs},
      {.id = SettingId::kRemoteCaFile,
       .kind = kPath,
       .flag = "--remote-ca-file",
       .key = "remote_ca_file",
       .environment = {"HA_SIGNER_REMOTE_CA_FILE"},
       .placeholder = "FILE",
       .fallback = "",
       .meaning = "Authorities that a remote signer's certificate must come from (PEM); without it the system's"},
      {.id = SettingId::kRemoteTimeoutMs,
       .kind = kNumber,
       .flag = "--remote-timeout-ms",
       .key = "remote_timeout_ms",
       .environment = {"HA_SIGNER_REMOTE_TIMEOUT_MS"},
       .placeholder = "MS",
       .fallback = "10000",
       .meaning = "Bound on one call of a remote signer, connecting included",
       .least = 1,
       .most = kDayMs},
      {.id = SettingId::kRemoteConnections,
       .kind = kNumber,
       .flag = "--remote-connections",
       .key = "remote_connections",
       .environment = {"HA_SIGNER_REMOTE_CONNECTIONS"},
       .placeholder = "N",
       .fallback = "16",
       .meaning = "Most connections to one remote signer",
       .least = 1,
       .most = 1'000},
  };
  return all;
}

std::string range_of(const SettingDefinition& definition) {
  return "a whole number from " + std::to_string(definition.least) + " to " + std::to_string(definition.most);
}

/// Empty: unreadable as a number.
std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string shown_text(SettingKind kind, const std::string& text) {
  return kind == SettingKind::kDatabaseUrl && !text.starts_with("sqlite:") ? postgres::mask_password(text)
                                                                           : printable(text, 4096);
}

/// The value in the form in which it is kept, or what would have been allowed.
std::expected<std::string, std::string> canonical(const SettingDefinition& definition, const std::string& text) {
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
    case SettingKind::kNodeId: return kept(NodeId::parse(text), text);
    case SettingKind::kAddress: {
      const auto address = EthAddress::parse(text);
      return kept(address, address ? address->to_string() : text);
    }
    case SettingKind::kBoolean:
      if (text == "true" || text == "1") return "true";
      if (text == "false" || text == "0") return "false";
      return std::unexpected("true or false");
    case SettingKind::kNumber: {
      const auto number = number_of(text);
      if (!number || *number < definition.least || *number > definition.most)
        return std::unexpected(range_of(definition));
      return std::to_string(*number);
    }
  }
  return text;
}

[[noreturn]] void refuse_value(const SettingDefinition& definition, const SettingValue& value,
                               const std::string& allowed) {
  const std::string origin = value.origin == SettingOrigin::kDefault ? " (by default)" : "";
  throw CommandError(
      InvalidInput{value.given_as + origin, printable(shown_text(definition.kind, value.text), 200), allowed});
}

/// The variable that gives the setting its value, if any does; several names of one setting must not contradict each
/// other.
std::optional<SettingValue> from_environment(const SettingDefinition& definition, const SettingSources& sources) {
  const auto read = [&](std::string_view name) -> std::optional<SettingValue> {
    auto text = sources.environment ? sources.environment(name) : std::nullopt;
    if (!text || text->empty()) return std::nullopt;
    return SettingValue{std::move(*text), SettingOrigin::kEnvironment, std::string(name)};
  };
  if (definition.id == SettingId::kDatabaseUrl && sources.database_url_of_migrations) {
    if (auto value = read("DATABASE_URL")) return value;
  }
  std::optional<SettingValue> found;
  for (const auto name : definition.environment) {
    auto value = read(name);
    if (!value) continue;
    if (found && found->text != value->text) {
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

std::span<const SettingDefinition> setting_definitions() {
  return definitions();
}

const SettingDefinition& definition_of(SettingId id) {
  return *std::ranges::find(setting_definitions(), id, &SettingDefinition::id);
}

std::vector<SettingId> signer_settings() {
  std::vector<SettingId> ids;
  for (const auto& definition : setting_definitions()) {
    if (definition.id != SettingId::kSigningEnabled && definition.id < SettingId::kDataDirectory)
      ids.push_back(definition.id);
  }
  return ids;
}

std::vector<SettingId> service_settings() {
  std::vector<SettingId> ids;
  for (const auto& definition : setting_definitions()) ids.push_back(definition.id);
  return ids;
}

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
  auto text = canonical(definition, value.text);
  if (!text) refuse_value(definition, value, text.error());
  if (definition.kind == SettingKind::kAddress && !checksum_matches(value.text)) {
    notes_.push_back(value.given_as + " is '" + value.text +
                     "', whose letter case does not match its checksum (EIP-55); look for a typing error");
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
    notes_.push_back(printable(path, 200) + " holds a password, but others than its owner may read it: chmod 600");
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
  settings.derive_from_stuck_age(SettingId::kSignerCallTimeoutMs, 1, 2, "half");
  settings.derive_from_stuck_age(SettingId::kAttemptTimeoutMs, 3, 4, "three quarters");
  return settings;
}

void Settings::derive_from_stuck_age(SettingId id, std::uint64_t parts, std::uint64_t whole,
                                     std::string_view part_name) {
  const SettingValue& stuck_age = value(SettingId::kMaxStuckDutiesAgeMs);
  const std::uint64_t derived = number(SettingId::kMaxStuckDutiesAgeMs).value() * parts / whole;
  if (value(id).origin != SettingOrigin::kDefault || number(id).value() <= derived) return;
  values_[id] = {std::to_string(derived), SettingOrigin::kDerived,
                 std::string(part_name) + " of " + stuck_age.given_as};
}

const SettingValue& Settings::value(SettingId id) const {
  return values_.at(id);
}

std::string Settings::shown(SettingId id) const {
  return shown_text(definition_of(id).kind, value(id).text);
}

const std::string& Settings::required(SettingId id) const {
  if (is_set(id)) return value(id).text;
  const auto& definition = definition_of(id);
  throw CommandError(ExitCode::kUsage, std::string(definition.flag) + " is missing: give it, set " +
                                           std::string(definition.environment.front()) + ", or put " +
                                           std::string(definition.key) + " into the settings file");
}

std::optional<std::uint64_t> Settings::number(SettingId id) const {
  return number_of(value(id).text);
}

milliseconds Settings::duration(SettingId id) const {
  return milliseconds(number(id).value());
}

void Settings::refuse(SettingId id, const std::string& allowed) const {
  refuse_value(definition_of(id), value(id), allowed);
}

namespace {

SignerConfig unchecked_config(const Settings& settings, NodeId node_id, const EthAddress& rollup) {
  SignerConfig config{.node_id = std::move(node_id), .rollup = rollup};
  config.polling_interval = settings.duration(SettingId::kPollingIntervalMs);
  config.peer_signing_timeout = settings.duration(SettingId::kSigningTimeoutMs);
  config.signer_call_timeout = settings.duration(SettingId::kSignerCallTimeoutMs);
  config.attempt_timeout = settings.duration(SettingId::kAttemptTimeoutMs);
  config.max_stuck_duties_age = settings.duration(SettingId::kMaxStuckDutiesAgeMs);
  if (const auto hours = settings.number(SettingId::kOldDutiesMaxAgeH))
    config.old_duties_max_age = std::chrono::hours(*hours);
  return config;
}

SignerConfig checked(const Settings& settings, SignerConfig config) {
  auto valid = validated(std::move(config));
  if (valid) return std::move(*valid);
  // The library calls a setting by its variable's name; the user may have given it otherwise.
  for (const auto& definition : setting_definitions()) {
    if (definition.environment.front() == valid.error().field) settings.refuse(definition.id, valid.error().allowed);
  }
  throw CommandError(valid.error());
}

void check_pool(const Settings& settings) {
  if (settings.number(SettingId::kPoolMin) > settings.number(SettingId::kPoolMax)) {
    settings.refuse(SettingId::kPoolMin, "at most " + settings.value(SettingId::kPoolMax).given_as + ", which is " +
                                             settings.value(SettingId::kPoolMax).text);
  }
}

}  // namespace

SignerConfig signer_config(const Settings& settings) {
  return signer_config(settings, accepted(NodeId::parse(settings.required(SettingId::kNodeId))));
}

SignerConfig signer_config(const Settings& settings, NodeId node_id) {
  check_pool(settings);
  const auto rollup = EthAddress::parse(settings.required(SettingId::kRollup));
  return checked(settings, unchecked_config(settings, std::move(node_id), accepted(rollup)));
}

void check_together(const Settings& settings) {
  check_pool(settings);
  EthAddress rollup;
  rollup.bytes().back() = 1;
  if (settings.is_set(SettingId::kRollup)) rollup = accepted(EthAddress::parse(settings.required(SettingId::kRollup)));
  (void)checked(settings, unchecked_config(settings, accepted(NodeId::parse("unnamed")), rollup));
  if (settings.is_true(SettingId::kSigningEnabled)) {
    (void)settings.required(SettingId::kDatabaseUrl);
    (void)settings.required(SettingId::kNodeId);
  }
}

}  // namespace hasigner::cli
