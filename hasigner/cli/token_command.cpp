#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/service/clients.hpp"

namespace hasigner::cli {

namespace {

struct TokenOptions {
  std::string name = "client";
  std::string rights = "sign,read";
  Output output = Output::kText;
};

ExitCode run_token(const TokenOptions& options, Context& context) {
  const auto made = service::make_token();
  const std::string line = options.name + " " + made.credential + " " + options.rights;
  // A line that the file's reader would refuse is refused here.
  static_cast<void>(accepted(service::Clients::parse(line, "the line of this client")));
  if (options.output == Output::kJson) {
    print_json(context.console.out, {{"token", made.token}, {"line", line}, {"exit_code", 0}});
  } else {
    context.console.out << "token: " << made.token << "\nline:  " << line << '\n';
  }
  return ExitCode::kSuccess;
}

}  // namespace

Command token_command() {
  return {
      .name = "token",
      .group = kSetupGroup,
      .summary = "Make a token for a client of the signing service",
      .description =
          "Prints a new token, for the client, and the line that lets it in, for the clients file of the service. "
          "The line holds only a hash: the token is printed once and stored nowhere.\n\n"
          "Rights are comma-separated: sign (with the keys of the service, protected), steps (claim, record "
          "and release for keys that are elsewhere), read (duties, nodes, watermarks, events, metrics), operate "
          "(reload and drain), unprotected (sign without context), claimed (sign without context what an Aztec node "
          "has claimed "
          "in the shared database), transactions (sign transactions with the keys of publishers), auth-requests (with "
          "claimed, for nodes from Aztec 5.0 "
          "on: sign messages that no row has as AUTH_REQUEST), steps-held-keys (with "
          "steps: for validators whose keys the service holds, too). In the file a line "
          "may continue with validators=ADDRESS,… "
          "and duty-types=TYPE,… to restrict the client to these.",
      .examples = {{"A token for a validator client, and its line", "ha-signer token --name validator-1"},
                   {"One for Prometheus", "ha-signer token --name prometheus --rights read"}},
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<TokenOptions>();
        app.add_option("--name", options->name, "Name of the client, for the log; client if not given")
            ->type_name("NAME");
        app.add_option("--rights", options->rights, "What it may do; sign,read if not given")->type_name("RIGHTS");
        add_json_flag(app, options->output);
        return [options](Context& context) { return run_token(*options, context); };
      }};
}

}  // namespace hasigner::cli
