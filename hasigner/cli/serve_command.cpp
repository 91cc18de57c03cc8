#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <memory>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/key_store_settings.hpp"
#include "hasigner/cli/service_manager.hpp"
#include "hasigner/cli/signer_settings.hpp"
#include "hasigner/cli/slot_checks.hpp"
#include "hasigner/service/host_names.hpp"
#include "hasigner/service/signing_service.hpp"

namespace hasigner::cli {

namespace {

using service::LogLevel;

constexpr std::string_view kLocalNodeId = "local";
constexpr std::string_view kLocalFile = "signing-protection.db";

/// Signals that a service manager sends, held back for the thread that waits for them.
class Signals {
 public:
  Signals() {
    ::sigemptyset(&signals_);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals_, number);
    ::pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
  }

  /// While it lives, SIGTERM and SIGINT end the process at once, as they end any program: nothing has been signed yet,
  /// and opening hundreds of keys or waiting for a database may take minutes. For the main thread only.
  class EndAtOnce {
   public:
    EndAtOnce() {
      ::sigemptyset(&ends_);
      for (const int number : {SIGTERM, SIGINT}) ::sigaddset(&ends_, number);
      ::pthread_sigmask(SIG_UNBLOCK, &ends_, nullptr);
    }
    ~EndAtOnce() { ::pthread_sigmask(SIG_BLOCK, &ends_, nullptr); }
    EndAtOnce(const EndAtOnce&) = delete;
    EndAtOnce& operator=(const EndAtOnce&) = delete;

   private:
    sigset_t ends_{};
  };

  [[nodiscard]] int next() const {
    for (;;) {
      const int number = ::sigwaitinfo(&signals_, nullptr);
      if (number > 0) return number;
    }
  }

 private:
  sigset_t signals_{};
};

/// Each connection takes a descriptor, and the usual soft limit of 1024 is for programs that call select().
void use_all_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// When a database is named but not used, nodes protect only against themselves, not against each other.
void refuse_forgotten_switch(const Settings& settings) {
  const bool said_so = settings.value(SettingId::kSigningEnabled).origin != SettingOrigin::kDefault;
  if (!settings.is_set(SettingId::kDatabaseUrl) || said_so) return;
  throw CommandError(ExitCode::kUsage, settings.value(SettingId::kDatabaseUrl).given_as +
                                           " is given, but VALIDATOR_HA_SIGNING_ENABLED is not: set it to true to "
                                           "protect through this database, or to false to do without it");
}

std::string local_database(const Settings& settings) {
  if (!settings.is_set(SettingId::kDataDirectory)) {
    if (settings.is_true(SettingId::kAllowEphemeralProtection)) return "memory:";
    throw CommandError(ExitCode::kUsage,
                       "signing protection requires a persistent data directory: set DATA_DIRECTORY (or "
                       "--data-directory), or VALIDATOR_HA_SIGNING_ENABLED=true with a shared database; "
                       "VALIDATOR_ALLOW_EPHEMERAL_SIGNING_PROTECTION=true allows protection that a restart forgets");
  }
  std::filesystem::path folder = settings.value(SettingId::kDataDirectory).text;
  // With a slash at its end the folder would be its own parent, and be made with what the umask leaves.
  if (!folder.has_filename() && folder.has_relative_path()) folder = folder.parent_path();
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
  return "sqlite:" + (folder / kLocalFile).string();
}

/// A mistyped folder would otherwise begin with empty protection, and no message would say so.
bool is_new_file(std::string_view database_url) {
  constexpr std::string_view kScheme = "sqlite:";
  std::error_code ignored;
  return database_url.starts_with(kScheme) && !std::filesystem::exists(database_url.substr(kScheme.size()), ignored);
}

/// Protection by the shared database, or by a file of this machine's own.
HaSignerConfig protection_config(const Settings& settings) {
  refuse_forgotten_switch(settings);
  if (settings.is_true(SettingId::kSigningEnabled)) return ha_signer_config(settings);
  const bool has_id = settings.is_set(SettingId::kNodeId);
  const auto node_id = has_id ? settings.value(SettingId::kNodeId).text : std::string(kLocalNodeId);
  HaSignerConfig config{.signer = signer_config(settings, accepted(NodeId::parse(node_id)))};
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

std::vector<service::ListenAddress> listen_addresses(const Settings& settings, const ServiceManager& manager) {
  const auto& value = settings.value(SettingId::kListen);
  // Sockets that the service manager has opened take the place of the default.
  if (!manager.sockets().empty() && value.origin == SettingOrigin::kDefault) return {};
  return accepted(service::parse_listen_addresses(value.text, value.given_as));
}

service::ServiceConfig service_config(const Settings& settings, const ServiceManager& manager) {
  service::ServiceConfig config{.signer = protection_config(settings)};
  config.keys = key_store_settings(settings);
  static_cast<void>(settings.required(SettingId::kChainId));
  config.chain_id = settings.number(SettingId::kChainId).value();
  if (settings.is_set(SettingId::kEmpireSlashingProposer)) {
    const auto& proposer = settings.value(SettingId::kEmpireSlashingProposer);
    config.empire_slashing_proposer = accepted(EthAddress::parse(proposer.text, proposer.given_as));
  }
  config.listen = listen_addresses(settings, manager);
  config.inherited_sockets = manager.sockets();
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

std::string shown_addresses(const service::SigningService& service) {
  std::string text;
  for (const auto& address : service.addresses()) text += (text.empty() ? "" : ", ") + to_string(address);
  return text;
}

/// Serves until a signal asks for the end.
void serve_until_signalled(service::SigningService& service, const Signals& signals, const ServiceManager& manager) {
  const auto status = "listening on " + shown_addresses(service);
  manager.ready(status);
  if (const auto period = manager.watchdog_period()) {
    service.notify_service_manager(*period, [&manager] { manager.alive(); });
  }
  while (signals.next() == SIGHUP) {
    manager.reloading();
    // The log has the outcome. A signal that ends the service does not wait for it.
    service.begin_reload([&manager, status] { manager.ready(status); });
  }
  manager.stopping();
}

std::unique_ptr<service::SigningService> start(service::ServiceConfig config,
                                               const std::shared_ptr<service::Log>& log) {
  const Signals::EndAtOnce end_at_once;
  return std::make_unique<service::SigningService>(std::move(config), log);
}

ExitCode run_serve(Context& context) {
  const Signals signals;
  const ServiceManager manager;
  use_all_descriptors();
  auto config = service_config(context.settings, manager);
  const auto format = ::isatty(STDERR_FILENO) == 1 ? service::LogFormat::kText : service::LogFormat::kJson;
  const bool protects_alone = !context.settings.is_true(SettingId::kSigningEnabled);
  const bool knows_clients = config.clients_file.has_value();
  const auto node_id = config.signer.signer.node_id.str();
  const bool begins_empty = protects_alone && is_new_file(config.signer.database_url);
  context.console.err.flush();
  const auto log = std::make_shared<service::Log>(STDERR_FILENO, format);
  const auto started = start(std::move(config), log);
  auto& service = *started;
  log->write(LogLevel::kInfo, "listening",
             {{"on", shown_addresses(service)},
              {"store", service.shown_url()},
              {"node_id", node_id},
              {"version", HASIGNER_VERSION}});
  if (protects_alone) {
    log->write(LogLevel::kWarning, "protects_alone",
               {{"meaning", "no other node may hold these keys: VALIDATOR_HA_SIGNING_ENABLED is not true"}});
  }
  if (begins_empty) {
    log->write(LogLevel::kWarning, "remembers_nothing_yet",
               {{"meaning",
                 "the protection's file was made by this start, so it does not know what these keys "
                 "signed before: if they have signed, import that history or set a low watermark (ha-signer import, "
                 "ha-signer watermark set)"}});
  }
  if (!knows_clients) {
    log->write(LogLevel::kWarning, "knows_no_clients",
               {{"meaning", "every user of this machine who reaches the socket may sign: give --clients-file"}});
  }
  serve_until_signalled(service, signals, manager);
  log->write(LogLevel::kInfo, "stopping", {});
  service.stop();
  log->write(LogLevel::kInfo, "stopped", {});
  log->end();
  return ExitCode::kSuccess;
}

}  // namespace

Command serve_command() {
  return {
      .name = "serve",
      .group = kSigningGroup,
      .summary = "Run the signing service for validator clients",
      .description =
          "Signs over HTTP with the keys of Aztec keystore files: JSON-RPC as Web3Signer speaks it, with the "
          "signing context as an additional last parameter, and REST (described at /openapi.json). For every "
          "protected duty exactly one message is signed and released.\n\n"
          "With VALIDATOR_HA_SIGNING_ENABLED=true the shared database protects, for any number of nodes; without "
          "it a file in the data directory does, for this process alone.\n\n"
          "Ends on SIGTERM after what is in flight; loads keys, clients and certificates again on SIGHUP. Logs go "
          "to standard error, as JSON where that is not a terminal.",
      .examples = {{"One node, protected by a file of its own",
                    "ha-signer serve --key-store-directory keys --data-directory data --l1-chain-id 1 --rollup 0x…"},
                   {"One of several nodes with the same keys",
                    "VALIDATOR_HA_DATABASE_URL=postgresql://signer:secret@db/ha ha-signer serve "
                    "--ha-signing-enabled --node-id node-1 --key-store-directory keys --l1-chain-id 1 "
                    "--rollup 0x…"}},
      .settings = service_settings(),
      .define = [](CLI::App&) -> Action { return run_serve; }};
}

}  // namespace hasigner::cli
