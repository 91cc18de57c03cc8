#include "hasigner/cli/service_settings.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/key_store_settings.hpp"
#include "hasigner/cli/signer_settings.hpp"
#include "hasigner/cli/slot_checks.hpp"
#include "hasigner/service/host_names.hpp"
#include "hasigner/store/sqlite/file_system.hpp"

namespace hasigner::cli {

namespace {

constexpr std::string_view kLocalNodeId = "local";
constexpr std::string_view kLocalFile = "signing-protection.db";
constexpr std::string_view kJournalFolder = "journal";
constexpr std::string_view kJournalFile = "released.db";

/// When a database is named but not used, nodes protect only against themselves, not against each other.
void refuse_forgotten_switch(const Settings& settings) {
  const bool said_so = settings.value(SettingId::kSigningEnabled).origin != SettingOrigin::kDefault;
  if (!settings.is_set(SettingId::kDatabaseUrl) || said_so) return;
  throw CommandError(ExitCode::kUsage, settings.value(SettingId::kDatabaseUrl).given_as +
                                           " is given, but VALIDATOR_HA_SIGNING_ENABLED is not: set it to true to "
                                           "protect through this database, or to false to do without it");
}

/// With a slash at its end the folder would be its own parent, and be made with what the umask leaves.
std::filesystem::path without_slash(std::filesystem::path folder) {
  return !folder.has_filename() && folder.has_relative_path() ? folder.parent_path() : folder;
}

std::filesystem::path data_directory(const Settings& settings) {
  return without_slash(settings.value(SettingId::kDataDirectory).text);
}

/// Makes the folder, its owner's only from the beginning.
std::error_code make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), error);
  if (!error && ::mkdir(folder.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    error = std::error_code(errno, std::generic_category());
  }
  if (!error && !std::filesystem::is_directory(folder, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  return error;
}

service::HttpLimits http_limits(const Settings& settings) {
  service::HttpLimits limits;
  limits.body_bytes = settings.number(SettingId::kMaxBodyBytes).value();
  limits.all_body_bytes = std::max(limits.all_body_bytes, 4 * limits.body_bytes);
  limits.connections = settings.number(SettingId::kMaxConnections).value();
  limits.connections_of_a_peer = settings.number(SettingId::kMaxConnectionsPerAddress).value();
  limits.requests_in_flight = settings.number(SettingId::kMaxRequests).value();
  limits.header_timeout = settings.duration(SettingId::kHeaderTimeoutMs);
  limits.body_timeout = settings.duration(SettingId::kBodyTimeoutMs);
  limits.idle_timeout = settings.duration(SettingId::kIdleTimeoutMs);
  return limits;
}

}  // namespace

std::string local_database(const Settings& settings) {
  if (settings.is_set(SettingId::kDataDirectory)) {
    return "sqlite:" + (data_directory(settings) / kLocalFile).string();
  }
  if (settings.is_true(SettingId::kAllowEphemeralProtection)) return "memory:";
  throw CommandError(ExitCode::kUsage,
                     "signing protection requires a persistent data directory: set DATA_DIRECTORY (or "
                     "--data-directory), or VALIDATOR_HA_SIGNING_ENABLED=true with a shared database; "
                     "VALIDATOR_ALLOW_EPHEMERAL_SIGNING_PROTECTION=true allows protection that a restart forgets");
}

std::string local_node_id(const Settings& settings) {
  return settings.is_set(SettingId::kNodeId) ? settings.value(SettingId::kNodeId).text : std::string(kLocalNodeId);
}

void make_data_directory(const Settings& settings) {
  if (!settings.is_set(SettingId::kDataDirectory)) return;
  const std::filesystem::path folder = data_directory(settings);
  if (const auto error = make_folder(folder)) {
    throw CommandError(ExitCode::kUsage, settings.value(SettingId::kDataDirectory).given_as + " is '" +
                                             printable(folder.string(), 300) +
                                             "', which cannot be made: " + error.message());
  }
}

std::expected<std::filesystem::path, std::string> journal_file(const Settings& settings) {
  if (!settings.is_true(SettingId::kJournal)) {
    return std::unexpected(settings.value(SettingId::kJournal).given_as + " switches it off");
  }
  std::filesystem::path folder;
  if (settings.is_set(SettingId::kDataDirectory)) {
    folder = data_directory(settings);
  } else if (const char* state = std::getenv("STATE_DIRECTORY")) {
    // systemd separates several by colons.
    folder = without_slash(std::string(state).substr(0, std::string_view(state).find(':')));
  }
  if (folder.empty()) return std::unexpected("there is no folder for it: set DATA_DIRECTORY to one of this node's own");
  return folder / kJournalFolder / kJournalFile;
}

void make_journal_folder(const std::filesystem::path& journal) {
  const auto inside = journal.parent_path();
  const auto file_system = sqlite::file_system_of(inside.string());
  if (file_system && file_system->kind == sqlite::FileSystemKind::kNetwork) {
    throw CommandError(ExitCode::kUsage, "the folder of this node's journal, '" + printable(inside.string(), 300) +
                                             "', is on a network file system (" + file_system->name +
                                             "). Set DATA_DIRECTORY to a folder on a disk of this machine, or "
                                             "HA_SIGNER_JOURNAL to false to keep no journal");
  }
  auto error = make_folder(inside.parent_path());
  if (!error) error = make_folder(inside);
  if (!error) return;
  throw CommandError(ExitCode::kUsage, "the folder of this node's journal, '" + printable(inside.string(), 300) +
                                           "', cannot be made: " + error.message() +
                                           ". Set DATA_DIRECTORY to a folder of this node's own, or HA_SIGNER_JOURNAL "
                                           "to false to keep no journal");
}

HaSignerConfig protection_config(const Settings& settings) {
  refuse_forgotten_switch(settings);
  if (settings.is_true(SettingId::kSigningEnabled)) return ha_signer_config(settings);
  HaSignerConfig config{.signer = signer_config(settings, accepted(NodeId::parse(local_node_id(settings))))};
  config.database_url = local_database(settings);
  config.slots = slot_rules(settings);
  config.allow_ephemeral = settings.is_true(SettingId::kAllowEphemeralProtection);
  return config;
}

std::optional<service::TlsFiles> tls_files(const Settings& settings) {
  const bool has_certificate = settings.is_set(SettingId::kTlsCertificate);
  if (has_certificate != settings.is_set(SettingId::kTlsKey)) {
    throw CommandError(ExitCode::kUsage, "--tls-certificate and --tls-key go together; one of them is missing");
  }
  const bool has_authority = settings.is_set(SettingId::kTlsClientAuthority);
  if (!has_certificate && has_authority) {
    throw CommandError(ExitCode::kUsage, "--tls-client-ca needs --tls-certificate and --tls-key");
  }
  if (!has_certificate) return std::nullopt;
  service::TlsFiles files{settings.value(SettingId::kTlsCertificate).text, settings.value(SettingId::kTlsKey).text, {}};
  if (has_authority) files.client_authority = settings.value(SettingId::kTlsClientAuthority).text;
  return files;
}

std::optional<service::HealthCheck> health_check(const Settings& settings) {
  if (!settings.is_set(SettingId::kHealthUrl)) {
    for (const auto id : {SettingId::kHealthIntervalMs, SettingId::kHealthFailures, SettingId::kHealthDelayMs,
                          SettingId::kHealthRefuses}) {
      const auto& value = settings.value(id);
      if (value.origin == SettingOrigin::kDefault) continue;
      throw CommandError(ExitCode::kUsage,
                         value.given_as + " is given, but HA_SIGNER_HEALTH_URL is not: nothing would check the health");
    }
    return std::nullopt;
  }
  service::HealthCheck check;
  check.url = settings.value(SettingId::kHealthUrl).text;
  check.interval = settings.duration(SettingId::kHealthIntervalMs);
  check.rules.failures_in_a_row = settings.number(SettingId::kHealthFailures).value();
  check.rules.delay = settings.duration(SettingId::kHealthDelayMs);
  const bool refuses = settings.is_true(SettingId::kHealthRefuses);
  check.rules.action = refuses ? NodeHealth::Action::kRefuse : NodeHealth::Action::kHoldBack;
  const auto longest = longest_health_delay(settings);
  if (!refuses && check.rules.delay > longest) {
    settings.refuse(SettingId::kHealthDelayMs,
                    "at most " + std::to_string(longest.count()) +
                        ": after the claim delay and this one the attempt must have the time to wait for another node "
                        "and to sign (VALIDATOR_HA_ATTEMPT_TIMEOUT_MS)");
  }
  return check;
}

std::vector<service::ListenAddress> listen_addresses(const Settings& settings, const std::vector<int>& sockets) {
  const auto& value = settings.value(SettingId::kListen);
  // Sockets that the service manager has opened take the place of the default.
  if (!sockets.empty() && value.origin == SettingOrigin::kDefault) return {};
  return accepted(service::parse_listen_addresses(value.text, value.given_as));
}

service::ServiceConfig service_config(const Settings& settings, const std::vector<int>& sockets) {
  service::ServiceConfig config{.signer = protection_config(settings)};
  config.keys = key_store_settings(settings);
  config.health = health_check(settings);
  static_cast<void>(settings.required(SettingId::kChainId));
  config.chain_id = settings.number(SettingId::kChainId).value();
  if (settings.is_set(SettingId::kEmpireSlashingProposer)) {
    const auto& proposer = settings.value(SettingId::kEmpireSlashingProposer);
    config.empire_slashing_proposer = accepted(EthAddress::parse(proposer.text, proposer.given_as));
  }
  config.listen = listen_addresses(settings, sockets);
  config.inherited_sockets = sockets;
  config.tls = tls_files(settings);
  if (settings.is_set(SettingId::kClientsFile)) config.clients_file = settings.value(SettingId::kClientsFile).text;
  if (settings.is_set(SettingId::kAuditLog)) config.audit_log = settings.value(SettingId::kAuditLog).text;
  if (settings.is_set(SettingId::kAllowedHosts)) {
    const auto& hosts = settings.value(SettingId::kAllowedHosts);
    config.allowed_hosts = accepted(service::parse_host_names(hosts.text, hosts.given_as));
  }
  config.allow_plain_http = settings.is_true(SettingId::kAllowPlainHttp);
  config.http = http_limits(settings);
  config.max_duties = settings.number(SettingId::kMaxDutiesPerRequest).value();
  config.max_open_claims = settings.number(SettingId::kMaxOpenClaims).value();
  config.drain_grace = settings.duration(SettingId::kDrainTimeoutMs);
  config.version = HASIGNER_VERSION;
  return config;
}

}  // namespace hasigner::cli
