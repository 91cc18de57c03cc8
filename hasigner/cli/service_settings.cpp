#include "hasigner/cli/service_settings.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/key_store_settings.hpp"
#include "hasigner/cli/signer_settings.hpp"
#include "hasigner/cli/slot_checks.hpp"
#include "hasigner/service/host_names.hpp"

namespace hasigner::cli {

namespace {

constexpr std::string_view kLocalNodeId = "local";
constexpr std::string_view kLocalFile = "signing-protection.db";

/// When a database is named but not used, nodes protect only against themselves, not against each other.
void refuse_forgotten_switch(const Settings& settings) {
  const bool said_so = settings.value(SettingId::kSigningEnabled).origin != SettingOrigin::kDefault;
  if (!settings.is_set(SettingId::kDatabaseUrl) || said_so) return;
  throw CommandError(ExitCode::kUsage, settings.value(SettingId::kDatabaseUrl).given_as +
                                           " is given, but VALIDATOR_HA_SIGNING_ENABLED is not: set it to true to "
                                           "protect through this database, or to false to do without it");
}

std::filesystem::path data_directory(const Settings& settings) {
  std::filesystem::path folder = settings.value(SettingId::kDataDirectory).text;
  // With a slash at its end the folder would be its own parent, and be made with what the umask leaves.
  if (!folder.has_filename() && folder.has_relative_path()) folder = folder.parent_path();
  return folder;
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
  std::error_code error;
  if (folder.has_parent_path()) std::filesystem::create_directories(folder.parent_path(), error);
  // Its owner's only from the beginning.
  if (!error && ::mkdir(folder.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    error = std::error_code(errno, std::generic_category());
  }
  if (!error && !std::filesystem::is_directory(folder, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) {
    throw CommandError(ExitCode::kUsage, settings.value(SettingId::kDataDirectory).given_as + " is '" +
                                             printable(folder.string(), 300) +
                                             "', which cannot be made: " + error.message());
  }
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

std::vector<service::ListenAddress> listen_addresses(const Settings& settings, const std::vector<int>& sockets) {
  const auto& value = settings.value(SettingId::kListen);
  // Sockets that the service manager has opened take the place of the default.
  if (!sockets.empty() && value.origin == SettingOrigin::kDefault) return {};
  return accepted(service::parse_listen_addresses(value.text, value.given_as));
}

service::ServiceConfig service_config(const Settings& settings, const std::vector<int>& sockets) {
  service::ServiceConfig config{.signer = protection_config(settings)};
  config.keys = key_store_settings(settings);
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
