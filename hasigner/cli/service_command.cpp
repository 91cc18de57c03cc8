#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/confirmation.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/secret_input.hpp"
#include "hasigner/service/ask_service.hpp"

namespace hasigner::cli {

namespace {

using nlohmann::ordered_json;

struct ServiceOptions {
  std::string token_file;
  Output output = Output::kText;
  Consent consent = Consent::kAsk;
};

ExitCode code_of(unsigned status) {
  switch (status) {
    case 401:
    case 403: return ExitCode::kUsage;
    case 503: return ExitCode::kUnavailable;
    default: return ExitCode::kFailure;
  }
}

/// The service at the first address of --listen, for the client whose token the file has.
class RunningService {
 public:
  RunningService(const ServiceOptions& options, Context& context)
      : address_(first_address(context.settings)), token_(read_secret("--token-file", options.token_file)) {
    const bool has_certificate = context.settings.is_set(SettingId::kTlsCertificate);
    if (!service::is_local(address_) && !has_certificate) {
      throw CommandError(ExitCode::kUsage,
                         "the token would cross the network to " + to_string(address_) +
                             " in clear: set --tls-certificate, or name a Unix socket or an address of "
                             "the loopback interface first in --listen");
    }
    const bool is_tcp = std::holds_alternative<service::TcpAddress>(address_);
    if (is_tcp && has_certificate) certificate_ = context.settings.value(SettingId::kTlsCertificate).text;
  }

  /// Throws CommandError where it does not answer, or refuses.
  [[nodiscard]] ordered_json ask(std::string_view method, std::string_view path) const {
    service::OperatorRequest request{.method = method, .path = path, .token = first_line(token_)};
    request.certificate = certificate_;
    const auto answer = service::ask_service(address_, request);
    const auto who = "the service at " + to_string(address_) + " ";
    if (!answer) throw CommandError(ExitCode::kUnavailable, who + answer.error());
    auto object = ordered_json::parse(answer->body, nullptr, false);
    if (!object.is_object()) throw CommandError(ExitCode::kFailure, who + "does not answer with JSON");
    if (answer->status == 200) return object;
    const auto detail = object.value("detail", "status " + std::to_string(answer->status));
    throw CommandError(code_of(answer->status), who + "refuses: " + printable(detail, 2'000));
  }

 private:
  static service::ListenAddress first_address(const Settings& settings) {
    const auto& listen = settings.value(SettingId::kListen);
    return accepted(service::parse_listen_addresses(listen.text, listen.given_as)).front();
  }

  service::ListenAddress address_;
  SecretText token_;
  std::optional<std::filesystem::path> certificate_;
};

std::string shown(const ordered_json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? printable(found->get<std::string>(), 2'000) : "";
}

void print_list(const ordered_json& report, const char* name, std::string_view meaning, std::ostream& out) {
  const auto found = report.find(name);
  if (found == report.end() || !found->is_array() || found->empty()) return;
  out << "  " << meaning << ':';
  for (const auto& one : *found) out << ' ' << (one.is_string() ? printable(one.get<std::string>()) : "");
  out << '\n';
}

void print_report(const ordered_json& report, std::string_view title, std::ostream& out) {
  if (!report.is_object()) return;
  out << title << ": " << shown(report, "endedAt") << ", by " << shown(report, "by") << ": " << shown(report, "what")
      << '\n';
  print_list(report, "attestersAdded", "attesters added", out);
  print_list(report, "attestersRemoved", "attesters removed", out);
  print_list(report, "clientsAdded", "clients added", out);
  print_list(report, "clientsRemoved", "clients removed", out);
  print_list(report, "clientsChanged", "clients changed", out);
}

void print_state(const ordered_json& state, std::ostream& out) {
  out << "node " << shown(state, "nodeId") << ", version " << shown(state, "version") << '\n';
  const auto& drained = state.value("drained", ordered_json());
  const auto attempts = state.value("attemptsInFlight", std::uint64_t{0});
  if (drained.is_object()) {
    out << "drained since " << shown(drained, "since") << " by " << shown(drained, "by");
  } else {
    out << "signs what it is asked for";
  }
  out << "; " << attempts << (attempts == 1 ? " attempt" : " attempts") << " in flight\n";
  const auto& guard = state.value("guard", ordered_json());
  if (guard.is_object() && guard.value("holds", false)) {
    out << "claims and releases nothing until all nodes have compared their journals with the database, since "
        << shown(guard, "reason") << '\n';
    print_list(guard, "waitsFor", "it waits for", out);
  }
  const auto& reload = state.value("reload", ordered_json::object());
  if (reload.value("running", false)) out << "a reload is running\n";
  print_report(reload.value("last", ordered_json()), "last reload", out);
  const auto& failed = reload.value("lastFailed", ordered_json());
  if (failed != reload.value("last", ordered_json())) print_report(failed, "last failed reload", out);
}

using Print = void (*)(const ordered_json&, std::ostream&);

void answer_with(const ordered_json& object, Print print, const ServiceOptions& options, Context& context) {
  if (options.output == Output::kJson) {
    print_json(context.console.out, object);
  } else {
    print(object, context.console.out);
  }
}

/// What all of these commands have.
std::shared_ptr<ServiceOptions> define_options(CLI::App& app) {
  auto options = std::make_shared<ServiceOptions>();
  app.add_option("--token-file", options->token_file, "File with the token of a client that has the right operate")
      ->type_name("FILE")
      ->required();
  add_json_flag(app, options->output);
  return options;
}

/// A command that sends one request.
Command asking(std::string name, std::string summary, std::string description, std::string_view method,
               std::string_view path, Print print) {
  return {.name = std::move(name),
          .summary = std::move(summary),
          .description = std::move(description),
          .settings = {SettingId::kListen, SettingId::kTlsCertificate},
          .define = [method, path, print](CLI::App& app) -> Action {
            const auto options = define_options(app);
            return [options, method, path, print](Context& context) {
              answer_with(RunningService(*options, context).ask(method, path), print, *options, context);
              return ExitCode::kSuccess;
            };
          }};
}

/// What the end of the wait makes possible, as a sentence without full stop.
std::string what_release_allows(const ordered_json& state, const ordered_json& guard) {
  std::string nodes;
  for (const auto& one : guard.value("waitsFor", ordered_json::array())) {
    if (one.is_string()) nodes += (nodes.empty() ? "" : ", ") + printable(one.get<std::string>());
  }
  const auto reason = shown(guard, "reason");
  return "node " + shown(state, "nodeId") +
         " signs nothing until all nodes have compared their journals with the database" +
         (reason.empty() ? "" : ", since " + reason) + (nodes.empty() ? "" : "; it waits for " + nodes) +
         ". This ends the wait: what those nodes have signed and the database has lost can then be signed with other "
         "data. First end them, and forbid the slots that they may have signed (ha-signer watermark set)";
}

ExitCode release_guard(const ServiceOptions& options, Context& context) {
  const RunningService service(options, context);
  const auto state = service.ask("GET", "/api/v1/service");
  const auto guard = state.value("guard", ordered_json());
  if (!guard.is_object() || !guard.value("holds", false)) {
    context.console.err << "note: the service waits for no other node, so nothing was changed\n";
    answer_with(state, print_state, options, context);
    return ExitCode::kSuccess;
  }
  require_consent(context.console, options.consent, what_release_allows(state, guard));
  answer_with(service.ask("POST", "/api/v1/guard/release"), print_state, options, context);
  return ExitCode::kSuccess;
}

Command release_guard_command() {
  return {.name = "release-guard",
          .summary = "Let a service sign that waits for other nodes after a failover",
          .description =
              "A service that finds another server, timeline or database signs nothing until every node that "
              "lives has written back what the database has lost. What a node has released that it still waits "
              "for may then be signed with other data: first end that node, and forbid the slots that it may "
              "have signed (ha-signer watermark set). The command says for which nodes the service waits and asks for "
              "confirmation, or needs --yes. A service that does not wait is left as it is.",
          .settings = {SettingId::kListen, SettingId::kTlsCertificate},
          .define = [](CLI::App& app) -> Action {
            const auto options = define_options(app);
            add_yes_flag(app, options->consent);
            return [options](Context& context) { return release_guard(*options, context); };
          }};
}

}  // namespace

Command service_command() {
  return {.name = "service",
          .group = kMaintenanceGroup,
          .summary = "Operate the service on this machine while it runs",
          .description =
              "Asks the service at the first address of --listen. Where that speaks TLS, the service must "
              "show the certificate of --tls-certificate: the token is sent to no other one.",
          .subcommands = {
              asking("status", "Show whether the service is drained, and what its reloads came to", {}, "GET",
                     "/api/v1/service", print_state),
              asking("reload", "Load keystore files, clients and certificates again",
                     "All of them or, when one is wrong, none; then it exits with 1 and names what is wrong.", "POST",
                     "/reload",
                     [](const ordered_json& answer, std::ostream& out) {
                       out << "reloaded: " << shown(answer, "reloaded") << '\n';
                     }),
              asking("drain", "Let the service end what is in flight, and sign nothing new",
                     "/readyz then says 503, so that load balancers send clients elsewhere. A restart ends the drain.",
                     "POST", "/api/v1/drain", print_state),
              asking("undrain", "Let a drained service sign again", {}, "POST", "/api/v1/undrain", print_state),
              release_guard_command()}};
}

}  // namespace hasigner::cli
