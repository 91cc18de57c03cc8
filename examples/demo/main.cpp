// Three nodes race for the same duties, and one of them is killed: see --help.

#include <CLI/CLI.hpp>
#include <iostream>

#include "examples/demo/demonstration.hpp"
#include "examples/demo/node.hpp"
#include "hasigner/hasigner.hpp"

namespace {

using namespace hasigner;

constexpr int kFailure = 1;
constexpr int kUsage = 2;

constexpr auto kDescription =
    "Starts three signing nodes as processes of their own. They share one database, have the same validators' keys, "
    "and all try to sign every duty, some with different data. One is killed with SIGKILL while it holds locks, and "
    "started again.\n\n"
    "At the end the program checks every signature against its validator's address, and that every duty was signed for "
    "one message only. Any other outcome is reported and ends with exit code 1. It takes about six seconds and leaves "
    "nothing behind.";

void add_options(CLI::App& app, demo::Options& options) {
  app.add_option("--validators", options.validators, "How many validators have duties in each slot")
      ->type_name("N")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--slots", options.slots, "How many slots are played")
      ->type_name("N")
      ->check(CLI::Range(4, 200))
      ->capture_default_str();
  app.add_option("--database-url", options.database_url,
                 "A migrated PostgreSQL database for trials, instead of a SQLite file; the rows stay there")
      ->type_name("URL")
      ->check([](const std::string& url) {
        return url == "memory:" ? std::string("three processes cannot share 'memory:'") : std::string();
      });
  app.add_flag("--keep", options.keep, "Leave the SQLite file where it is");
  app.add_flag("--json", options.json, "Print only the report, as one JSON object");
}

int run(int argc, char** argv) {
  CLI::App app{kDescription, "ha-signer-demo"};
  demo::Options options;
  add_options(app, options);
  const auto* node = app.add_subcommand("node", "One node of the demonstration")->group("");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  const bool good = node->parsed() ? demo::run_node() : demo::run_demonstration(options);
  // A full disk or a closed pipe must not look like success.
  if (!std::cout.flush()) throw std::runtime_error("cannot write to standard output");
  return good ? 0 : kFailure;
}

}  // namespace

int main(int argc, char** argv) try { return run(argc, argv); } catch (const StartupError& error) {
  std::cerr << "ha-signer-demo: " << error.what() << '\n';
  return kUsage;
} catch (const std::exception& error) {
  std::cerr << "ha-signer-demo: " << error.what() << '\n';
  return kFailure;
}
