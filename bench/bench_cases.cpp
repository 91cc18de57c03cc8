#include "bench/bench_cases.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <future>
#include <map>
#include <stdexcept>
#include <thread>
#include <utility>

#include "bench/bench_duties.hpp"
#include "bench/bench_service.hpp"

namespace hasigner::bench {

namespace {

using Json = nlohmann::ordered_json;
using SteadyClock = std::chrono::steady_clock;
using SteadyTime = SteadyClock::time_point;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr std::size_t kWarmUpDuties = 1000;
constexpr milliseconds kWinnerSignsFor{20};
constexpr auto kSpinBeforeInstant = milliseconds(3);

double rounded(double value) {
  return std::round(value * 1000) / 1000;
}

double ms_since(SteadyTime start) {
  return Milliseconds(SteadyClock::now() - start).count();
}

double wall_clock_ms() {
  return Milliseconds(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::uint64_t slot_of_now() {
  return static_cast<std::uint64_t>(wall_clock_ms());
}

/// By nearest rank, as the other programs of the bench count.
Json percentiles(std::vector<double> samples_ms) {
  std::ranges::sort(samples_ms);
  Json figures;
  for (const int percent : {50, 95, 99}) {
    const auto rank = std::max<std::size_t>(1, (samples_ms.size() * static_cast<std::size_t>(percent) + 99) / 100);
    figures["p" + std::to_string(percent) + "_ms"] = rounded(samples_ms.at(rank - 1));
  }
  return figures;
}

std::unique_ptr<HaNode> open_node(const Options& options, const std::string& node_id) {
  const auto id = NodeId::parse(node_id, "--node-id");
  if (!id) throw std::runtime_error(id.error().message());
  HaSignerConfig config{.signer = {.node_id = *id, .rollup = bench_rollup()},
                        .database_url = options.database_url,
                        .pool = {},
                        .allow_ephemeral = true};
  config.pool.max = options.pool;
  config.journal = options.journal;
  auto node = create_ha_signer(std::move(config));
  const auto started = node->signer().start_blocking();
  if (!started) throw std::runtime_error(message(started.error()));
  return node;
}

std::unique_ptr<HaNode> open_node(const Options& options) {
  return open_node(options, options.node_id);
}

using OnResult = std::function<void(const SignResult<SignedDuty>&)>;

void require_signed(const SignResult<SignedDuty>& result) {
  if (!result) throw std::runtime_error(message(result.error()));
}

/// Callers that sign what is left until nothing is. All of it happens on the protocol's thread.
struct Crowd {
  HaSigner& signer;
  std::vector<SignCall> sign_calls;
  OnResult on_result;
  std::size_t callers = 0;
  std::size_t next = 0;
  std::exception_ptr failure;
  std::promise<void> done;
};

asio::awaitable<void> call_in_turn(std::shared_ptr<Crowd> crowd) {
  while (crowd->next < crowd->sign_calls.size()) {
    auto sign_call = std::move(crowd->sign_calls[crowd->next++]);
    auto call = crowd->signer.sign_with_protection(std::move(sign_call.request), std::move(sign_call.sign_function),
                                                   sign_call.effects);
    const auto result = co_await std::move(call);
    crowd->on_result(result);
  }
}

/// Keeps `in_flight` calls going until all sign calls are done; returns how long that took, in ms.
double sign_all(HaNode& node, std::vector<SignCall> sign_calls, std::size_t in_flight,
                OnResult on_result = require_signed) {
  const auto callers = std::min(in_flight, sign_calls.size());
  auto crowd = std::make_shared<Crowd>(Crowd{.signer = node.signer(),
                                             .sign_calls = std::move(sign_calls),
                                             .on_result = std::move(on_result),
                                             .callers = callers});
  auto done = crowd->done.get_future();
  const auto caller_ends = [crowd](std::exception_ptr failure) {
    if (failure) crowd->failure = failure;
    if (--crowd->callers > 0) return;
    if (crowd->failure) {
      crowd->done.set_exception(crowd->failure);
    } else {
      crowd->done.set_value();
    }
  };
  const auto executor = node.executor();
  const auto start = SteadyClock::now();
  asio::post(executor, [crowd, callers, executor, caller_ends] {
    for (std::size_t i = 0; i < callers; ++i) asio::co_spawn(executor, call_in_turn(crowd), caller_ends);
  });
  done.get();
  return ms_since(start);
}

SignEffects effects_of(const Options& options) {
  return options.steps == "one" ? SignEffects::kNone : SignEffects::kOutside;
}

asio::awaitable<bool> can_claim_signed(Store& store) {
  co_return store.capabilities().signed_claims;
}

/// The signer takes two steps where the store cannot claim and record at once.
void require_signed_claims(HaNode& node) {
  if (!node.run(can_claim_signed(node.store()))) {
    throw std::runtime_error("this database cannot claim and record in one step; use --steps two");
  }
}

/// Connects the pool and brings the validators' pages into the caches.
void warm_up(HaNode& node, std::uint64_t first_slot, SignEffects effects, const AddressOf& address_of = bench_address) {
  sign_all(node, no_op_calls(make_duties(kWarmUpDuties, first_slot - 1, address_of), effects), kWarmUpDuties);
  if (effects == SignEffects::kNone) require_signed_claims(node);
}

asio::awaitable<std::vector<double>> sign_one_by_one(HaSigner& signer, std::vector<SignCall> sign_calls) {
  std::vector<double> samples_ms;
  samples_ms.reserve(sign_calls.size());
  for (auto& sign_call : sign_calls) {
    const auto start = SteadyClock::now();
    auto call = signer.sign_with_protection(std::move(sign_call.request), std::move(sign_call.sign_function),
                                            sign_call.effects);
    const auto result = co_await std::move(call);
    samples_ms.push_back(ms_since(start));
    require_signed(result);
  }
  co_return samples_ms;
}

Json measure_serial(HaNode& node, std::vector<SignCall> sign_calls) {
  return percentiles(node.run(sign_one_by_one(node.signer(), std::move(sign_calls))));
}

double duties_per_s(std::size_t duties, double ms) {
  return rounded(static_cast<double>(duties) * 1000 / ms);
}

/// The duties that one workload signs, with its keys and its steps.
class Workload {
 public:
  explicit Workload(const Options& options)
      : effects_(effects_of(options)),
        keys_(options.keys == "real" ? std::make_shared<const BenchKeys>() : nullptr),
        first_slot_(slot_of_now()),
        node_(open_node(options)) {
    warm_up(*node_, first_slot_, effects_);
  }

  [[nodiscard]] HaNode& node() { return *node_; }
  [[nodiscard]] std::vector<SignCall> sign_calls(std::size_t count) const {
    if (!keys_) return no_op_calls(make_duties(count, first_slot_), effects_);
    const auto duties = make_duties(count, first_slot_, [this](std::size_t i) { return keys_->address(i); });
    return key_calls(duties, effects_, *node_, keys_);
  }

 private:
  SignEffects effects_;
  std::shared_ptr<const BenchKeys> keys_;
  std::uint64_t first_slot_;
  std::unique_ptr<HaNode> node_;
};

// ---- the cases

Json serial(const Options& options) {
  Workload workload(options);
  Json figures{{"steps", options.steps}};
  figures.update(measure_serial(workload.node(), workload.sign_calls(*options.duties)));
  return figures;
}

Json inflight(const Options& options) {
  Workload workload(options);
  const auto ms = sign_all(workload.node(), workload.sign_calls(*options.duties), options.in_flight);
  return {{"steps", options.steps}, {"keys", options.keys}, {"in_flight", options.in_flight},
          {"pool", options.pool},   {"ms", rounded(ms)},    {"duties_per_s", duties_per_s(*options.duties, ms)}};
}

Json large(const Options& options) {
  Workload workload(options);
  auto sign_calls = workload.sign_calls(11 * *options.duties);
  const auto first_in_flight =
      std::make_move_iterator(sign_calls.begin() + static_cast<std::ptrdiff_t>(*options.duties));
  std::vector<SignCall> in_flight(first_in_flight, std::make_move_iterator(sign_calls.end()));
  sign_calls.resize(*options.duties);
  Json figures{{"steps", options.steps}, {"in_flight", options.in_flight}, {"pool", options.pool}};
  figures.update(measure_serial(workload.node(), std::move(sign_calls)));
  const auto ms = sign_all(workload.node(), std::move(in_flight), options.in_flight);
  figures["duties_per_s"] = duties_per_s(10 * *options.duties, ms);
  return figures;
}

Json slot(const Options& options) {
  Workload workload(options);
  auto sign_calls = workload.sign_calls(*options.duties);
  std::optional<double> first_ms;
  const auto start = SteadyClock::now();
  const auto last_ms =
      sign_all(workload.node(), std::move(sign_calls), *options.duties, [&](const SignResult<SignedDuty>& result) {
        require_signed(result);
        if (!first_ms) first_ms = ms_since(start);
      });
  return {{"steps", options.steps},
          {"keys", options.keys},
          {"pool", options.pool},
          {"first_ms", rounded(*first_ms)},
          {"last_ms", rounded(last_ms)}};
}

/// Sleeps to just before the instant and spins for the rest, since timers come late.
void wait_until(std::int64_t at_ms) {
  const auto left_ms = static_cast<double>(at_ms) - wall_clock_ms();
  if (left_ms < 0) throw TooLate{static_cast<std::int64_t>(-left_ms)};
  std::this_thread::sleep_for(Milliseconds(left_ms) - kSpinBeforeInstant);
  while (wall_clock_ms() < static_cast<double>(at_ms)) {
  }
}

std::string_view outcome_of(const SignResult<SignedDuty>& result) {
  if (result) return "wins";
  const auto* already = std::get_if<DutyAlreadySigned>(&result.error());
  if (!already) return "failures";
  return already->signed_by.contains("timeout") ? "false_timeouts" : "refusals";
}

Json race(const Options& options) {
  if (!options.at_ms) throw std::runtime_error("race needs --at, the instant at which every process starts");
  const auto first_slot = static_cast<std::uint64_t>(*options.at_ms);
  const auto node = open_node(options);
  warm_up(*node, first_slot, effects_of(options), private_addresses());
  auto sign_calls = no_op_calls(make_duties(*options.duties, first_slot), effects_of(options));
  std::map<std::string_view, std::size_t> counts;
  wait_until(*options.at_ms);
  sign_all(*node, std::move(sign_calls), *options.duties,
           [&counts](const SignResult<SignedDuty>& result) { ++counts[outcome_of(result)]; });
  const auto ms = wall_clock_ms() - static_cast<double>(*options.at_ms);
  Json figures{{"node_id", options.node_id}, {"steps", options.steps}, {"pool", options.pool}};
  for (const auto* outcome : {"wins", "refusals", "false_timeouts", "failures"}) figures[outcome] = counts[outcome];
  figures["ms"] = rounded(ms);
  return figures;
}

asio::awaitable<void> sleep_for(milliseconds length) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor, length);
  co_await timer.async_wait(asio::use_awaitable);
}

/// Comes for a duty that another node is signing; when its refusal came.
asio::awaitable<SteadyTime> lose(HaSigner& loser, SignCall sign_call, milliseconds comes_after) {
  co_await sleep_for(comes_after);
  auto call = loser.sign_with_protection(std::move(sign_call.request), std::move(sign_call.sign_function));
  const auto result = co_await std::move(call);
  if (result) throw std::runtime_error("the loser signed a duty that the winner was signing");
  co_return SteadyClock::now();
}

using Loser = std::function<void()>;

/// Signs slowly, and sends the loser on its way when it begins.
asio::awaitable<SignOutcome> sign_slowly(Loser send_loser) {
  send_loser();
  co_await sleep_for(kWinnerSignsFor);
  co_return no_op_signature();
}

asio::awaitable<SteadyTime> win(HaSigner& winner, SignRequest duty, Loser send_loser) {
  SignFunction sign_function = [send_loser](SignRequest) { return sign_slowly(send_loser); };
  auto call = winner.sign_with_protection(std::move(duty), std::move(sign_function));
  const auto result = co_await std::move(call);
  require_signed(result);
  co_return SteadyClock::now();
}

/// How long after the winner's call the loser's call returns, in ms. Both claim first: a winner that signs first holds
/// nothing that a loser could wait for.
double measure_waiting(HaNode& winner, HaNode& loser, const SignRequest& duty, milliseconds loser_comes_after) {
  std::future<SteadyTime> losing;
  const auto send_loser = [&] {
    losing =
        asio::co_spawn(loser.executor(), lose(loser.signer(), {duty, no_op_sign}, loser_comes_after), asio::use_future);
  };
  const auto winner_returned = winner.run(win(winner.signer(), duty, send_loser));
  return Milliseconds(losing.get() - winner_returned).count();
}

Json waiter(const Options& options) {
  const auto first_slot = slot_of_now();
  const auto winner = open_node(options);
  const auto loser = open_node(options, options.node_id + "-waiting");
  warm_up(*winner, first_slot, SignEffects::kOutside);
  warm_up(*loser, first_slot - 1, SignEffects::kOutside);
  const auto duties = make_duties(*options.duties, first_slot);
  std::vector<double> samples_ms;
  for (std::size_t i = 0; i < duties.size(); ++i) {
    // Spread over the first three quarters of the time for which the winner signs.
    const auto comes_after = std::chrono::duration_cast<milliseconds>(
        kWinnerSignsFor * 0.75 * (static_cast<double>(i) + 0.5) / static_cast<double>(duties.size()));
    samples_ms.push_back(measure_waiting(*winner, *loser, duties[i], comes_after));
  }
  Json figures{{"winner_signs_for_ms", kWinnerSignsFor.count()}};
  figures.update(percentiles(std::move(samples_ms)));
  return figures;
}

double resident_mb() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kib = 0;
    if (word == "VmRSS:" && status >> kib) return rounded(kib * 1024 / 1e6);
  }
  throw std::runtime_error("/proc/self/status does not say VmRSS");
}

/// From the instant at which the process was started (--at) to a first signature.
Json start(const Options& options) {
  if (!options.at_ms) throw std::runtime_error("start needs --at, the instant just before this process was started");
  const auto node = open_node(options);
  auto sign_call = no_op_calls(make_duties(1, slot_of_now()), effects_of(options)).front();
  require_signed(node->signer().sign_with_protection_blocking(std::move(sign_call.request),
                                                              std::move(sign_call.sign_function), sign_call.effects));
  const auto ms = wall_clock_ms() - static_cast<double>(*options.at_ms);
  return {{"steps", options.steps}, {"pool", options.pool}, {"ms", rounded(ms)}, {"rss_mb", resident_mb()}};
}

struct Case {
  Json (*measure)(const Options&);
  std::optional<std::size_t> duties;  ///< where the caller does not say
};

const std::map<std::string, Case>& cases() {
  static const std::map<std::string, Case> all{
      {"serial", {serial, 1000}},
      {"inflight", {inflight, 20'000}},
      {"slot", {slot, kValidators}},
      {"race", {race, kValidators}},
      {"waiter", {waiter, 50}},
      {"start", {start, std::nullopt}},
      {"large", {large, 1000}},
      {"service-one", {measure_service_one, 1000}},
      {"service-many", {measure_service_many, 20'000}},
      {"service-fair", {measure_service_fair, 2'000}},
      {"service-hashing", {measure_service_hashing, std::nullopt}},
  };
  return all;
}

}  // namespace

Json measure(Options options) {
  const auto& chosen = cases().at(options.workload);
  if (!options.duties) options.duties = chosen.duties;
  Json line{{"workload", options.workload}, {"rival", "hasigner"}};
  if (options.duties) line["duties"] = *options.duties;
  line.update(chosen.measure(options));
  return line;
}

}  // namespace hasigner::bench
