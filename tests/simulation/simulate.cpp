// simulate [--attempts N] [--jobs N] [--sabotage N] [FIRST_SEED [COUNT]] [NAME=VALUE]...
//
// Runs clusters, each from its seed, and prints what happened, how often attempts were told what in which state, and
// each violation with the command that replays it. With --attempts it goes on from seed to seed until there were as
// many. NAME=VALUE sets a probability of Settings, or its slots, nodes, validators, journal, guard, twin or
// unfenced_peer.

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "tests/simulation/cluster.hpp"

namespace {

using namespace hasigner::simulation;

struct Options {
  std::uint64_t first = 1, count = 1, attempts = 0, jobs = 1;
  Sabotage sabotage = Sabotage::kNone;
  std::vector<std::pair<std::string, std::string>> set;
};

[[noreturn]] void refuse(std::string_view what) {
  std::fprintf(stderr, "simulate: %.*s is not an option, a number or NAME=VALUE\n", static_cast<int>(what.size()),
               what.data());
  std::exit(2);
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) refuse(text);
  return value;
}

void set(Settings& settings, const std::string& name, const std::string& value) {
  for (const auto& [known, probability] : kProbabilities) {
    if (name == known) settings.*probability = std::strtod(value.c_str(), nullptr);
  }
  if (name == "slots") settings.slots = static_cast<int>(number(value));
  if (name == "nodes") settings.nodes = static_cast<int>(number(value));
  if (name == "validators") settings.validators = static_cast<int>(number(value));
  if (name == "twin") settings.twin = value == "1";
  if (name == "journal") settings.journal = value == "1";
  if (name == "guard") settings.guard = value == "1";
  if (name == "unfenced_peer") settings.unfenced_peer = value == "1";
}

Options parse(const std::vector<std::string_view>& arguments) {
  Options options;
  std::size_t numbers = 0;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto argument = arguments[i];
    const auto value = [&] { return ++i < arguments.size() ? number(arguments[i]) : number(argument); };
    if (argument == "--attempts") {
      options.attempts = value();
    } else if (argument == "--jobs") {
      options.jobs = std::max<std::uint64_t>(1, value());
    } else if (argument == "--sabotage") {
      options.sabotage = static_cast<Sabotage>(value());
    } else if (const auto equals = argument.find('='); equals != argument.npos) {
      options.set.emplace_back(argument.substr(0, equals), argument.substr(equals + 1));
    } else {
      (numbers == 0 ? options.first : options.count) = number(argument);
      if (numbers++ == 1) options.attempts = 0;
    }
  }
  return options;
}

Settings settings_of(const Options& options, std::uint64_t seed) {
  auto settings = settings_for(seed);
  settings.sabotage = options.sabotage;
  for (const auto& [name, value] : options.set) set(settings, name, value);
  return settings;
}

/// The least that still fails, as a command, and its history.
void show_violation(Settings settings) {
  settings = shrunk(settings);
  std::printf("replay with: simulate");
  if (settings.sabotage != Sabotage::kNone) std::printf(" --sabotage %d", static_cast<int>(settings.sabotage));
  std::printf(" %llu 1 slots=%d nodes=%d validators=%d twin=%d unfenced_peer=%d journal=%d guard=%d",
              static_cast<unsigned long long>(settings.seed), settings.slots, settings.nodes, settings.validators,
              settings.twin, settings.unfenced_peer, settings.journal, settings.guard);
  for (const auto& [name, probability] : kProbabilities) {
    std::printf(" %.*s=%g", static_cast<int>(name.size()), name.data(), settings.*probability);
  }
  std::printf("\n");
  settings.trace = true;
  for (const auto& line : run(settings).violations) std::printf("%s\n", line.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse({argv + 1, argv + argc});
  const auto began = std::chrono::steady_clock::now();
  std::atomic<std::uint64_t> next = options.first, attempts = 0;
  std::mutex mutex;
  Report sum;
  std::vector<Settings> failed;
  const auto work = [&] {
    for (;;) {
      if (options.attempts > 0 && attempts >= options.attempts) return;
      const auto seed = next++;
      if (options.attempts == 0 && seed >= options.first + options.count) return;
      const auto settings = settings_of(options, seed);
      const auto report = run(settings);
      attempts += report.attempts;
      const std::lock_guard lock(mutex);
      sum.add(report);
      if (report.violations.empty()) continue;
      std::printf("%s\n", report.violations.front().c_str());
      failed.push_back(settings);
    }
  };
  std::vector<std::jthread> threads;
  for (std::uint64_t i = 1; i < options.jobs; ++i) threads.emplace_back(work);
  work();
  threads.clear();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::printf("%s", sum.coverage.describe().c_str());
  std::printf("seeds %llu to %llu in %.1f s: %s; digest %016llx; %zu runs with violations\n",
              static_cast<unsigned long long>(options.first), static_cast<unsigned long long>(next - 1), took.count(),
              sum.describe().c_str(), static_cast<unsigned long long>(sum.digest), failed.size());
  if (!failed.empty()) show_violation(failed.front());
  return failed.empty() ? 0 : 1;
}
