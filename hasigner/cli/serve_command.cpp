#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/service_manager.hpp"
#include "hasigner/cli/service_settings.hpp"
#include "hasigner/service/signing_service.hpp"

namespace hasigner::cli {

namespace {

using service::LogLevel;

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

/// A mistyped folder would otherwise begin with empty protection, and no message would say so.
bool is_new_file(std::string_view database_url) {
  constexpr std::string_view kScheme = "sqlite:";
  std::error_code ignored;
  return database_url.starts_with(kScheme) && !std::filesystem::exists(database_url.substr(kScheme.size()), ignored);
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
  auto config = service_config(context.settings, manager.sockets());
  if (!context.settings.is_true(SettingId::kSigningEnabled)) make_data_directory(context.settings);
  const auto journal = journal_file(context.settings);
  if (journal) {
    make_journal_folder(*journal);
    config.signer.journal = journal->string();
  }
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
  if (!journal) {
    log->write(LogLevel::kWarning, "keeps_no_journal",
               {{"meaning",
                 "where the database forgets what it has confirmed (a failover to a standby that lacks commits, a "
                 "restored backup), this node may sign a duty again with other data: " +
                     journal.error()}});
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
