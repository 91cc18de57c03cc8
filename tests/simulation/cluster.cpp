#include "tests/simulation/cluster.hpp"

#include <algorithm>
#include <functional>
#include <set>

#include "hasigner/protection/async.hpp"
#include "hasigner/protection/ha_signer.hpp"
#include "hasigner/store/memory/memory_tables.hpp"
#include "tests/simulation/sim_time.hpp"

namespace hasigner::simulation {

namespace {

using memory::MemoryTables;

constexpr milliseconds kSlot{12'000};

EthAddress address_of(std::uint8_t group, std::uint8_t number) {
  EthAddress address;
  address.bytes().fill(group);
  address.bytes()[19] = number;
  return address;
}

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

/// A signature that shows what it signs.
Signature signature_of(const MessageHash& hash) {
  Signature signature;
  std::ranges::copy(hash.bytes(), signature.bytes().begin());
  signature.bytes()[64] = 27;
  return signature;
}

MessageHash signed_by(const Signature& signature) {
  MessageHash hash;
  std::copy_n(signature.bytes().begin(), MessageHash::kSize, hash.bytes().begin());
  return hash;
}

/// What an attempt asked for; shared by the driver's retries.
struct Task {
  Duty duty;
  SigningContext context;
  int tries_left = 12;
};

class Cluster;

/// The store as a node reaches it: every request is carried out later than it is sent and answered later than that, and
/// requests, replies and the store itself can be lost.
class FaultyStore final : public Store {
 public:
  FaultyStore(Cluster& cluster, std::shared_ptr<Life> life) : cluster_(cluster), life_(std::move(life)) {}

  [[nodiscard]] StoreCapabilities capabilities() const override {
    return {.signed_claims = true, .parallel_batches = 2};
  }
  StoreBatch<ClaimOutcome> claim(NodeId node_id, std::vector<DutyClaim> claims, MonotonicTime deadline) override;
  StoreBatch<SignedClaimOutcome> claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                              MonotonicTime deadline) override;
  StoreBatch<DutyView> look(std::vector<DutyKey> keys, MonotonicTime deadline) override;
  StoreBatch<RowOutcome> take_over(NodeId node_id, std::vector<Takeover> takeovers, MonotonicTime deadline) override;
  StoreBatch<RowOutcome> record(std::vector<DutyRecord> records, MonotonicTime deadline) override;
  asio::awaitable<StoreResult<ReleaseReply>> release(std::vector<DutyRelease> releases,
                                                     MonotonicTime deadline) override;
  StoreBatch<bool> confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                  MonotonicTime deadline) override;
  asio::awaitable<StoreResult<RegistrationOutcome>> register_node(NodeRegistration registration,
                                                                  MonotonicTime deadline) override;
  asio::awaitable<StoreResult<bool>> renew(NodeRegistration registration, MonotonicTime deadline) override;
  asio::awaitable<StoreResult<void>> end_lease(NodeRegistration registration, MonotonicTime deadline) override;
  asio::awaitable<StoreResult<RemovalOutcome>> remove(RemovalRequest request, MonotonicTime deadline) override;
  asio::awaitable<void> close() override { co_return; }

 private:
  /// Whether a request that is carried out late can make rows appear after a release.
  enum class MakesRows : std::uint8_t { kNo, kYes };

  /// Sends a request whose parts the server carries out one after the other; the reply is what the last part gave.
  template <class T>
  asio::awaitable<StoreResult<T>> send(std::vector<std::function<T(T)>> parts, MonotonicTime deadline,
                                       MakesRows makes_rows);

  template <class T>
  StoreBatch<T> send_batch(std::vector<std::function<std::vector<T>(std::vector<T>)>> parts, MonotonicTime deadline,
                           MakesRows makes_rows);

  Cluster& cluster_;
  std::shared_ptr<Life> life_;
  std::shared_ptr<int> in_limbo_ =
      std::make_shared<int>(0);  ///< claims that were given up and may still be carried out
};

struct Process {
  std::shared_ptr<Life> life;
  std::shared_ptr<HaSigner> signer;
  bool starting = true;
};

class Cluster {
 public:
  explicit Cluster(const Settings& settings);
  Report run();

  SimTime time;
  Chance chance;
  Settings settings;
  Life tables_clock{time, chance};
  MemoryTables tables{tables_clock};
  Report report;
  bool kind = false;
  MonotonicTime outage_until{};

  void violation(const std::string& what);
  /// Notes what was done to a duty's row, for the report of a traced run.
  void trace(const DutyKey& key, std::string what);
  void trace_removal(const RemovalRequest& request);
  /// No commit has waited for these claims: a crash of the store may take them back.
  void remember_undurable(const std::vector<DutyClaim>& claims);
  /// A signature has left its signer.
  void released(const Duty& duty, const Signature& signature, const std::string& by);
  /// Compares the row with what was recorded for it before: a signed row must never change.
  void check_row(const DutyKey& key);
  /// A watermark lets the signed claim pass if that is what is sabotaged.
  void apply_sabotage(const SignedClaim& claim, SignedClaimOutcome& outcome);
  [[nodiscard]] bool in_trouble() { return !kind && chance.happens(settings.trouble); }
  [[nodiscard]] bool out() const { return !kind && time.now() < outage_until; }

 private:
  friend class CountingMetrics;

  void start_process(std::size_t node);
  static asio::awaitable<void> start_signer(Cluster& cluster, std::size_t node, std::shared_ptr<Life> life,
                                            std::shared_ptr<HaSigner> signer);
  static asio::awaitable<void> pursue(Cluster& cluster, std::size_t node, std::shared_ptr<Life> life,
                                      std::shared_ptr<HaSigner> signer, Task task);
  void begin_slot(std::uint64_t slot);
  void make_trouble(std::uint64_t slot);
  void peer_begins(Task task);
  void peer_polls(Task task, MonotonicTime give_up_at);
  void delete_signed_rows(std::uint64_t before_slot);
  void lose_claims();
  SignFunction sign_function(std::shared_ptr<Life> life);
  void release_taken_over(const SignRequest& request);
  void run_until(MonotonicTime end);
  void prove_that_duties_can_be_signed();
  void check_that_nothing_is_held();

  struct Node {
    std::string id;
    std::vector<std::shared_ptr<Process>> lives;
    [[nodiscard]] Process* current() {
      return lives.empty() || !lives.back()->life->alive() ? nullptr : lives.back().get();
    }
  };
  std::vector<Node> nodes_;
  std::map<DutyKey, std::vector<std::string>> history_;
  std::map<DutyKey, std::set<MessageHash>> released_;
  std::map<DutyKey, std::string> recorded_;  ///< message hash of rows that were seen signed
  std::map<DutyKey, Task> duties_;
  std::set<std::string> undurable_;  ///< tokens of claims
  std::set<DutyKey> unfenced_;       ///< duties on which the unfenced peer has worked
};

class CountingMetrics final : public Metrics {
 public:
  explicit CountingMetrics(Report& report) : report_(report) {}
  void count(Event event, DutyType) override {
    if (event == Event::kTakenOver) ++report_.take_overs;
    if (event == Event::kReplaced) ++report_.replacements;
    if (event == Event::kLockLost) ++report_.lost_locks;
    if (event == Event::kInDoubt) ++report_.in_doubt;
  }

 private:
  Report& report_;
};

// --- the store with faults

template <class T>
asio::awaitable<StoreResult<T>> FaultyStore::send(std::vector<std::function<T(T)>> parts, MonotonicTime deadline,
                                                  MakesRows makes_rows) {
  life_->require_alive();
  auto& time = cluster_.time;
  auto& chance = cluster_.chance;
  auto arrival = std::make_shared<Arrival<StoreResult<T>>>(time.io.get_executor());
  auto carried_out_at = time.now() + chance.between(milliseconds(0), milliseconds(3));
  const auto give = [life = life_, arrival](StoreResult<T> result) {
    life->run_inside([arrival, result]() mutable { arrival->set(std::move(result)); });
  };
  const auto fail = [&](StoreErrorKind kind, milliseconds after) {
    time.at(time.now() + after, [give, kind] { give(std::unexpected(StoreError{kind, "simulated"})); });
  };
  bool carried_out = true;
  bool answered = true;
  if (cluster_.out()) {
    carried_out = answered = false;
    if (chance.happens(0.7)) fail(StoreErrorKind::kUnavailable, chance.between(milliseconds(1), milliseconds(50)));
  } else if (cluster_.in_trouble()) {
    switch (cluster_.settings.only_lost_replies ? 2 : chance.below(5)) {
      case 0:  // refused at once
        carried_out = answered = false;
        fail(StoreErrorKind::kUnavailable, milliseconds(1));
        break;
      case 1:  // request lost; sometimes noticed, sometimes only at the deadline
        carried_out = answered = false;
        if (chance.happens(0.5)) fail(StoreErrorKind::kInDoubt, chance.between(milliseconds(1), milliseconds(300)));
        break;
      case 2:  // reply lost
        answered = false;
        if (cluster_.settings.only_lost_replies || chance.happens(0.5)) {
          fail(StoreErrorKind::kInDoubt, chance.between(milliseconds(4), milliseconds(300)));
        }
        break;
      case 3:  // given up by the client, carried out by the server much later
        answered = false;
        carried_out_at += chance.between(milliseconds(50), milliseconds(20'000));
        fail(StoreErrorKind::kInDoubt, chance.between(milliseconds(1), milliseconds(100)));
        break;
      case 4:  // slow
        carried_out_at += chance.between(milliseconds(5), milliseconds(4'000));
        break;
    }
  }
  if (carried_out) {
    const auto limbo = in_limbo_;
    const bool late = makes_rows == MakesRows::kYes && !answered;
    if (late) ++*limbo;
    auto state = std::make_shared<T>();
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const bool last = i + 1 == parts.size();
      time.at(carried_out_at, [state, part = parts[i], last, late, limbo, answered, give, &time, &chance] {
        *state = part(std::move(*state));
        if (!last) return;
        if (late) --*limbo;
        if (answered)
          time.at(time.now() + chance.between(milliseconds(0), milliseconds(3)),
                  [give, state] { give(std::move(*state)); });
      });
      carried_out_at += chance.between(milliseconds(0), milliseconds(2));
    }
  }
  auto reply = co_await Arrival<StoreResult<T>>::wait(arrival, *life_, deadline);
  life_->require_alive();
  if (!reply) {
    // The deadline passed in flight: the server may still carry it out.
    co_return std::unexpected(StoreError{StoreErrorKind::kInDoubt, "simulated silence"});
  }
  co_return std::move(*reply);
}

template <class T>
StoreBatch<T> FaultyStore::send_batch(std::vector<std::function<std::vector<T>(std::vector<T>)>> parts,
                                      MonotonicTime deadline, MakesRows makes_rows) {
  auto outcomes = co_await send<std::vector<T>>(std::move(parts), deadline, makes_rows);
  if (!outcomes) co_return std::unexpected(outcomes.error());
  co_return std::move(*outcomes);
}

StoreBatch<ClaimOutcome> FaultyStore::claim(NodeId node_id, std::vector<DutyClaim> claims, MonotonicTime deadline) {
  using Outcomes = std::vector<ClaimOutcome>;
  auto& cluster = cluster_;
  if (cluster.settings.sabotage == Sabotage::kNewTokenOnRetry) {
    // As a claim that draws its token anew each time it is sent.
    for (auto& claim : claims) {
      std::array<std::uint8_t, 7> random{};
      life_->fill(random);
      claim.token = LockToken::make(*claim.token.incarnation(), TokenKind::kFenced, random);
    }
  }
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back([&cluster, node_id, claims](Outcomes) {
    cluster.tables.insert_claims(node_id, claims);
    cluster.remember_undurable(claims);
    for (const auto& claim : claims)
      cluster.trace(claim.duty.key, "claim " + claim.token.str().substr(0, 18) + " " + node_id.str());
    return Outcomes{};
  });
  parts.push_back([&cluster, claims](Outcomes) {
    Outcomes outcomes;
    for (const auto& claim : claims) {
      outcomes.push_back(ClaimOutcome{.token = claim.token, .view = cluster.tables.view(claim.duty.key)});
      if (cluster.settings.sabotage == Sabotage::kNoWatermarkCondition) outcomes.back().view.watermarks = {};
    }
    return outcomes;
  });
  auto reply = co_await send_batch<ClaimOutcome>(std::move(parts), deadline, MakesRows::kYes);
  co_return reply;
}

StoreBatch<SignedClaimOutcome> FaultyStore::claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                                         MonotonicTime deadline) {
  using Outcomes = std::vector<SignedClaimOutcome>;
  auto& cluster = cluster_;
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back([&cluster, node_id, claims](Outcomes) {
    Outcomes outcomes;
    for (const auto& claim : claims) {
      auto outcome = cluster.tables.claim_signed(node_id, claim);
      cluster.apply_sabotage(claim, outcome);
      cluster.trace(claim.duty.key, "signed claim " + claim.token.str().substr(0, 18) + " " + node_id.str() +
                                        (outcome.outcome == RowOutcome::kApplied ? " applied" : " not matched"));
      cluster.check_row(claim.duty.key);
      outcomes.push_back(std::move(outcome));
    }
    return outcomes;
  });
  auto reply = co_await send_batch<SignedClaimOutcome>(std::move(parts), deadline, MakesRows::kYes);
  co_return reply;
}

StoreBatch<DutyView> FaultyStore::look(std::vector<DutyKey> keys, MonotonicTime deadline) {
  using Outcomes = std::vector<DutyView>;
  auto& cluster = cluster_;
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back([&cluster, keys](Outcomes) {
    Outcomes outcomes;
    for (const auto& key : keys) outcomes.push_back(cluster.tables.view(key));
    return outcomes;
  });
  auto reply = co_await send_batch<DutyView>(std::move(parts), deadline, MakesRows::kNo);
  co_return reply;
}

StoreBatch<RowOutcome> FaultyStore::take_over(NodeId node_id, std::vector<Takeover> takeovers, MonotonicTime deadline) {
  using Outcomes = std::vector<RowOutcome>;
  auto& cluster = cluster_;
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back([&cluster, node_id, takeovers](Outcomes) {
    Outcomes outcomes;
    for (const auto& takeover : takeovers) {
      outcomes.push_back(cluster.tables.take_over(node_id, takeover));
      cluster.trace(takeover.duty.key,
                    std::string(takeover.kind == TakeoverKind::kSameData ? "take over " : "replace ") +
                        takeover.token.str().substr(0, 18));
      cluster.check_row(takeover.duty.key);
    }
    return outcomes;
  });
  auto reply = co_await send_batch<RowOutcome>(std::move(parts), deadline, MakesRows::kYes);
  co_return reply;
}

StoreBatch<RowOutcome> FaultyStore::record(std::vector<DutyRecord> records, MonotonicTime deadline) {
  using Outcomes = std::vector<RowOutcome>;
  auto& cluster = cluster_;
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back([&cluster, records](Outcomes) {
    Outcomes outcomes;
    for (const auto& record : records) {
      auto outcome = cluster.tables.record(record);
      if (cluster.settings.sabotage == Sabotage::kNoFence) outcome = RowOutcome::kApplied;
      if (cluster.settings.sabotage == Sabotage::kNoWatermarkCondition && outcome == RowOutcome::kNotMatched) {
        auto* row = cluster.tables.row(memory::key_of(record.key));
        if (row && row->lock_token == record.token.str() && row->status == DutyStatus::kSigning) {
          row->status = DutyStatus::kSigned;
          row->signature = record.signature.to_string();
          outcome = RowOutcome::kApplied;
        }
      }
      outcomes.push_back(outcome);
      cluster.trace(record.key, "record " + record.token.str().substr(0, 18));
      cluster.check_row(record.key);
    }
    return outcomes;
  });
  auto reply = co_await send_batch<RowOutcome>(std::move(parts), deadline, MakesRows::kNo);
  co_return reply;
}

asio::awaitable<StoreResult<ReleaseReply>> FaultyStore::release(std::vector<DutyRelease> releases,
                                                                MonotonicTime deadline) {
  auto& cluster = cluster_;
  std::vector<std::function<ReleaseReply(ReleaseReply)>> parts;
  parts.push_back([&cluster, releases, limbo = in_limbo_](ReleaseReply) {
    ReleaseReply reply;
    // Asked before the deletion: whatever has ended by now, the deletion sees.
    reply.settled = *limbo == 0;
    for (const auto& release : releases) {
      reply.outcomes.push_back(cluster.tables.release(release));
      cluster.trace(release.key, "release " + release.token.str().substr(0, 18));
      cluster.check_row(release.key);
    }
    return reply;
  });
  auto reply = co_await send<ReleaseReply>(std::move(parts), deadline, MakesRows::kNo);
  co_return reply;
}

StoreBatch<bool> FaultyStore::confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                             MonotonicTime deadline) {
  using Outcomes = std::vector<bool>;
  auto& cluster = cluster_;
  std::vector<std::function<Outcomes(Outcomes)>> parts;
  parts.push_back(
      [&cluster, node_id, signatures](Outcomes) { return cluster.tables.confirm_stored(node_id, signatures); });
  auto reply = co_await send_batch<bool>(std::move(parts), deadline, MakesRows::kNo);
  co_return reply;
}

asio::awaitable<StoreResult<RegistrationOutcome>> FaultyStore::register_node(NodeRegistration registration,
                                                                             MonotonicTime deadline) {
  auto& cluster = cluster_;
  std::vector<std::function<RegistrationOutcome(RegistrationOutcome)>> parts;
  parts.push_back([&cluster, registration](RegistrationOutcome) { return cluster.tables.register_node(registration); });
  auto reply = co_await send<RegistrationOutcome>(std::move(parts), deadline, MakesRows::kNo);
  co_return reply;
}

asio::awaitable<StoreResult<bool>> FaultyStore::renew(NodeRegistration registration, MonotonicTime deadline) {
  auto& cluster = cluster_;
  std::vector<std::function<bool(bool)>> parts;
  parts.push_back([&cluster, registration](bool) { return cluster.tables.renew(registration); });
  auto reply = co_await send<bool>(std::move(parts), deadline, MakesRows::kNo);
  co_return reply;
}

asio::awaitable<StoreResult<void>> FaultyStore::end_lease(NodeRegistration registration, MonotonicTime deadline) {
  auto& cluster = cluster_;
  std::vector<std::function<Unit(Unit)>> parts;
  parts.push_back([&cluster, registration](Unit) {
    cluster.tables.end_lease(registration);
    return Unit{};
  });
  auto reply = co_await send<Unit>(std::move(parts), deadline, MakesRows::kNo);
  if (!reply) co_return std::unexpected(reply.error());
  co_return StoreResult<void>{};
}

asio::awaitable<StoreResult<RemovalOutcome>> FaultyStore::remove(RemovalRequest request, MonotonicTime deadline) {
  auto& cluster = cluster_;
  std::vector<std::function<RemovalOutcome(RemovalOutcome)>> parts;
  parts.push_back([&cluster, request](RemovalOutcome) {
    const auto outcome = cluster.tables.remove(request);
    if (cluster.settings.trace && outcome.removed > 0) cluster.trace_removal(request);
    return outcome;
  });
  auto reply = co_await send<RemovalOutcome>(std::move(parts), deadline, MakesRows::kNo);
  co_return reply;
}

// --- what must hold

void Cluster::violation(const std::string& what) {
  if (report.violations.size() < 20) report.violations.push_back("seed " + std::to_string(settings.seed) + ": " + what);
}

void Cluster::trace(const DutyKey& key, std::string what) {
  if (!settings.trace) return;
  const auto ms = std::chrono::duration_cast<milliseconds>(time.now().time_since_epoch()).count() % 1'000'000;
  auto line = std::to_string(ms) + " " + std::move(what) + " -> ";
  if (const auto* row = tables.row(memory::key_of(key))) {
    line += row->node_id + " " + row->lock_token.substr(0, 18) +
            (row->status == DutyStatus::kSigned ? " signed " : " signing ") +
            row->message_hash.substr(row->message_hash.size() - 2);
  } else {
    line += "no row";
  }
  history_[key].push_back(line);
}

void Cluster::trace_removal(const RemovalRequest& request) {
  for (const auto& [key, task] : duties_) {
    if (!tables.row(memory::key_of(key)))
      trace(key, "removal " + std::to_string(static_cast<int>(request.what)) + " by " + request.node_id.str());
  }
}

void Cluster::released(const Duty& duty, const Signature& signature, const std::string& by) {
  const auto hash = signed_by(signature);
  trace(duty.key, by + " released " + hash.to_string().substr(64));
  ++report.released;
  for (const auto byte : hash.bytes()) report.digest = report.digest * 1099511628211ULL + byte;
  report.digest = report.digest * 1099511628211ULL + static_cast<std::uint64_t>(time.now().time_since_epoch().count());
  auto& hashes = released_[duty.key];
  if (hashes.insert(hash).second && hashes.size() > 1) {
    violation("two messages released for " + duty.key.describe() + ", the second by " + by);
    for (const auto& line : history_[duty.key]) report.violations.push_back(line);
  }
  if (by == "peer") return;
  const auto view = tables.view(duty.key);
  const bool recorded = view.row && view.row->status == DutyStatus::kSigned && view.row->message_hash == hash;
  // A claim that the watermark is about to refuse may stand there for a moment.
  const bool no_signed_row = !view.row || view.row->status == DutyStatus::kSigning;
  const bool deleted = no_signed_row && view.watermarks.low && duty.key.slot <= *view.watermarks.low;
  if (!recorded && !deleted) {
    violation("released without a record: " + duty.key.describe() + " by " + by);
    for (const auto& line : history_[duty.key]) report.violations.push_back(line);
  }
}

void Cluster::check_row(const DutyKey& key) {
  const auto* row = tables.row(memory::key_of(key));
  const auto before = recorded_.find(key);
  if (before != recorded_.end() &&
      (!row || row->status != DutyStatus::kSigned || row->message_hash != before->second)) {
    violation("a signed row was changed: " + key.describe());
  }
  if (row && row->status == DutyStatus::kSigned) recorded_[key] = row->message_hash;
}

// --- the nodes

Cluster::Cluster(const Settings& settings_in) : chance(settings_in.seed), settings(settings_in) {
  for (int i = 0; i < settings.nodes; ++i) nodes_.push_back({"node-" + std::to_string(i), {}});
  if (settings.twin) nodes_.push_back({"node-0", {}});
}

void Cluster::start_process(std::size_t node) {
  auto process = std::make_shared<Process>();
  process->life = std::make_shared<Life>(time, chance);
  auto config = SignerConfig{.node_id = *NodeId::parse(nodes_[node].id), .rollup = address_of(0xaa, 1)};
  config.signer_call_timeout = milliseconds(6'000);
  config.attempt_timeout = milliseconds(20'000);
  config.max_stuck_duties_age = milliseconds(40'000);
  config.store_call_timeout = milliseconds(3'000);
  Ports ports{.executor = time.io.get_executor(),
              .clock = process->life,
              .random = process->life,
              .store = std::make_shared<FaultyStore>(*this, process->life),
              .metrics = std::make_shared<CountingMetrics>(report)};
  process->signer = std::make_shared<HaSigner>(config, ports);
  nodes_[node].lives.push_back(process);
  asio::co_spawn(time.io, start_signer(*this, node, process->life, process->signer), asio::detached);
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
      const bool recent = cluster.kind || key.slot.value() + 1 >= cluster.duties_.rbegin()->first.slot.value();
      if (!recent || cluster.chance.happens(0.5)) continue;
      asio::co_spawn(cluster.time.io, pursue(cluster, node, life, signer, task), asio::detached);
    }
    co_return;
  }
  // As a supervisor would: the process ends and is started again.
  life->kill();
  cluster.time.at(cluster.time.now() + milliseconds(1'000), [&cluster, node, life] {
    if (cluster.nodes_[node].lives.back()->life == life) cluster.start_process(node);
  });
}

SignFunction Cluster::sign_function(std::shared_ptr<Life> life) {
  struct Signing {
    static asio::awaitable<SignOutcome> run(Cluster& cluster, std::shared_ptr<Life> life, SignRequest request) {
      auto length = cluster.chance.between(milliseconds(0), milliseconds(40));
      bool fails = false;
      if (!cluster.kind && cluster.chance.happens(cluster.settings.sign_failure)) {
        fails = cluster.chance.happens(0.5);
        length = cluster.chance.between(milliseconds(50), milliseconds(9'000));
      }
      co_await sleep_until(cluster.time.io.get_executor(), *life, life->now() + length);
      life->require_alive();
      if (fails && cluster.settings.sabotage == Sabotage::kReleaseTakenOverRow) cluster.release_taken_over(request);
      if (fails) co_return std::unexpected(std::string("simulated failure"));
      co_return signature_of(request.message_hash);
    }
  };
  return [this, life](SignRequest request) { return Signing::run(*this, life, std::move(request)); };
}

void Cluster::apply_sabotage(const SignedClaim& claim, SignedClaimOutcome& outcome) {
  const bool is_refused_by_watermark = outcome.outcome == RowOutcome::kNotMatched && !outcome.view.row &&
                                       !outcome.view.watermarks.allow(claim.duty.key.slot);
  if (settings.sabotage != Sabotage::kNoWatermarkCondition || !is_refused_by_watermark) return;
  auto row = signing_row(claim.duty, *NodeId::parse("sabotage"), claim.token, tables.now());
  row.status = DutyStatus::kSigned;
  row.signature = claim.signature.to_string();
  row.completed_at = tables.now();
  tables.insert_row(std::move(row));
  outcome = {.outcome = RowOutcome::kApplied, .view = {}};
}

void Cluster::release_taken_over(const SignRequest& request) {
  const auto duty = make_duty(address_of(0xaa, 1), request.validator, request.message_hash, request.context);
  const auto row_key = memory::key_of(duty->key);
  const auto* row = tables.row(row_key);
  const bool taken_over = row && row->status == DutyStatus::kSigning &&
                          row->message_hash == request.message_hash.to_string() &&
                          LockToken(row->lock_token).kind() == TokenKind::kTakenOver;
  if (taken_over) tables.delete_row(row_key);
}

/// What a validator client does: asks, and asks again after errors that are not refusals.
asio::awaitable<void> Cluster::pursue(Cluster& cluster, std::size_t node, std::shared_ptr<Life> life,
                                      std::shared_ptr<HaSigner> signer, Task task) {
  const auto name = cluster.nodes_[node].id;
  try {
    for (; task.tries_left > 0 && life->alive(); --task.tries_left) {
      ++cluster.report.attempts;
      const auto began = life->now();
      const SignRequest request{task.duty.key.validator, task.duty.message_hash, task.context};
      auto sign_function = cluster.sign_function(life);
      const auto effects =
          cluster.chance.happens(cluster.settings.sign_first) ? SignEffects::kNone : SignEffects::kOutside;
      auto signing = signer->sign_with_protection(request, sign_function, effects);
      auto result = co_await std::move(signing);
      if (!life->alive()) co_return;
      if (cluster.settings.only_lost_replies && life->now() > began + milliseconds(2'500)) {
        cluster.violation("an attempt was held up by nothing but lost replies: " + task.duty.key.describe());
      }
      if (result) {
        if (signed_by(*result) != task.duty.message_hash) cluster.violation("the signature of other data came back");
        cluster.released(task.duty, *result, name);
        co_return;
      }
      if (auto* already = std::get_if<DutyAlreadySigned>(&result.error())) {
        if (already->signature) {
          ++cluster.report.confirmed_again;
          cluster.released(task.duty, *already->signature, name + " (confirmed_again)");
        }
        if (already->signature || already->signed_by != kUnknownTimeout) co_return;
      }
      if (std::holds_alternative<SlashingProtection>(result.error()) ||
          std::holds_alternative<OutsideWatermark>(result.error()))
        co_return;
      if (std::holds_alternative<NodeIdTaken>(result.error())) {
        if (!life->alive()) co_return;
        life->kill();
        cluster.time.at(cluster.time.now() + milliseconds(500), [&cluster, node, life] {
          if (cluster.nodes_[node].lives.back()->life == life) cluster.start_process(node);
        });
        co_return;
      }
      co_await sleep_until(cluster.time.io.get_executor(), *life,
                           life->now() + cluster.chance.between(milliseconds(50), milliseconds(800)));
    }
  } catch (const std::exception&) {
    co_return;  // killed
  }
}

// --- the node of the published package: no fence, and it never asks before it releases

void Cluster::peer_begins(Task task) {
  peer_polls(task, time.now() + milliseconds(3'000));
}

void Cluster::peer_polls(Task task, MonotonicTime give_up_at) {
  const auto row_key = memory::key_of(task.duty.key);
  auto* row = tables.row(row_key);
  if (row && row->status == DutyStatus::kSigned) return;
  if (row) {
    if (time.now() < give_up_at)
      time.at(time.now() + milliseconds(100), [this, task, give_up_at] { peer_polls(task, give_up_at); });
    return;
  }
  std::array<std::uint8_t, 16> token{};
  tables_clock.fill(token);
  auto mine = signing_row(task.duty, *NodeId::parse("published"), LockToken(to_hex(token)), tables.now());
  tables.insert_row(mine);
  trace(task.duty.key, "peer inserts");
  const bool dies = chance.happens(0.2);
  if (dies) return;
  // It may take longer than others wait, but not as long as the stuck age.
  const auto length = chance.happens(0.4) ? chance.between(milliseconds(2'000), milliseconds(20'000))
                                          : chance.between(milliseconds(1), milliseconds(50));
  const bool fails = chance.happens(0.1);
  time.at(time.now() + length, [this, task, mine, fails, row_key] {
    auto* now = tables.row(row_key);
    const bool still_mine = now && now->lock_token == mine.lock_token && now->status == DutyStatus::kSigning;
    if (fails) {
      if (still_mine) tables.delete_row(row_key);
      return;
    }
    if (still_mine) {
      now->status = DutyStatus::kSigned;
      now->signature = signature_of(task.duty.message_hash).to_string();
      now->completed_at = tables.now();
    }
    check_row(task.duty.key);
    released(task.duty, signature_of(task.duty.message_hash), "peer");
  });
}

// --- the course of a run

void Cluster::begin_slot(std::uint64_t slot) {
  for (int v = 0; v < settings.validators; ++v) {
    for (const auto type : kProtectedDutyTypes) {
      if (!chance.happens(0.6)) continue;
      SigningContext context{
          .duty_type = type, .slot = *Slot::from(slot), .block_number = {}, .checkpoint_number = {}, .block_index = {}};
      if (type == DutyType::kBlockProposal) context.block_index = static_cast<std::int64_t>(chance.below(2));
      const auto validator = address_of(0xbb, static_cast<std::uint8_t>(v + 1));
      const auto base = make_duty(address_of(0xaa, 1), validator, MessageHash{}, context);
      const bool differ = chance.happens(settings.other_data);
      Task task{*base, context};
      task.duty.message_hash = hash_for(base->key, 0);
      duties_[base->key] = task;
      for (std::size_t node = 0; node < nodes_.size(); ++node) {
        if (!chance.happens(0.85)) continue;
        Task own = task;
        if (differ) own.duty.message_hash = hash_for(base->key, chance.below(3));
        const auto start = time.now() + chance.between(milliseconds(0), milliseconds(chance.happens(0.5) ? 5 : 6'000));
        time.at(start, [this, node, own] {
          auto* process = nodes_[node].current();
          if (!process || process->starting) return;
          asio::co_spawn(time.io, pursue(*this, node, process->life, process->signer, own), asio::detached);
        });
      }
      if (settings.unfenced_peer && chance.happens(0.4)) {
        Task own = task;
        if (differ) own.duty.message_hash = hash_for(base->key, chance.below(3));
        unfenced_.insert(own.duty.key);
        time.at(time.now() + chance.between(milliseconds(0), milliseconds(1'000)), [this, own] { peer_begins(own); });
      }
    }
  }
}

void Cluster::make_trouble(std::uint64_t slot) {
  const auto some_time = [&] { return time.now() + chance.between(milliseconds(0), kSlot); };
  const auto some_node = [&] { return static_cast<std::size_t>(chance.below(nodes_.size())); };
  if (chance.happens(settings.crash)) {
    time.at(some_time(), [this, node = some_node()] {
      if (auto* process = nodes_[node].current()) {
        process->life->kill();
        time.at(time.now() + chance.between(milliseconds(10), milliseconds(8'000)),
                [this, node, dead = nodes_[node].lives.back()] {
                  if (nodes_[node].lives.back() == dead) start_process(node);
                });
      }
    });
  }
  if (chance.happens(settings.pause)) {
    time.at(some_time(), [this, node = some_node()] {
      if (auto* process = nodes_[node].current())
        process->life->pause_until(time.now() + chance.between(milliseconds(100), milliseconds(15'000)));
    });
  }
  if (chance.happens(settings.outage)) {
    time.at(some_time(),
            [this] { outage_until = time.now() + chance.between(milliseconds(100), milliseconds(9'000)); });
  }
  if (chance.happens(settings.power_cut)) {
    time.at(some_time(), [this] {
      outage_until = std::max(outage_until, time.now() + chance.between(milliseconds(1), milliseconds(2'000)));
      lose_claims();
    });
  }
  if (chance.happens(settings.deletion) && slot > 3) {
    time.at(some_time(), [this, slot] { delete_signed_rows(slot - 2); });
  }
}

void Cluster::remember_undurable(const std::vector<DutyClaim>& claims) {
  for (const auto& claim : claims) {
    if (claim.token.kind() == TokenKind::kFenced) undurable_.insert(claim.token.str());
  }
}

/// As a crash of the server or a failover does to claims that nothing has been recorded after; here any of them may go,
/// whatever came after it.
void Cluster::lose_claims() {
  for (const auto& [key, task] : duties_) {
    const auto* row = tables.row(memory::key_of(key));
    const bool may_go = row && row->status == DutyStatus::kSigning && undurable_.contains(row->lock_token);
    if (!may_go || !chance.happens(0.7)) continue;
    tables.delete_row(memory::key_of(key));
    ++report.lost_claims;
    trace(key, "the claim is lost with the power");
  }
}

/// As retention does, of either kind of node, or a person with psql. Only duties that the unfenced peer is done with:
/// it obeys no watermark.
void Cluster::delete_signed_rows(std::uint64_t before_slot) {
  for (const auto& [key, task] : duties_) {
    if (key.slot.value() >= before_slot && unfenced_.contains(key)) continue;
    if (!chance.happens(0.4)) continue;
    const auto* row = tables.row(memory::key_of(key));
    if (!row || row->status != DutyStatus::kSigned) continue;
    tables.delete_row(memory::key_of(key));
    recorded_.erase(key);
    trace(key, "a row is deleted");
  }
}

void Cluster::run_until(MonotonicTime end) {
  bool reached = false;
  time.at(end, [&reached] { reached = true; });
  while (!reached && report.violations.empty() && time.step()) {
  }
}

/// The store has become kind: every duty that is not signed yet can now be signed, unless a rule says no.
void Cluster::prove_that_duties_can_be_signed() {
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    const bool twin = settings.twin && node + 1 == nodes_.size();
    auto* process = nodes_[node].current();
    // As a supervisor does that finds a node unhealthy.
    if (process && !process->starting && !process->signer->healthy()) process->life->kill();
    if (!twin && !nodes_[node].current()) start_process(node);
  }
  run_until(time.now() + milliseconds(60'000));
  std::size_t healthy = 0;
  for (auto& node : nodes_) {
    if (auto* process = node.current(); process && process->signer->healthy()) ++healthy;
  }
  if (healthy < static_cast<std::size_t>(settings.nodes))
    violation("only " + std::to_string(healthy) + " nodes came back when the store was kind");
  for (const auto& [key, task] : duties_) {
    Task again = task;
    again.tries_left = 1;
    const auto view = tables.view(key);
    if (view.row && view.row->message_hash) again.duty.message_hash = *view.row->message_hash;
    for (std::size_t node = 0; node < nodes_.size(); ++node) {
      if (auto* process = nodes_[node].current(); process && process->signer->healthy()) {
        asio::co_spawn(time.io, pursue(*this, node, process->life, process->signer, again), asio::detached);
        break;
      }
    }
  }
  run_until(time.now() + milliseconds(30'000));
  for (const auto& [key, task] : duties_) {
    ++report.duties;
    const auto view = tables.view(key);
    const bool is_signed = view.row && view.row->status == DutyStatus::kSigned;
    const bool forbidden = !view.watermarks.allow(key.slot);
    if (is_signed || released_.contains(key)) ++report.signed_duties;
    if (!is_signed && !forbidden && !released_.contains(key))
      violation("never signed although the store was kind: " + key.describe());
  }
}

void Cluster::check_that_nothing_is_held() {
  for (auto& node : nodes_) {
    auto* process = node.current();
    if (!process) continue;
    if (process->signer->attempts_in_flight() != 0) violation("attempts are still in flight in " + node.id);
  }
  for (const auto& [key, row] : tables.rows()) {
    const bool fenced = LockToken(row.lock_token).kind() == TokenKind::kFenced && row.node_id != "published";
    if (row.status == DutyStatus::kSigning && fenced) violation("a row is still held by " + row.node_id);
  }
}

Report Cluster::run() {
  const std::size_t regular = static_cast<std::size_t>(settings.nodes);
  for (std::size_t node = 0; node < regular; ++node) start_process(node);
  if (settings.twin)
    time.at(time.now() + chance.between(milliseconds(0), 2 * kSlot), [this, regular] { start_process(regular); });
  run_until(time.now() + milliseconds(3'000));
  for (std::uint64_t slot = 1; slot <= static_cast<std::uint64_t>(settings.slots) && report.violations.empty();
       ++slot) {
    begin_slot(slot);
    make_trouble(slot);
    run_until(time.now() + kSlot);
  }
  kind = true;
  if (settings.twin && nodes_.back().current()) nodes_.back().current()->life->kill();
  run_until(time.now() + milliseconds(25'000));
  if (report.violations.empty()) prove_that_duties_can_be_signed();
  if (report.violations.empty()) check_that_nothing_is_held();
  const bool failed = !report.violations.empty();
  for (auto& node : nodes_) {
    for (auto& process : node.lives) process->life->kill();
  }
  // Lets every coroutine end, so that nothing of the run outlives it; what happens now is not part of it.
  const auto final_report = report;
  for (int i = 0; i < 200'000 && time.step(); ++i) {
  }
  return failed ? final_report : report;
}

}  // namespace

Report run(const Settings& settings) {
  auto cluster = std::make_unique<Cluster>(settings);
  return cluster->run();
}

Settings lost_replies_only(std::uint64_t seed) {
  Settings settings{.seed = seed, .unfenced_peer = false, .trouble = 0.2};
  settings.crash = settings.pause = settings.outage = settings.power_cut = settings.deletion = settings.other_data =
      settings.sign_failure = 0;
  settings.only_lost_replies = true;
  return settings;
}

Settings failing_signers_beside_a_peer(std::uint64_t seed) {
  Settings settings{.seed = seed, .unfenced_peer = true, .trouble = 0, .other_data = 0.8, .sign_failure = 0.5};
  settings.crash = settings.pause = settings.outage = settings.power_cut = settings.deletion = 0;
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
  return settings;
}

}  // namespace hasigner::simulation
