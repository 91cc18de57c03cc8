// simulate [FIRST_SEED [COUNT]]: runs that many clusters; prints what happened, and each violation with the seed that
// replays it.

#include <cstdio>
#include <cstdlib>

#include "tests/simulation/cluster.hpp"

int main(int argc, char** argv) {
  using namespace hasigner::simulation;
  const std::uint64_t first = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  const std::uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  const int sabotage = argc > 3 ? std::atoi(argv[3]) : 0;
  Report sum;
  int failed = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    auto settings = settings_for(seed);
    settings.trace = count == 1;
    settings.sabotage = static_cast<Sabotage>(sabotage);
    const auto report = run(settings);
    for (const auto& violation : report.violations) std::printf("%s\n", violation.c_str());
    failed += report.violations.empty() ? 0 : 1;
    sum.attempts += report.attempts;
    sum.released += report.released;
    sum.duties += report.duties;
    sum.signed_duties += report.signed_duties;
    sum.take_overs += report.take_overs;
    sum.replacements += report.replacements;
    sum.lost_locks += report.lost_locks;
    sum.lost_claims += report.lost_claims;
    sum.in_doubt += report.in_doubt;
    sum.confirmed_again += report.confirmed_again;
    sum.digest = sum.digest * 31 + report.digest;
  }
  std::printf(
      "seeds %llu..%llu: %llu attempts, %llu duties (%llu signed), %llu signatures released (%llu handed out again), "
      "%llu take-overs, %llu replacements, %llu lost locks, %llu lost claims, %llu in doubt; digest %016llx; %d runs "
      "with violations\n",
      static_cast<unsigned long long>(first), static_cast<unsigned long long>(first + count - 1),
      static_cast<unsigned long long>(sum.attempts), static_cast<unsigned long long>(sum.duties),
      static_cast<unsigned long long>(sum.signed_duties), static_cast<unsigned long long>(sum.released),
      static_cast<unsigned long long>(sum.confirmed_again), static_cast<unsigned long long>(sum.take_overs),
      static_cast<unsigned long long>(sum.replacements), static_cast<unsigned long long>(sum.lost_locks),
      static_cast<unsigned long long>(sum.lost_claims), static_cast<unsigned long long>(sum.in_doubt),
      static_cast<unsigned long long>(sum.digest), failed);
  return failed == 0 ? 0 : 1;
}
