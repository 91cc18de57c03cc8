// Measures ha-signer on one database: one measurement a call, printed as one JSON object on one line. bench/README.md
// says what each workload is; bench/run calls this program and its rival of the same contract, rivals/published.mjs.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "bench/bench_cases.hpp"

namespace {

constexpr int kExitTooLate = 75;

void declare(CLI::App& program, hasigner::bench::Options& options) {
  program.add_option("--workload", options.workload)
      ->required()
      ->check(CLI::IsMember({"serial", "inflight", "slot", "race", "waiter", "start", "large", "service-one",
                             "service-many", "service-fair", "service-hashing"}));
  program.add_option("--database-url", options.database_url)->required();
  program.add_option("--duties", options.duties)->check(CLI::PositiveNumber);
  program.add_option("--in-flight", options.in_flight)->check(CLI::PositiveNumber);
  program.add_option("--keys", options.keys)->check(CLI::IsMember({"noop", "real"}));
  program
      .add_option("--steps", options.steps,
                  "one: sign first, claim and record in one round trip; two: claim, sign, record")
      ->check(CLI::IsMember({"one", "two"}));
  program.add_option("--at", options.at_ms, "Wall clock in ms")->check(CLI::PositiveNumber);
  program.add_option("--pool", options.pool)->check(CLI::PositiveNumber);
  program.add_option("--node-id", options.node_id);
  program.add_option("--journal", options.journal);
}

}  // namespace

int main(int argc, char** argv) {
  hasigner::bench::Options options;
  CLI::App program{"Measures ha-signer: one workload, one database, one line of JSON"};
  declare(program, options);
  CLI11_PARSE(program, argc, argv);
  try {
    std::puts(hasigner::bench::measure(std::move(options)).dump().c_str());
    return 0;
  } catch (const hasigner::bench::TooLate& late) {
    std::fprintf(stderr, "ready %lld ms after --at; give a later instant\n", static_cast<long long>(late.by_ms));
    return kExitTooLate;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ha_signer_bench: %s\n", e.what());
    return 1;
  }
}
