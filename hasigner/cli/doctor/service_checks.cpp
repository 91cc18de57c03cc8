#include "hasigner/cli/doctor/service_checks.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <stdexcept>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/service_settings.hpp"
#include "hasigner/service/clients.hpp"
#include "hasigner/service/listener.hpp"
#include "hasigner/service/tls_context.hpp"

namespace hasigner::cli::doctor {

namespace {

using service::Client;
using service::Clients;
using service::Right;
using Words = std::vector<std::string>;

constexpr std::chrono::days kExpiryWarning{30};
constexpr std::chrono::days kExpiryFailure{2};
/// For the database, files and logs.
constexpr std::uint64_t kOtherDescriptors = 100;

std::string day_of(std::chrono::sys_seconds time) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(time));
  const auto two = [](unsigned number) { return (number < 10 ? "0" : "") + std::to_string(number); };
  return std::to_string(static_cast<int>(day.year())) + "-" + two(static_cast<unsigned>(day.month())) + "-" +
         two(static_cast<unsigned>(day.day()));
}

Finding check_certificate(const Settings& settings) {
  const auto files = tls_files(settings);
  if (!files) return ok("the service speaks plain HTTP");
  try {
    const service::TlsContext context(*files);
  } catch (const std::runtime_error& error) {
    return refused(error.what(), "put a valid certificate with its key there, then reload the service");
  }
  const auto period = service::certificate_period(files->certificate);
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const std::string file = printable(files->certificate.string(), 300);
  if (period.begins > now) {
    return failure("the certificate " + file + " is not valid before " + day_of(period.begins),
                   "correct this machine's clock, or use a certificate that is valid now");
  }
  const auto left = std::chrono::floor<std::chrono::days>(period.ends - now);
  const std::string said = "the certificate " + file + " ends on " + day_of(period.ends) + ", in " +
                           count_of(static_cast<std::size_t>(std::max<std::int64_t>(left.count(), 0)), "day");
  const std::string mend = "renew it, replace both files, and reload the service (docs/operating.md, Rotation)";
  if (left < kExpiryFailure) return failure(said, mend);
  if (left < kExpiryWarning) return warning(said, mend);
  return ok(said);
}

Finding check_listeners(const Settings& settings, const StoreFacts& facts) {
  Words bound, problems;
  // All at once, as the service has them: an address may be there twice.
  std::vector<service::Listener> listeners;
  for (const auto& address : listen_addresses(settings, {})) {
    try {
      listeners.push_back(service::Listener::open(address));
      bound.push_back(service::to_string(address));
    } catch (const std::runtime_error& error) {
      problems.emplace_back(error.what());
    }
  }
  if (problems.empty()) return ok("free to listen on: " + listed(bound));
  const bool all_in_use = std::ranges::all_of(problems, [](const std::string& problem) {
    return problem.contains("another program listens there") || problem.contains("the path is in use");
  });
  if (all_in_use && facts.this_node_is_alive) return ok(listed(problems) + ", which this node does that runs now");
  if (problems.front().contains("Permission denied")) {
    return failure(
        listed(problems),
        "use a port above 1023, or give this user the right (AmbientCapabilities=CAP_NET_BIND_SERVICE of the "
        "unit; for a Unix socket a folder that it may write)");
  }
  return failure(listed(problems),
                 "end the other program, or set HA_SIGNER_LISTEN to an address of this machine that is free");
}

Finding check_exposure(const Settings& settings) {
  const service::Exposure exposure{.has_tls = settings.is_set(SettingId::kTlsCertificate),
                                   .plain_http_allowed = settings.is_true(SettingId::kAllowPlainHttp),
                                   .knows_clients = settings.is_set(SettingId::kClientsFile)};
  Words beyond;
  for (const auto& address : listen_addresses(settings, {})) {
    if (const auto refusal = service::refuse_exposure(address, exposure)) {
      return failure(
          *refusal,
          "set HA_SIGNER_TLS_CERTIFICATE, HA_SIGNER_TLS_KEY and HA_SIGNER_CLIENTS_FILE, or listen on 127.0.0.1 only");
    }
    if (!service::is_local(address)) beyond.push_back(service::to_string(address));
  }
  if (beyond.empty()) return ok("only this machine reaches the service");
  if (exposure.has_tls)
    return ok("other machines reach the service on " + listed(beyond) + ", by TLS and with a token");
  return warning("other machines reach the service on " + listed(beyond) +
                     " by plain HTTP: an attacker on the network can take "
                     "tokens and change what is signed",
                 "set HA_SIGNER_TLS_CERTIFICATE and HA_SIGNER_TLS_KEY");
}

Finding check_clients(const Settings& settings, std::optional<Clients>& clients) {
  if (!settings.is_set(SettingId::kClientsFile)) {
    return warning("every process of this machine that reaches the service may sign",
                   "make a token for each client (ha-signer token --name NAME), put its line into a file, and set "
                   "HA_SIGNER_CLIENTS_FILE to it");
  }
  auto loaded = Clients::load(settings.value(SettingId::kClientsFile).text);
  if (!loaded) return refused(loaded.error().message(), "correct the clients file (ha-signer token makes its lines)");
  clients = std::move(*loaded);
  const auto claimed = clients->any_with({Right::kClaimed});
  const bool shares = settings.is_true(SettingId::kSigningEnabled) &&
                      settings.value(SettingId::kDatabaseUrl).text.starts_with("postgres");
  if (claimed && !shares) {
    return failure(
        "client " + *claimed +
            " has the right claimed, for which the service and the client's node must share a "
            "PostgreSQL database",
        "set VALIDATOR_HA_SIGNING_ENABLED=true and VALIDATOR_HA_DATABASE_URL, or take the right out of its line");
  }
  return ok(count_of(clients->size(), "client") + ", each with a token or certificate of its own");
}

Finding check_limits(const Clients& clients, const std::string& file) {
  Words unlimited, unprotected;
  for (const Client& client : clients.list()) {
    const bool signs = client.may(Right::kSign) || client.may(Right::kUnprotected) || client.may(Right::kClaimed);
    if (signs && !client.validators && !client.duty_types) unlimited.push_back(client.name);
    if (client.may(Right::kUnprotected)) unprotected.push_back(client.name);
  }
  if (!unprotected.empty()) {
    return warning(
        listed(unprotected) + " may sign without protection, with messages that no record prevents a second time",
        "take the right unprotected out of " + file);
  }
  if (unlimited.empty()) return ok("every client that signs is limited to validators or duty types");
  return warning(
      listed(unlimited) + " may sign every type of duty with every key: with a stolen token all validators are lost",
      "add validators=ADDRESS,… or duty-types=TYPE,… to the line in " + file);
}

Finding check_descriptors(const Settings& settings) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return skipped("the limit of open files cannot be read");
  const auto addresses = listen_addresses(settings, {}).size();
  const auto wanted = settings.number(SettingId::kMaxConnections).value() * addresses +
                      settings.number(SettingId::kPoolMax).value() + kOtherDescriptors;
  const std::string said = "up to " + std::to_string(wanted) + " files and connections, of " +
                           std::to_string(limit.rlim_max) + " that this user may open";
  if (limit.rlim_max >= wanted) return ok(said);
  return warning(said, "raise the limit (LimitNOFILE= of the unit, ulimit -Hn), or lower HA_SIGNER_MAX_CONNECTIONS");
}

Finding check_health(const Settings& settings) {
  const auto check = health_check(settings);
  if (!check) return ok("no health URL is set");
  std::optional<std::filesystem::path> authorities;
  if (settings.is_set(SettingId::kRemoteCaFile)) authorities = settings.value(SettingId::kRemoteCaFile).text;
  const std::string url = settings.shown(SettingId::kHealthUrl);
  try {
    const auto outcome = service::ask_once(*check, authorities);
    if (outcome) return ok(url + " says that the node should take duties");
    const bool refuses = check->rules.action == NodeHealth::Action::kRefuse;
    return warning(url + " fails (" + outcome.error() + "), so the service would " +
                       (refuses ? "refuse new duties" : "hold new duties back"),
                   "see why the node is not well, or set HA_SIGNER_HEALTH_URL to the URL that tells it");
  } catch (const StartupError& error) {
    return refused(error.what(), "set HA_SIGNER_HEALTH_URL and HA_SIGNER_REMOTE_CA_FILE to what can be used");
  }
}

}  // namespace

Group check_service(const Settings& settings, const StoreFacts& facts) {
  Group group{.title = "Service", .findings = {}};
  std::optional<Clients> clients;
  group.run("listeners", [&] { return check_listeners(settings, facts); });
  group.run("exposure", [&] { return check_exposure(settings); });
  group.run("certificate", [&] { return check_certificate(settings); });
  group.run("clients", [&] { return check_clients(settings, clients); });
  if (clients) {
    group.run("client_limits",
              [&] { return check_limits(*clients, printable(settings.value(SettingId::kClientsFile).text, 300)); });
  } else {
    group.skip({"client_limits"}, group.failed({"clients"}) ? "the check clients failed" : "there is no clients file");
  }
  group.run("descriptors", [&] { return check_descriptors(settings); });
  group.run("health", [&] { return check_health(settings); });
  return group;
}

}  // namespace hasigner::cli::doctor
