#include "examples/demo/demonstration.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <random>
#include <stdexcept>

#include "examples/demo/node_process.hpp"
#include "examples/demo/report.hpp"
#include "examples/demo/tally.hpp"
#include "hasigner/hasigner.hpp"

namespace hasigner::demo {

namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kNodes = Tally::kNodes;
constexpr std::size_t kVictim = 1;
constexpr std::size_t kHanging = 2;
constexpr milliseconds kSlotLength{300};
/// The other nodes meet the locks of the node that is about to be killed.
constexpr milliseconds kBeforeKill{150};
/// Longer than the demonstration, shorter than the limit on a call of a sign function.
constexpr milliseconds kSigningUntilKilled{20'000};
/// Longer than the nodes wait before they take the same data over from each other.
constexpr milliseconds kHangingSigning{1'400};
constexpr milliseconds kReadyWithin{15'000};
constexpr milliseconds kHoldingWithin{5'000};
constexpr milliseconds kRescueWithin{20'000};
constexpr milliseconds kFinishWithin{30'000};

template <std::size_t N>
void fill_randomly(std::array<std::uint8_t, N>& bytes) {
  std::random_device random;
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
}

std::vector<SecretKey> make_keys(std::size_t count) {
  std::vector<SecretKey> keys;
  while (keys.size() < count) {
    std::array<std::uint8_t, SecretKey::kSize> bytes{};
    fill_randomly(bytes);
    auto key = SecretKey::from_bytes(bytes);
    if (key) keys.push_back(std::move(*key));
    volatile std::uint8_t* wiped = bytes.data();
    for (std::size_t i = 0; i < bytes.size(); ++i) wiped[i] = 0;
  }
  return keys;
}

std::vector<EthAddress> addresses_of(const std::vector<SecretKey>& keys) {
  std::vector<EthAddress> addresses;
  for (const auto& key : keys) addresses.push_back(address_of(key));
  return addresses;
}

/// A rollup of this run alone, so that nothing in a shared database meets its duties.
EthAddress random_rollup() {
  EthAddress rollup;
  fill_randomly(rollup.bytes());
  return rollup;
}

bool wants_colours() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && !(no_color && *no_color) &&
         !(terminal && std::string_view(terminal) == "dumb");
}

/// One node: its process in its present life, and what is known of it.
struct NodeState {
  std::unique_ptr<NodeProcess> process;
  std::string author;
  int life = 0;
  bool ready = false;
  bool stopping = false;
  std::set<std::size_t> open_slots;
  std::string failure;
};

/// The script of the demonstration, from the first process to the report.
class Demonstration {
 public:
  explicit Demonstration(Options options)
      : options_(std::move(options)),
        paint_(wants_colours()),
        keys_(make_keys(options_.validators)),
        slot_of_kill_(options_.slots / 3),
        slot_of_restart_(slot_of_kill_ + std::max<std::size_t>(1, options_.slots / 3)),
        slot_of_hang_(slot_of_restart_ + 1),
        tally_(Duties(random_rollup(), addresses_of(keys_), options_.slots), {slot_of_kill_, slot_of_hang_}) {
    if (options_.database_url.empty()) {
      folder_.emplace();
      database_url_ = "sqlite:" + folder_->path() + "/signer.db";
      if (options_.keep) folder_->keep();
    } else {
      database_url_ = options_.database_url;
    }
  }

  /// True: every check has passed.
  bool run() {
    // A database that cannot be used is reported before any node is started.
    if (!folder_) static_cast<void>(read_table());
    introduce();
    start_all();
    play_slots(0, slot_of_kill_);
    kill_one();
    play_slots(slot_of_kill_ + 1, slot_of_restart_);
    const auto& held = tally_.rescue().held;
    expect(
        kRescueWithin, [&] { return tally_.all_signed(held); },
        "the other nodes did not sign what the killed node held");
    restart_one();
    play_slots(slot_of_restart_ + 1, slot_of_hang_);
    let_one_hang();
    play_slots(slot_of_hang_ + 1, options_.slots);
    expect(
        kFinishWithin,
        [this] { return std::ranges::all_of(nodes_, [](const NodeState& s) { return s.open_slots.empty(); }); },
        "a node did not come to an end");
    stop_all();
    return report();
  }

 private:
  template <class... Parts>
  void say(const Parts&... parts) {
    if (options_.json) return;
    (std::cout << ... << parts) << '\n' << std::flush;
  }

  void introduce() {
    say(paint_.bold("Three nodes, one " + std::string(folder_ ? "SQLite file" : "database") + ", " +
                    std::to_string(options_.validators) + (options_.validators == 1 ? " validator" : " validators") +
                    ", " + std::to_string(options_.slots) + " slots: " + std::to_string(tally_.duties().count()) +
                    " duties"));
    say("Every node tries to sign every duty. For proposals each one brings data of its\n"
        "own: were two of them signed for one duty, the validator would be slashed.\n");
  }

  void start(std::size_t index) {
    auto& node = nodes_.at(index);
    node.process = std::make_unique<NodeProcess>();
    node.ready = false;
    node.author = node_name(index) + " in life " + std::to_string(++node.life);
    NodeSetup setup{.author = node.author,
                    .node_id = "demo-" + tally_.duties().rollup().to_string().substr(2, 8) + "-" + node_name(index),
                    .database_url = database_url_,
                    .rollup = tally_.duties().rollup(),
                    .slots = options_.slots,
                    .keys = {}};
    std::string text = setup_text(setup, keys_);
    node.process->send(text);
    wipe(text);
  }

  void start_all() {
    const auto began = SteadyClock::now();
    for (std::size_t i = 0; i < kNodes; ++i) start(i);
    expect(
        kReadyWithin, [this] { return std::ranges::all_of(nodes_, &NodeState::ready); }, "a node did not start");
    std::string names;
    std::string pids;
    for (std::size_t i = 0; i < kNodes; ++i) {
      names += (i > 0 ? ", " : "") + paint_.node(i, node_name(i));
      pids += (i > 0 ? ", " : "") + std::to_string(nodes_[i].process->pid());
    }
    say("  start     ", names, " (pids ", pids, ") in ",
        shown_duration(std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - began)), "\n");
    say(paint_.faint("            one digit a duty: the node that signed it; one group a validator"));
  }

  void begin_slot_on(std::size_t index, std::size_t slot_index, milliseconds signing_takes = milliseconds(0)) {
    nodes_.at(index).open_slots.insert(slot_index);
    nodes_.at(index).process->send(to_line(NodeCommand{NodeCommand::Kind::kSlot, slot_index, signing_takes}));
  }

  /// One node gets to hold every lock of a slot and is slow with the signatures; then the others come.
  void begin_slow_slot(std::size_t slow_node, std::size_t slot_index, milliseconds signing_takes) {
    begin_slot(slot_index);
    begin_slot_on(slow_node, slot_index, signing_takes);
    expect(
        kHoldingWithin, [&] { return tally_.held_by(slow_node).size() >= tally_.duties().per_slot(); },
        node_name(slow_node) + " did not get its locks");
    for (std::size_t i = 0; i < kNodes; ++i) {
      if (i != slow_node) begin_slot_on(i, slot_index);
    }
  }

  void play_slots(std::size_t from, std::size_t to) {
    for (auto slot = from; slot < to; ++slot) {
      begin_slot(slot);
      for (std::size_t i = 0; i < kNodes; ++i) {
        if (nodes_[i].ready) begin_slot_on(i, slot);
      }
      pump(SteadyClock::now() + kSlotLength, [] { return false; });
    }
  }

  void begin_slot(std::size_t slot) {
    tally_.slot_begins(slot, SteadyClock::now());
    running_slots_.insert(slot);
  }

  void kill_one() {
    auto& node = nodes_.at(kVictim);
    begin_slow_slot(kVictim, slot_of_kill_, kSigningUntilKilled);
    pump(SteadyClock::now() + kBeforeKill, [] { return false; });
    node.stopping = true;
    node.process->kill();
    const auto killed_at = SteadyClock::now();
    // What it wrote before it died has been let out, and counts.
    pump(killed_at + kFinishWithin, [&node] { return node.process->ended(); });
    tally_.killed(kVictim, killed_at);
    node.open_slots.clear();
    node.ready = false;
    say("  ", paint_.bad("kill -9"), "   ", paint_.node(kVictim, node_name(kVictim)), " while it holds ",
        tally_.rescue().held.size(), " locks of slot ", slot_of_kill_ + 1, "; the others wait for these");
  }

  void restart_one() {
    auto& node = nodes_.at(kVictim);
    node.process.reset();
    node.stopping = false;
    tally_.restarted(SteadyClock::now());
    start(kVictim);
    expect(
        kReadyWithin, [&node] { return node.ready; }, "the killed node did not start again");
    say("  start     ", paint_.node(kVictim, node_name(kVictim)), " again (pid ", node.process->pid(),
        "), with new data of its own for slot ", slot_of_kill_ + 1);
    begin_slot_on(kVictim, slot_of_kill_);
    // It may begin the next slot, so that its first signature shows how soon it works again, not who won a race.
    begin_slot(slot_of_restart_);
    begin_slot_on(kVictim, slot_of_restart_);
    expect(
        kReadyWithin, [this] { return tally_.rescue().first_signature_after_restart.has_value(); },
        "the killed node did not sign again");
    for (std::size_t i = 0; i < kNodes; ++i) {
      if (i != kVictim) begin_slot_on(i, slot_of_restart_);
    }
    pump(SteadyClock::now() + kSlotLength, [] { return false; });
  }

  void let_one_hang() {
    begin_slow_slot(kHanging, slot_of_hang_, kHangingSigning);
    say("  hang      ", paint_.node(kHanging, node_name(kHanging)), " holds ", tally_.held_by(kHanging).size(),
        " locks of slot ", slot_of_hang_ + 1, ", but its keys take ", kHangingSigning.count(), " ms to sign");
  }

  void stop_all() {
    for (auto& node : nodes_) {
      node.stopping = true;
      node.process->send(to_line(NodeCommand{}));
      node.process->close_input();
    }
    expect(
        kFinishWithin,
        [this] { return std::ranges::all_of(nodes_, [](const NodeState& s) { return s.process->ended(); }); },
        "a node did not stop");
  }

  /// Takes in what the nodes tell until `done` says so. False: `until` came first.
  template <class Done>
  bool pump(TimePoint until, Done done) {
    for (;;) {
      take_events();
      print_finished_slots();
      if (done()) return true;
      const auto left = std::chrono::ceil<milliseconds>(until - SteadyClock::now());
      if (left <= milliseconds(0)) return false;
      std::vector<NodeProcess*> running;
      for (auto& node : nodes_) {
        if (node.process && !node.process->ended()) running.push_back(node.process.get());
      }
      watch_.wait(running, left);
    }
  }

  template <class Done>
  void expect(milliseconds limit, Done done, const std::string& otherwise) {
    if (!pump(SteadyClock::now() + limit, done)) {
      throw std::runtime_error("the demonstration failed: " + otherwise + " within " + std::to_string(limit.count()) +
                               " ms");
    }
  }

  void take_events() {
    for (std::size_t i = 0; i < kNodes; ++i) {
      auto& node = nodes_.at(i);
      if (!node.process || node.process->ended()) continue;
      for (const auto& line : node.process->read_lines()) {
        const auto event = parse_event(line);
        if (event) take(i, *event);
      }
      if (node.process->ended() && !node.stopping) {
        throw std::runtime_error(node_name(i) + " ended by itself" + (node.failure.empty() ? "" : ": " + node.failure));
      }
    }
  }

  void take(std::size_t index, const NodeEvent& event) {
    auto& node = nodes_.at(index);
    if (event.kind == NodeEvent::Kind::kReady) node.ready = true;
    if (event.kind == NodeEvent::Kind::kFailed) node.failure = event.text;
    if (event.kind == NodeEvent::Kind::kSlotDone) node.open_slots.erase(event.number);
    tally_.take(index, node.author, event, SteadyClock::now());
  }

  void print_finished_slots() {
    for (auto slot = running_slots_.begin(); slot != running_slots_.end();) {
      const bool open = std::ranges::any_of(nodes_, [&](const NodeState& s) { return s.open_slots.contains(*slot); });
      if (!open) say(slot_line(tally_, *slot, paint_));
      slot = open ? std::next(slot) : running_slots_.erase(slot);
    }
  }

  std::vector<DutyEntry> read_table() const {
    // This node is never started: it reads, and takes no node id.
    const auto reader = create_ha_signer(
        {.signer = {.node_id = NodeId::parse("demo-report").value(), .rollup = tally_.duties().rollup()},
         .database_url = database_url_,
         .pool = {}});
    DutyFilter filter;
    filter.rollup = tally_.duties().rollup();
    filter.limit = 2 * tally_.duties().count();
    auto rows = reader->run(reader->history().duties(filter, reader->clock().now() + kFinishWithin));
    if (!rows) throw std::runtime_error(rows.error().reason);
    return std::move(*rows);
  }

  bool report() {
    const auto verdict = tally_.judge(read_table());
    if (options_.json) {
      print_report_json(std::cout, tally_, verdict);
    } else {
      print_report(std::cout, tally_, verdict, paint_);
    }
    if (folder_ && !verdict.good()) folder_->keep();
    if (folder_ && (options_.keep || !verdict.good())) {
      say("\nThe database is kept: sqlite3 ", folder_->path(), "/signer.db 'select * from validator_duties'");
    }
    return verdict.good();
  }

  Options options_;
  Paint paint_;
  std::vector<SecretKey> keys_;
  std::size_t slot_of_kill_;
  std::size_t slot_of_restart_;
  std::size_t slot_of_hang_;
  Tally tally_;
  std::optional<TemporaryFolder> folder_;
  std::string database_url_;
  InterruptWatch watch_;
  std::array<NodeState, kNodes> nodes_;
  std::set<std::size_t> running_slots_;
};

}  // namespace

bool run_demonstration(const Options& options) {
  try {
    return Demonstration(options).run();
  } catch (const Interrupted&) {
    throw std::runtime_error("interrupted; the nodes have been stopped");
  }
}

}  // namespace hasigner::demo
