#include <ostream>

#include <CLI/CLI.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/service/ask_service.hpp"

namespace hasigner::cli {

namespace {

constexpr milliseconds kTimeout{5'000};

ExitCode run_health(Context& context) {
  const auto& listen = context.settings.value(SettingId::kListen);
  const auto addresses = accepted(service::parse_listen_addresses(listen.text, listen.given_as));
  const bool tls = context.settings.is_set(SettingId::kTlsCertificate);
  for (const auto& address : addresses) {
    // A Unix socket needs no TLS.
    const bool is_tcp = std::holds_alternative<service::TcpAddress>(address);
    if (const auto health = service::ask_health(address, tls && is_tcp, kTimeout); !health) {
      throw CommandError(ExitCode::kFailure, "the service at " + to_string(address) + " " + health.error());
    }
  }
  context.console.out << "ok\n";
  return ExitCode::kSuccess;
}

}  // namespace

Command health_command() {
  return {
      .name = "health",
      .group = kSigningGroup,
      .summary = "Ask the service on this machine whether its process answers",
      .description =
          "Asks for /healthz at each address of --listen, for at most 5 s, and ends with 0 when all answer: for the "
          "health check of a container. Whether the service could sign now is another question, which /readyz "
          "answers.",
      .examples = {{"In a container file", "HEALTHCHECK CMD [\"ha-signer\", \"health\"]"}},
      .settings = {SettingId::kListen, SettingId::kTlsCertificate},
      .define = [](CLI::App&) -> Action { return run_health; }};
}

}  // namespace hasigner::cli
