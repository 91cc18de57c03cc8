#include "tests/simulation/cluster.hpp"

#include <algorithm>
#include <ranges>
#include <set>
#include <unordered_map>

#include "hasigner/protection/async.hpp"
#include "hasigner/protection/attempt/run_attempt.hpp"
#include "hasigner/protection/ha_signer.hpp"
#include "hasigner/protection/journaled_store.hpp"
#include "hasigner/protection/node_health.hpp"
#include "tests/simulation/faulty_store.hpp"
#include "tests/simulation/sim_journal.hpp"

namespace hasigner::simulation {

namespace {

constexpr milliseconds kSlot{12'000};
/// From any slot that begins to one that a client asks for too early.
constexpr std::uint64_t kFar = 100'000;
/// A lease outlives its node by as much.
constexpr milliseconds kLongestJumpBack{3'000};
/// While nothing fails: the lease, the longest jump of its clock, the peer signing time-out, looks and drift.
constexpr milliseconds kSignedWithin{10'000};
/// While nothing fails: until the row of a dead node is free for other data, and one look, its request and the signing.
constexpr milliseconds kDeadHolderWithin{2'000 + 100 + 150};
/// Of one attempt that waits, at 100 ms a look, until its deadline, and settles its releases behind its answer. The
/// most that were seen are 814, where a journal cannot be written and each look is followed by a takeover that is
/// refused.
constexpr std::size_t kMostSteps = 1'500;

/// Tells whose data it is, so that two nodes' data differ and one node's retries agree.
MessageHash hash_for(const DutyKey& key, std::uint64_t variant) {
  MessageHash hash;
  hash.bytes().fill(static_cast<std::uint8_t>(1 + variant));
  hash.bytes()[0] = static_cast<std::uint8_t>(key.slot.value());
  hash.bytes()[1] = static_cast<std::uint8_t>(key.duty_type);
  hash.bytes()[2] = key.validator.bytes()[19];
  hash.bytes()[3] = static_cast<std::uint8_t>(key.block_index + 1);
  return hash;
}

/// What an attempt asked for; shared by the driver's retries.
struct Task {
  Duty duty;
  SigningContext context;
  int tries_left = 12;
  bool once_calm = false;
};

struct Process {
  std::shared_ptr<Life> life;
  std::shared_ptr<HaSigner> signer;
  std::shared_ptr<NodeHealth> health;
  std::shared_ptr<JournaledStore> journaled = nullptr;
  milliseconds claim_delay{};
  bool starting = true;
  std::optional<MonotonicTime> stopping_since;
};

class Cluster {
 public:
  explicit Cluster(const Settings& settings);
  Report run();

 private:
  using Attempted = std::shared_ptr<std::set<std::uint64_t>>;  ///< the calls of sign functions that an attempt made

  [[nodiscard]] bool is_twin(std::size_t node) const { return settings_.twin && node + 1 == nodes_.size(); }
  void start_process(std::size_t node);
  void start_soon(std::size_t node, milliseconds after);
  static asio::awaitable<void> start_signer(Cluster& cluster, std::size_t node, std::shared_ptr<Life> life,
                                            std::shared_ptr<HaSigner> signer);
  static asio::awaitable<void> stop_signer(Cluster& cluster, std::size_t node, std::shared_ptr<Life> life,
                                           std::shared_ptr<HaSigner> signer);
  static asio::awaitable<void> pursue(Cluster& cluster, std::size_t node, std::shared_ptr<Life> life,
                                      std::shared_ptr<HaSigner> signer, Task task);
  static asio::awaitable<SignResult<Signature>> sign_by_steps(Cluster& cluster, std::shared_ptr<HaSigner> signer,
                                                              SignRequest request, SignFunction sign_function);
  void begin_slot(std::uint64_t slot);
  void make_trouble(std::uint64_t slot);
  void ask_for_far_slot(std::uint64_t slot);
  void supervise();
  void peer_begins(Task task);
  void peer_polls(Task task, MonotonicTime give_up_at);
  void delete_signed_rows(std::uint64_t before_slot);
  void prune();
  void lose_claims();
  void restore(memory::MemoryTables backup);
  void fail_over(memory::MemoryTables standby);
  SignFunction sign_function(std::shared_ptr<Life> life, Attempted attempted);
  void release_taken_over(const SignRequest& request);
  void watch(const attempt::Facts& facts, const attempt::State& from, const attempt::Event& event,
             const attempt::Step& step);
  void run_until(MonotonicTime end);
  void wait_until_healthy();
  [[nodiscard]] std::size_t node_to_sign(const Duty& duty, bool has_row);
  void prove_that_duties_can_be_signed();
  static asio::awaitable<void> hold(std::shared_ptr<HaSigner> signer, std::shared_ptr<Life> life, Task task);
  void prove_that_a_dead_holder_is_replaced();
  void check_that_nothing_is_held();

  struct Node {
    std::string id;
    std::vector<std::shared_ptr<Process>> lives = {};
    std::shared_ptr<JournalFile> journal = std::make_shared<JournalFile>();
    [[nodiscard]] const JournalEntry* journaled(const DutyKey& key) const {
      const auto entry = journal->entries.find(key);
      return entry == journal->entries.end() ? nullptr : &entry->second;
    }
    [[nodiscard]] Process* current() {
      return lives.empty() || !lives.back()->life->alive() ? nullptr : lives.back().get();
    }
  };
  SharedState shared_;
  SimTime& time_ = shared_.time;
  Chance& chance_ = shared_.chance;
  const Settings& settings_ = shared_.settings;
  std::vector<Node> nodes_;
  std::map<DutyKey, Task> duties_;
  std::set<DutyKey> unfenced_;                          ///< duties on which the unfenced peer has worked
  std::unordered_map<std::string, std::size_t> steps_;  ///< of each attempt that has not ended, by its token
  /// Duties whose row may stay *signing* until the clean-up of stuck rows: a record got no answer, or it was imported.
  std::set<DutyKey> left_signing_;
  std::uint64_t sign_calls_ = 0;
  std::uint64_t slot_ = 0;  ///< of this moment
  bool ended_ = false;
};

class CountingMetrics final : public Metrics {
 public:
  explicit CountingMetrics(Report& report) : report_(report) {}
  void count(Event event, DutyType) override {
    if (event == Event::kTakenOver) ++report_.takeovers;
    if (event == Event::kReplaced) ++report_.replacements;
    if (event == Event::kLockLost) ++report_.lost_locks;
    if (event == Event::kInDoubt) ++report_.in_doubt;
    if (event == Event::kHeldBack) ++report_.held_back;
    if (event == Event::kUnhealthy) ++report_.unhealthy;
  }

 private:
  Report& report_;
};

// --- the nodes

Cluster::Cluster(const Settings& settings) : shared_(settings) {
  shared_.replace_server(0);
  for (int i = 0; i < settings_.nodes; ++i) nodes_.push_back({.id = "node-" + std::to_string(i)});
  if (settings_.twin) nodes_.push_back({.id = "node-0"});
}

void Cluster::start_process(std::size_t node) {
  if (shared_.is_calm && is_twin(node)) return;
  auto process = std::make_shared<Process>();
  process->life = std::make_shared<Life>(time_, chance_, 1 + settings_.drift * (chance_.happens(0.5) ? 1 : -1));
  auto config = SignerConfig{.node_id = *NodeId::parse(nodes_[node].id), .rollup = rollup()};
  config.signer_call_timeout = milliseconds(6'000);
  config.attempt_timeout = settings_.attempt_timeout;
  config.max_stuck_duties_age = settings_.stuck_age;
  config.store_call_timeout = milliseconds(3'000);
  if (chance_.happens(settings_.reserve)) {
    config.claim_delay = std::min(chance_.between(milliseconds(1), milliseconds(2'000)), longest_claim_delay(config));
  }
  process->claim_delay = config.claim_delay;
  const auto action = chance_.happens(0.5) ? NodeHealth::Action::kHoldBack : NodeHealth::Action::kRefuse;
  process->health = std::make_shared<NodeHealth>(NodeHealth::Rules{.failures_in_a_row = 1, .action = action});
  Ports ports{.executor = time_.io.get_executor(),
              .clock = process->life,
              .random = process->life,
              .store = std::make_shared<FaultyStore>(shared_, process->life),
              .metrics = std::make_shared<CountingMetrics>(shared_.report),
              .health = process->health};
  if (settings_.journal && settings_.sabotage != Sabotage::kNoJournal) {
    auto faulty_store = std::make_shared<FaultyStore>(shared_, process->life);
    const bool guards = settings_.guard && settings_.sabotage != Sabotage::kNoGuard;
    ports.store = faulty_store;
    process->journaled = std::make_shared<JournaledStore>(JournaledStore::Parts{
        .executor = ports.executor,
        .clock = process->life,
        .store = faulty_store,
        .claimed = nullptr,
        .journal = std::make_shared<SimJournal>(time_, chance_, process->life, nodes_[node].journal),
        .node_id = config.node_id,
        .random = process->life,
        .rounds = guards ? faulty_store : nullptr,
        .latest_slot = [this](const EthAddress&) { return std::optional(*Slot::from(slot_)); }});
    process->journaled->on_news([this](JournaledStore::News news, const std::string& text) {
      shared_.report.forbidden += news == JournaledStore::News::kForbids;
      shared_.trace_all([&] { return "news " + std::to_string(static_cast<int>(news)) + ": " + text; });
    });
    ports.store = process->journaled;
    asio::co_spawn(time_.io, JournaledStore::keep_complete(process->journaled), asio::detached);
  }
  process->signer = std::make_shared<HaSigner>(config, ports);
  nodes_[node].lives.push_back(process);
  asio::co_spawn(time_.io, start_signer(*this, node, process->life, process->signer), asio::detached);
}

asio::awaitable<void> Cluster::start_signer(Cluster& cluster, std::size_t node, std::shared_ptr<Life> life,
                                            std::shared_ptr<HaSigner> signer) {
  SignResult<std::monostate> started;
  try {
    started = co_await signer->start(milliseconds(30'000));
  } catch (const std::exception&) {
    co_return;
  }
  if (!life->alive()) co_return;
  if (started) {
    cluster.nodes_[node].lives.back()->starting = false;
    // What is still to be signed in this slot is pursued by a restarted node too.
    for (const auto& [key, task] : cluster.duties_) {
      const auto latest = std::min(cluster.duties_.rbegin()->first.slot.value(), cluster.slot_);
      const bool recent = cluster.shared_.is_calm || key.slot.value() + 1 >= latest;
      if (!recent || cluster.chance_.happens(0.5)) continue;
      asio::co_spawn(cluster.time_.io, pursue(cluster, node, life, signer, task), asio::detached);
    }
    co_return;
  }
  // As a supervisor would: the process ends and is started again.
  life->kill();
  cluster.start_soon(node, milliseconds(1'000));
}

/// Starts the node anew, as a supervisor would, unless it has been started meanwhile.
void Cluster::start_soon(std::size_t node, milliseconds after) {
  time_.at(time_.now() + after, [this, node, dead = nodes_[node].lives.back()] {
    if (nodes_[node].lives.back() == dead) start_process(node);
  });
}

/// A clean stop, in the middle of whatever the node is doing.
asio::awaitable<void> Cluster::stop_signer(Cluster& cluster, std::size_t node, std::shared_ptr<Life> life,
                                           std::shared_ptr<HaSigner> signer) {
  const auto began = cluster.time_.now();
  try {
    co_await signer->stop();
  } catch (const std::exception&) {
    co_return;  // killed meanwhile
  }
  if (!life->alive()) co_return;
  ++cluster.shared_.report.stops;
  // The waits of a process that was paused have run out when it wakes.
  if (!life->was_paused_since(began)) {
    const auto took = (cluster.time_.now() - began) / milliseconds(1);
    if (took > 5'000) cluster.shared_.violation("stop() took " + std::to_string(took) + " ms");
    if (signer->attempts_in_flight() != 0) cluster.shared_.violation("stop() left attempts in flight");
  }
  life->kill();
  if (cluster.nodes_[node].lives.back()->life == life) {
    cluster.start_soon(node, cluster.chance_.between(milliseconds(10), milliseconds(5'000)));
  }
}

SignFunction Cluster::sign_function(std::shared_ptr<Life> life, Attempted attempted) {
  struct Signing {
    static asio::awaitable<SignOutcome> run(Cluster& cluster, std::shared_ptr<Life> life, Attempted attempted,
                                            SignRequest request) {
      auto length = cluster.chance_.between(milliseconds(0), milliseconds(40));
      bool fails = false;
      if (cluster.shared_.happens(cluster.settings_.sign_failure)) {
        fails = cluster.chance_.happens(0.5);
        length = cluster.chance_.between(milliseconds(50), milliseconds(9'000));
        // A call that blocks stops everything in its process.
        if (cluster.chance_.happens(0.2)) life->pause_until(cluster.time_.now() + length);
      }
      co_await sleep_until(cluster.time_.io.get_executor(), *life, life->now() + length);
      life->require_alive();
      if (fails && cluster.settings_.sabotage == Sabotage::kReleaseTakenOverRow) cluster.release_taken_over(request);
      if (fails) co_return std::unexpected(std::string("simulated failure"));
      const auto call = ++cluster.sign_calls_;
      attempted->insert(call);
      co_return signature_of(request.message_hash, call);
    }
  };
  return
      [this, life, attempted](SignRequest request) { return Signing::run(*this, life, attempted, std::move(request)); };
}

void Cluster::release_taken_over(const SignRequest& request) {
  const auto duty = make_duty(rollup(), request.validator, request.message_hash, request.context);
  const auto row_key = memory::key_of(duty->key);
  const auto* row = shared_.tables->row(row_key);
  const bool taken_over = row && row->status == DutyStatus::kSigning &&
                          row->message_hash == request.message_hash.to_string() &&
                          LockToken(row->lock_token).kind() == TokenKind::kTakenOver;
  if (taken_over) shared_.tables->delete_row(row_key);
}

/// What a caller of the steps does that keeps to their rule: releases nothing that is not recorded.
asio::awaitable<SignResult<Signature>> Cluster::sign_by_steps(Cluster& cluster, std::shared_ptr<HaSigner> signer,
                                                              SignRequest request, SignFunction sign_function) {
  ++cluster.shared_.report.by_steps;
  auto claiming = signer->check_and_record(request);
  auto held = co_await std::move(claiming);
  if (!held) co_return std::unexpected(held.error());
  auto signing = sign_function(request);
  auto signature = co_await std::move(signing);
  if (!signature) {
    auto deleting = signer->delete_duty(*held);
    (void)co_await std::move(deleting);
    co_return std::unexpected(SigningError(SignFunctionFailed{.cause = signature.error()}));
  }
  auto recording = signer->record_success(*held, *signature);
  auto recorded = co_await std::move(recording);
  if (!recorded) co_return std::unexpected(recorded.error());
  co_return *signature;
}

/// What a validator client does: asks, and asks again after errors that are not refusals.
asio::awaitable<void> Cluster::pursue(Cluster& cluster, std::size_t node, std::shared_ptr<Life> life,
                                      std::shared_ptr<HaSigner> signer, Task task) {
  const auto name = cluster.nodes_[node].id;
  SharedState& shared = cluster.shared_;
  try {
    for (; task.tries_left > 0 && life->alive(); --task.tries_left) {
      // Once nothing fails any more, each duty is asked for by one task, so that none waits in the duty queue for other
      // data.
      if (shared.is_calm && !task.once_calm) co_return;
      ++shared.report.attempts;
      const auto began = life->now();
      const SignRequest request{task.duty.key.validator, task.duty.message_hash, task.context};
      const auto attempted = std::make_shared<std::set<std::uint64_t>>();
      auto sign_function = cluster.sign_function(life, attempted);
      SignResult<Signature> result;
      if (shared.happens(cluster.settings_.by_steps)) {
        auto signing = sign_by_steps(cluster, signer, request, sign_function);
        result = co_await std::move(signing);
      } else {
        const auto effects =
            cluster.chance_.happens(cluster.settings_.sign_first) ? SignEffects::kNone : SignEffects::kOutside;
        auto signing = signer->sign_with_protection(request, sign_function, effects);
        result = co_await std::move(signing);
      }
      if (!life->alive()) co_return;
      if (cluster.settings_.only_lost_replies && life->now() > began + milliseconds(2'500)) {
        shared.violation("an attempt was held up by nothing but lost replies: " + task.duty.key.describe());
      }
      if (result) {
        if (signed_by(*result) != task.duty.message_hash) shared.violation("the signature of other data came back");
        shared.released(task.duty, *result, name);
        co_return;
      }
      const SigningError& error = result.error();
      shared.trace(task.duty.key, [&] { return name + " is told " + std::string(kind_name(error)); });
      if (std::holds_alternative<InDoubt>(error)) {
        cluster.left_signing_.insert(task.duty.key);
        shared.check_row(task.duty.key);  // if it is signed, it stays so
      }
      if (std::holds_alternative<Unavailable>(error)) {
        shared.denied.insert(attempted->begin(), attempted->end());
        shared.check_row(task.duty.key);
      }
      if (auto* already = std::get_if<DutyAlreadySigned>(&error)) {
        if (already->signature) {
          ++shared.report.confirmed_again;
          shared.released(task.duty, *already->signature, name + " (confirmed_again)");
        }
        if (already->signature || already->signed_by != kUnknownTimeout) co_return;
      }
      if (std::holds_alternative<SlashingProtection>(error) || std::holds_alternative<OutsideWatermark>(error))
        co_return;
      if (std::holds_alternative<NodeIdTaken>(error)) {
        life->kill();
        if (cluster.nodes_[node].lives.back()->life == life) cluster.start_soon(node, milliseconds(500));
        co_return;
      }
      co_await sleep_until(cluster.time_.io.get_executor(), *life,
                           life->now() + cluster.chance_.between(milliseconds(50), milliseconds(800)));
    }
  } catch (const std::exception&) {
    co_return;  // killed
  }
}

// --- the node of the published package: no fence, and it never asks before it releases

void Cluster::peer_begins(Task task) {
  peer_polls(task, time_.now() + milliseconds(3'000));
}

void Cluster::peer_polls(Task task, MonotonicTime give_up_at) {
  const auto row_key = memory::key_of(task.duty.key);
  auto* row = shared_.tables->row(row_key);
  if (row && row->status == DutyStatus::kSigned) return;
  if (row) {
    if (time_.now() < give_up_at)
      time_.at(time_.now() + milliseconds(100), [this, task, give_up_at] { peer_polls(task, give_up_at); });
    return;
  }
  std::array<std::uint8_t, 16> token{};
  for (auto& byte : token) byte = static_cast<std::uint8_t>(chance_.below(256));
  auto mine = signing_row(task.duty, *NodeId::parse("published"), LockToken(to_hex(token)), shared_.tables->now());
  shared_.tables->insert_row(mine);
  shared_.trace(task.duty.key, [] { return "peer inserts"; });
  const bool dies = chance_.happens(0.2);
  if (dies) return;
  // It may take longer than others wait, but not as long as the stuck age.
  const auto length = chance_.happens(0.4) ? chance_.between(milliseconds(2'000), milliseconds(20'000))
                                           : chance_.between(milliseconds(1), milliseconds(50));
  const bool fails = chance_.happens(0.1);
  time_.at(time_.now() + length, [this, task, mine, fails, row_key] {
    auto* now = shared_.tables->row(row_key);
    const bool still_mine = now && now->lock_token == mine.lock_token && now->status == DutyStatus::kSigning;
    if (fails) {
      if (still_mine) shared_.tables->delete_row(row_key);
      return;
    }
    if (still_mine) {
      now->status = DutyStatus::kSigned;
      now->signature = signature_of(task.duty.message_hash).to_string();
      now->completed_at = shared_.tables->now();
    }
    shared_.check_row(task.duty.key);
    shared_.released(task.duty, signature_of(task.duty.message_hash), "peer");
  });
}

// --- the course of a run

void Cluster::begin_slot(std::uint64_t slot) {
  slot_ = slot;
  for (int v = 0; v < settings_.validators; ++v) {
    for (const auto type : kProtectedDutyTypes) {
      if (!chance_.happens(0.6)) continue;
      SigningContext context{
          .duty_type = type, .slot = *Slot::from(slot), .block_number = {}, .checkpoint_number = {}, .block_index = {}};
      if (type == DutyType::kBlockProposal) context.block_index = static_cast<std::int64_t>(chance_.below(2));
      const auto validator = address_of(0xbb, static_cast<std::uint8_t>(v + 1));
      const auto base = make_duty(rollup(), validator, MessageHash{}, context);
      const bool differ = chance_.happens(settings_.other_data);
      Task task{*base, context};
      task.duty.message_hash = hash_for(base->key, 0);
      duties_[base->key] = task;
      for (std::size_t node = 0; node < nodes_.size(); ++node) {
        if (!chance_.happens(0.85)) continue;
        Task own = task;
        if (differ) own.duty.message_hash = hash_for(base->key, chance_.below(3));
        const auto start =
            time_.now() + chance_.between(milliseconds(0), milliseconds(chance_.happens(0.5) ? 5 : 6'000));
        time_.at(start, [this, node, own] {
          auto* process = nodes_[node].current();
          if (!process || process->starting) return;
          asio::co_spawn(time_.io, pursue(*this, node, process->life, process->signer, own), asio::detached);
        });
      }
      if (settings_.unfenced_peer && chance_.happens(0.4)) {
        Task own = task;
        if (differ) own.duty.message_hash = hash_for(base->key, chance_.below(3));
        unfenced_.insert(own.duty.key);
        time_.at(time_.now() + chance_.between(milliseconds(0), milliseconds(1'000)),
                 [this, own] { peer_begins(own); });
      }
    }
  }
}

void Cluster::make_trouble(std::uint64_t slot) {
  const auto some_time = [&] { return time_.now() + chance_.between(milliseconds(0), kSlot); };
  const auto some_node = [&] { return static_cast<std::size_t>(chance_.below(nodes_.size())); };
  if (chance_.happens(settings_.crash)) {
    time_.at(some_time(), [this, node = some_node()] {
      auto* process = nodes_[node].current();
      if (!process) return;
      process->life->kill();
      start_soon(node, chance_.between(milliseconds(10), milliseconds(8'000)));
    });
  }
  if (chance_.happens(settings_.stop)) {
    time_.at(some_time(), [this, node = some_node()] {
      auto* process = nodes_[node].current();
      // A second stop() returns at once.
      if (!process || process->stopping_since) return;
      process->stopping_since = time_.now();
      asio::co_spawn(time_.io, stop_signer(*this, node, process->life, process->signer), asio::detached);
    });
  }
  if (chance_.happens(settings_.pause)) {
    time_.at(some_time(), [this, node = some_node()] {
      if (auto* process = nodes_[node].current())
        process->life->pause_until(time_.now() + chance_.between(milliseconds(100), milliseconds(15'000)));
    });
  }
  if (chance_.happens(settings_.outage)) {
    time_.at(some_time(),
             [this] { shared_.outage_until = time_.now() + chance_.between(milliseconds(100), milliseconds(9'000)); });
  }
  if (chance_.happens(settings_.another)) {
    time_.at(some_time(), [this] {
      ++shared_.report.other_databases;
      shared_.another_until = time_.now() + chance_.between(milliseconds(100), milliseconds(6'000));
    });
  }
  if (chance_.happens(settings_.power_cut)) {
    time_.at(some_time(), [this] {
      shared_.replace_server(0);
      shared_.outage_until =
          std::max(shared_.outage_until, time_.now() + chance_.between(milliseconds(1), milliseconds(2'000)));
      lose_claims();
    });
  }
  if (chance_.happens(settings_.clock_jump)) {
    time_.at(some_time(), [this] {
      ++shared_.report.clock_jumps;
      shared_.tables_clock.jump(chance_.happens(0.5) ? chance_.between(milliseconds(10), milliseconds(3'600'000))
                                                     : -chance_.between(milliseconds(10), kLongestJumpBack));
    });
  }
  if (chance_.happens(settings_.deletion) && slot > 3) {
    time_.at(some_time(), [this, slot] { delete_signed_rows(slot - 2); });
  }
  if (chance_.happens(settings_.pruning)) {
    time_.at(some_time(), [this] { prune(); });
  }
  if (chance_.happens(settings_.importing)) {
    time_.at(some_time(), [this] {
      time_.at(time_.now() + chance_.between(milliseconds(0), 2 * kSlot),
               [this, history = shared_.tables->export_history()] {
                 if (shared_.is_calm) return;
                 ++shared_.report.imports;
                 (void)shared_.tables->import_history(history);
                 for (const auto& [key, task] : duties_) shared_.check_row(key);
               });
    });
  }
  if (chance_.happens(settings_.restore)) {
    time_.at(some_time(), [this] {
      time_.at(time_.now() + chance_.between(milliseconds(0), 2 * kSlot),
               [this, backup = *shared_.tables] { restore(backup); });
    });
  }
  if (settings_.failover > 0 && chance_.happens(settings_.failover)) {
    time_.at(some_time(), [this] {
      // Mostly the last second, sometimes as much as a backup lacks.
      const auto lacks = chance_.happens(0.7) ? chance_.between(milliseconds(1), milliseconds(1'500))
                                              : chance_.between(milliseconds(0), 2 * kSlot);
      time_.at(time_.now() + lacks, [this, standby = *shared_.tables] { fail_over(standby); });
    });
  }
  if (settings_.far_slot > 0 && chance_.happens(settings_.far_slot)) ask_for_far_slot(slot);
  if (settings_.unhealthy > 0 && chance_.happens(settings_.unhealthy)) {
    time_.at(some_time(), [this, node = some_node()] {
      auto* process = nodes_[node].current();
      if (!process || shared_.is_calm) return;
      (void)process->health->note(std::unexpected(std::string("simulated failure")));
      time_.at(time_.now() + chance_.between(milliseconds(1), kSlot),
               [health = process->health] { (void)health->note({}); });
    });
  }
  if (settings_.journal_failure > 0 && chance_.happens(settings_.journal_failure)) {
    time_.at(some_time(), [this, node = some_node()] {
      if (shared_.is_calm) return;
      nodes_[node].journal->fails_until = time_.now() + chance_.between(milliseconds(1), milliseconds(8'000));
    });
  }
}

/// As a client that may sign can, where no clock says which slots have begun.
void Cluster::ask_for_far_slot(std::uint64_t slot) {
  const SigningContext context{.duty_type = DutyType::kAttestation,
                               .slot = *Slot::from(slot + kFar),
                               .block_number = {},
                               .checkpoint_number = {},
                               .block_index = {}};
  const auto base = make_duty(rollup(), address_of(0xbb, 1), MessageHash{}, context);
  Task task{*base, context};
  task.duty.message_hash = hash_for(base->key, 0);
  duties_[base->key] = task;
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    Task own = task;
    own.duty.message_hash = hash_for(base->key, chance_.below(3));
    time_.at(time_.now() + chance_.between(milliseconds(0), milliseconds(6'000)), [this, node, own] {
      auto* process = nodes_[node].current();
      if (!process || process->starting || shared_.is_calm) return;
      asio::co_spawn(time_.io, pursue(*this, node, process->life, process->signer, own), asio::detached);
    });
  }
}

/// A standby that lacks the last commits takes the place of the primary. No one sets a watermark, and nodes go on.
void Cluster::fail_over(memory::MemoryTables standby) {
  if (shared_.is_calm) return;
  ++shared_.report.failovers;
  shared_.replace_server(1);
  shared_.tables.emplace(std::move(standby));
  shared_.forget_recorded();
  shared_.forgot_at = time_.now();
  for (const auto& [key, task] : duties_) shared_.trace(key, [] { return "a standby takes over"; });
}

/// A backup takes the place of the database, as docs/operating.md asks for: every node is ended first, and before any
/// starts again the watermarks are set to the highest slot.
void Cluster::restore(memory::MemoryTables backup) {
  if (shared_.is_calm) return;
  ++shared_.report.restores;
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    if (auto* process = nodes_[node].current()) {
      process->life->kill();
      start_soon(node, chance_.between(milliseconds(10), milliseconds(4'000)));
    }
  }
  shared_.replace_server(1);
  shared_.tables.emplace(std::move(backup));
  shared_.forget_recorded();
  if (duties_.empty() || settings_.sabotage == Sabotage::kRestoreWithoutWatermark) return;
  Slot highest = duties_.begin()->first.slot;
  for (const auto& [key, task] : duties_) highest = std::max(highest, key.slot);
  for (int v = 0; v < settings_.validators; ++v) {
    for (const auto type : kProtectedDutyTypes) {
      WatermarkChange change;
      change.low = highest;
      (void)shared_.tables->set_watermarks(rollup(), address_of(0xbb, static_cast<std::uint8_t>(v + 1)), type, change);
    }
  }
}

/// As `ha-signer prune` does. Refused while rows of a published node are recent.
void Cluster::prune() {
  const RemovalRequest request{.what = Removal::kOld,
                               .node_id = *NodeId::parse("operator"),
                               .rollup = rollup(),
                               .max_age = milliseconds(15'000)};
  shared_.report.pruned += shared_.tables->remove(request).removed;
  for (const auto& [key, task] : duties_) {
    if (!shared_.tables->row(memory::key_of(key))) shared_.forget_recorded(key);
  }
}

/// Ends and starts nodes that say that they will not sign again, as a supervisor does that asks for their health.
void Cluster::supervise() {
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    auto* process = nodes_[node].current();
    if (!process || process->starting || process->signer->healthy()) continue;
    process->life->kill();
    start_soon(node, milliseconds(500));
  }
  if (!ended_) time_.at(time_.now() + milliseconds(2'000), [this] { supervise(); });
}

/// As a crash of the server or a failover does to claims that nothing has been recorded after; here any of them may go,
/// whatever came after it.
void Cluster::lose_claims() {
  for (const auto& [key, task] : duties_) {
    const auto* row = shared_.tables->row(memory::key_of(key));
    const bool may_go = row && row->status == DutyStatus::kSigning && shared_.may_be_lost(LockToken(row->lock_token));
    if (!may_go || !chance_.happens(0.7)) continue;
    shared_.tables->delete_row(memory::key_of(key));
    ++shared_.report.lost_claims;
    shared_.trace(key, [] { return "the claim is lost with the power"; });
  }
}

/// As retention does, of either kind of node, or a person with psql. Only duties that the unfenced peer is done with:
/// it obeys no watermark.
void Cluster::delete_signed_rows(std::uint64_t before_slot) {
  for (const auto& [key, task] : duties_) {
    if (key.slot.value() >= before_slot && unfenced_.contains(key)) continue;
    if (!chance_.happens(0.4)) continue;
    const auto* row = shared_.tables->row(memory::key_of(key));
    if (!row || row->status != DutyStatus::kSigned) continue;
    shared_.tables->delete_row(memory::key_of(key));
    shared_.forget_recorded(key);
    shared_.trace(key, [] { return "a row is deleted"; });
  }
}

/// Bounds what one attempt asks for, and notes which attempts have not ended.
void Cluster::watch(const attempt::Facts& facts, const attempt::State& from, const attempt::Event& event,
                    const attempt::Step& step) {
  shared_.report.coverage.count(from, event);
  auto& steps = steps_[facts.token.str()];
  if (++steps > kMostSteps) {
    shared_.violation("an attempt takes no end: " + std::to_string(kMostSteps) + " steps", facts.duty.key);
  }
  shared_.report.most_steps = std::max(shared_.report.most_steps, std::uint64_t{steps});
  if (std::holds_alternative<attempt::Done>(step.state)) steps_.erase(facts.token.str());
}

void Cluster::run_until(MonotonicTime end) {
  bool reached = false;
  time_.at(end, [&reached] { reached = true; });
  while (!reached && shared_.report.violations.empty() && time_.step()) {
  }
}

/// Every node is there again soon after the last fault.
void Cluster::wait_until_healthy() {
  for (Node& node : nodes_) {
    auto* process = node.current();
    if (process && process->stopping_since) {
      shared_.violation("stop() of " + node.id + " has not returned after " +
                        std::to_string((time_.now() - *process->stopping_since) / milliseconds(1)) + " ms");
    }
  }
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    if (!nodes_[node].current()) start_process(node);
  }
  const auto healthy = [this] {
    return std::ranges::count_if(nodes_, [](Node& node) {
      auto* process = node.current();
      return process && !process->starting && process->signer->healthy();
    });
  };
  for (int i = 0; i < 100 && healthy() < settings_.nodes; ++i) run_until(time_.now() + milliseconds(100));
  if (healthy() < settings_.nodes) {
    shared_.violation("only " + std::to_string(healthy()) + " nodes came back after the last fault");
  }
}

/// A node by chance, but none that has other data in its journal than the row has.
std::size_t Cluster::node_to_sign(const Duty& duty, bool has_row) {
  const auto count = static_cast<std::size_t>(settings_.nodes);
  const auto first = static_cast<std::size_t>(chance_.below(count));
  for (std::size_t i = 0; i < count; ++i) {
    const auto node = (first + i) % count;
    const auto* entry = nodes_[node].journaled(duty.key);
    if (!has_row || !entry || entry->message_hash == duty.message_hash) return node;
  }
  return first;
}

/// Nothing fails any more: every duty that is not signed yet is signed soon, unless a rule says no.
void Cluster::prove_that_duties_can_be_signed() {
  for (const auto& [key, task] : duties_) {
    Task again = task;
    again.once_calm = true;
    shared_.trace(key, [] { return "nothing fails any more, all nodes are there"; });
    const auto view = shared_.tables->view(key);
    if (view.row && view.row->message_hash) again.duty.message_hash = *view.row->message_hash;
    const auto node = node_to_sign(again.duty, view.row.has_value());
    // A node that was killed while it recorded keeps to that message, as its client does.
    if (const auto* entry = nodes_[node].journaled(key); entry && !view.row) {
      again.duty.message_hash = entry->message_hash;
    }
    if (auto* process = nodes_[node].current()) {
      asio::co_spawn(time_.io, pursue(*this, node, process->life, process->signer, again), asio::detached);
    }
  }
  run_until(time_.now() + kSignedWithin);
  for (const auto& [key, task] : duties_) {
    ++shared_.report.duties;
    const auto view = shared_.tables->view(key);
    const bool is_signed = view.row && view.row->status == DutyStatus::kSigned;
    const bool forbidden = !view.watermarks.allow(key.slot);
    auto of_another = key;
    of_another.validator = address_of(0xcc, 1);
    const auto given_up = shared_.tables->view(of_another).watermarks.low;
    if (given_up && given_up->value() > slot_) {
      shared_.violation("a slot that has not begun is given up for every validator: " + given_up->to_string());
    }
    if (is_signed || shared_.was_released(key)) ++shared_.report.signed_duties;
    if (!is_signed && !forbidden && !shared_.was_released(key)) {
      shared_.violation(
          "not signed within " + std::to_string(kSignedWithin.count()) + " ms though nothing failed any more", key);
    }
  }
}

/// Claims, and is still signing when its node is killed.
asio::awaitable<void> Cluster::hold(std::shared_ptr<HaSigner> signer, std::shared_ptr<Life> life, Task task) {
  struct Signing {
    static asio::awaitable<SignOutcome> run(std::shared_ptr<Life> life) {
      const auto executor = co_await asio::this_coro::executor;
      co_await sleep_until(executor, *life, life->now() + std::chrono::minutes(10));
      co_return std::unexpected(std::string("killed meanwhile"));
    }
  };
  const SignRequest request{task.duty.key.validator, task.duty.message_hash, task.context};
  try {
    auto signing = signer->sign_with_protection(
        request, [life](SignRequest) { return Signing::run(life); }, SignEffects::kOutside);
    (void)co_await std::move(signing);
  } catch (const std::exception&) {
    co_return;  // killed
  }
}

/// A node dies while it signs, and another one is asked for other data: it waits for the lease and a look, and not for
/// the clean-up of stuck rows.
void Cluster::prove_that_a_dead_holder_is_replaced() {
  const auto count = static_cast<std::size_t>(settings_.nodes);
  if (count < 2 || duties_.empty()) return;
  const auto holder = static_cast<std::size_t>(chance_.below(count));
  const auto heir = (holder + 1 + static_cast<std::size_t>(chance_.below(count - 1))) % count;
  auto* dying = nodes_[holder].current();
  auto* living = nodes_[heir].current();
  if (!dying || !living) return;
  Task task = duties_.rbegin()->second;
  // Above what any node was asked for with any validator, so that no loss can have given this slot up.
  const auto slot_of = [](const auto& duty) { return duty.first.slot; };
  task.context.slot = *Slot::from(std::ranges::max(duties_ | std::views::transform(slot_of)).value() + 1);
  const auto hash = hash_for(task.duty.key, 0), other_hash = hash_for(task.duty.key, 1);
  task.duty = *make_duty(rollup(), task.duty.key.validator, hash, task.context);
  asio::co_spawn(time_.io, hold(dying->signer, dying->life, task), asio::detached);
  const auto row_key = memory::key_of(task.duty.key);
  const auto claimed_until = time_.now() + dying->claim_delay * 1.1 + milliseconds(200);
  while (!shared_.tables->row(row_key) && time_.now() < claimed_until) run_until(time_.now() + milliseconds(5));
  if (!shared_.tables->row(row_key)) return shared_.violation("not claimed though nothing failed", task.duty.key);
  dying->life->kill();
  shared_.trace(task.duty.key, [] { return "its holder is killed"; });

  task.duty.message_hash = other_hash;
  task.once_calm = true;
  const auto began = time_.now();
  const auto bound = kDeadHolderWithin + std::chrono::ceil<milliseconds>(living->claim_delay * 1.1);
  asio::co_spawn(time_.io, pursue(*this, heir, living->life, living->signer, task), asio::detached);
  while (!shared_.was_released(task.duty.key) && time_.now() < began + bound) run_until(time_.now() + milliseconds(5));
  if (!shared_.was_released(task.duty.key)) {
    shared_.violation("other data than that of a dead holder was not signed within " + std::to_string(bound.count()) +
                          " ms though nothing failed any more",
                      task.duty.key);
  }
  ++shared_.report.dead_holders;
  const auto took = std::chrono::ceil<milliseconds>(time_.now() - began) - (bound - kDeadHolderWithin);
  shared_.report.longest_for_dead_holder = std::max(shared_.report.longest_for_dead_holder, took);
}

void Cluster::check_that_nothing_is_held() {
  for (auto& node : nodes_) {
    auto* process = node.current();
    if (!process) continue;
    if (process->signer->attempts_in_flight() != 0) shared_.violation("attempts are still in flight in " + node.id);
  }
  for (const auto& [key, task] : duties_) {
    const auto* row = shared_.tables->row(memory::key_of(key));
    const bool fenced = row && row->node_id != "published" && LockToken(row->lock_token).kind() == TokenKind::kFenced;
    if (!fenced || row->status != DutyStatus::kSigning || left_signing_.contains(key)) continue;
    // A claim that is carried out twice may stand where a signed row was deleted; no node may sign there any more.
    if (!shared_.tables->view(key).watermarks.allow(key.slot)) continue;
    shared_.violation("a row is still held by " + row->node_id, key);
  }
}

Report Cluster::run() {
  attempt::step_watcher = [this](const auto& facts, const auto& from, const auto& event, const auto& step) {
    watch(facts, from, event, step);
  };
  const std::size_t regular = static_cast<std::size_t>(settings_.nodes);
  for (std::size_t node = 0; node < regular; ++node) start_process(node);
  if (settings_.twin)
    time_.at(time_.now() + chance_.between(milliseconds(0), 2 * kSlot), [this, regular] { start_process(regular); });
  supervise();
  run_until(time_.now() + milliseconds(3'000));
  for (std::uint64_t slot = 1; slot <= static_cast<std::uint64_t>(settings_.slots) && shared_.report.violations.empty();
       ++slot) {
    begin_slot(slot);
    make_trouble(slot);
    run_until(time_.now() + kSlot);
  }
  shared_.is_calm = true;
  if (settings_.twin && nodes_.back().current()) nodes_.back().current()->life->kill();
  // As long as what was sent before is carried out.
  run_until(time_.now() + milliseconds(25'000));
  if (shared_.report.violations.empty()) wait_until_healthy();
  if (shared_.report.violations.empty()) prove_that_duties_can_be_signed();
  if (shared_.report.violations.empty()) prove_that_a_dead_holder_is_replaced();
  if (shared_.report.violations.empty()) check_that_nothing_is_held();
  attempt::step_watcher = nullptr;
  ended_ = true;
  for (auto& node : nodes_) {
    for (auto& process : node.lives) {
      if (!process->journaled) continue;
      shared_.report.refused_by_journal += process->journaled->status().refused;
      if (auto* guard = process->journaled->guard()) shared_.report.holds += guard->status().holds_begun;
    }
  }
  const auto report = shared_.report;
  for (auto& node : nodes_) {
    for (auto& process : node.lives) process->life->kill();
  }
  // Lets every coroutine end, so that nothing of the run outlives it; what happens now is not part of it.
  for (int i = 0; i < 200'000 && time_.step(); ++i) {
  }
  return report;
}

}  // namespace

/// Without any of the faults that can be switched off.
Settings undisturbed(std::uint64_t seed) {
  Settings settings{.seed = seed};
  for (const auto& [name, probability] : kProbabilities) settings.*probability = 0;
  settings.sign_first = 0.5;
  return settings;
}

Report run(const Settings& settings) {
  auto cluster = std::make_unique<Cluster>(settings);
  return cluster->run();
}

void Report::add(const Report& other) {
  violations.insert(violations.end(), other.violations.begin(), other.violations.end());
  for (const auto& [name, count] : kCounts) this->*count += other.*count;
  failovers += other.failovers;
  forbidden += other.forbidden;
  most_steps = std::max(most_steps, other.most_steps);
  dead_holders += other.dead_holders;
  longest_for_dead_holder = std::max(longest_for_dead_holder, other.longest_for_dead_holder);
  coverage.add(other.coverage);
  digest = digest * 31 + other.digest;
}

std::string Report::describe() const {
  std::string text;
  for (const auto& [name, count] : kCounts) {
    text += (text.empty() ? "" : ", ") + std::to_string(this->*count) + " " + std::string(name);
  }
  return text + "; at most " + std::to_string(most_steps) + " steps of one attempt; other data than that of " +
         std::to_string(dead_holders) + " dead holders within " + std::to_string(longest_for_dead_holder.count()) +
         " ms";
}

Settings shrunk(Settings settings) {
  const auto still_fails = [](const Settings& candidate) { return !run(candidate).violations.empty(); };
  for (bool smaller = true; smaller;) {
    smaller = false;
    const auto accept = [&](auto change) {
      Settings candidate = settings;
      change(candidate);
      if (!still_fails(candidate)) return;
      settings = candidate;
      smaller = true;
    };
    for (const auto& [name, probability] : kProbabilities) {
      if (settings.*probability > 0) accept([&](Settings& it) { it.*probability = 0; });
    }
    for (const auto size : {&Settings::slots, &Settings::validators, &Settings::nodes}) {
      if (settings.*size > 1) accept([&](Settings& it) { --(it.*size); });
    }
    for (const auto part : {&Settings::twin, &Settings::unfenced_peer, &Settings::journal, &Settings::guard}) {
      // A store that forgets needs both: without them it is another violation.
      const bool is_needed = part == &Settings::journal || part == &Settings::guard;
      if (is_needed && settings.failover > 0) continue;
      if (settings.*part) accept([&](Settings& it) { it.*part = false; });
    }
  }
  return settings;
}

Settings lost_replies_only(std::uint64_t seed) {
  auto settings = undisturbed(seed);
  settings.unfenced_peer = false;
  settings.trouble = 0.2;
  settings.other_data = settings.sign_failure = 0;
  settings.only_lost_replies = true;
  return settings;
}

Settings failing_signers_beside_a_peer(std::uint64_t seed) {
  auto settings = undisturbed(seed);
  settings.other_data = 0.8;
  settings.sign_failure = 0.5;
  return settings;
}

Settings failovers_that_forget(std::uint64_t seed) {
  auto settings = settings_for(seed);
  // Neither keeps a journal that the others wait for.
  settings.unfenced_peer = settings.twin = false;
  settings.journal = true;
  settings.failover = 0.4;
  settings.journal_failure = 0.1;
  settings.far_slot = 0.2;
  settings.other_data = 0.6;
  settings.restore = 0;
  return settings;
}

Settings settings_for(std::uint64_t seed) {
  Chance chance(seed ^ 0x5eed5eed);
  Settings settings{.seed = seed};
  settings.nodes = 2 + static_cast<int>(chance.below(3));
  settings.slots = 4 + static_cast<int>(chance.below(6));
  settings.unfenced_peer = chance.happens(0.5);
  settings.twin = chance.happens(0.2);
  settings.trouble = chance.happens(0.2) ? 0.0 : 0.01 + 0.02 * static_cast<double>(chance.below(10));
  settings.drift = chance.happens(0.5) ? 0.0 : 0.05;
  // Where it is long, nothing may depend on the clean-up of stuck rows.
  settings.stuck_age = chance.happens(0.5) ? milliseconds(40'000) : milliseconds(600'000);
  if (chance.happens(0.4)) settings.attempt_timeout = milliseconds(4'000);
  // A published node obeys no watermark, so nothing can be restored under it, and retention beside it trusts the clock.
  if (settings.unfenced_peer) settings.restore = (chance.happens(0.5) ? settings.pruning : settings.clock_jump) = 0;
  settings.journal = chance.happens(0.5);
  if (settings.journal) settings.journal_failure = 0.1;
  return settings;
}

}  // namespace hasigner::simulation
