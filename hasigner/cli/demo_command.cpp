#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/demo_nodes.hpp"
#include "hasigner/cli/demo_report.hpp"
#include "hasigner/cli/demo_tally.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/factory/open_store.hpp"
#include "hasigner/factory/runtime.hpp"
#include "hasigner/protection/system_clock.hpp"

namespace hasigner::cli {

namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kNodes = DemoTally::kNodes;
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

struct DemoOptions {
  std::size_t validators = 4;
  std::size_t slots = 12;
  std::string database_url;
  bool keep = false;
  bool json = false;
};

std::vector<SecretKey> make_keys(std::size_t count) {
  std::vector<SecretKey> keys;
  while (keys.size() < count) {
    std::array<std::uint8_t, SecretKey::kSize> bytes{};
    SystemRandom().fill(bytes);
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
  SystemRandom().fill(rollup.bytes());
  return rollup;
}

bool wants_colours(const Console& console) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return console.out_is_terminal && !(no_color && *no_color) && !(terminal && std::string_view(terminal) == "dumb");
}

/// The place of one node: its process in its present life.
struct Seat {
  std::unique_ptr<DemoNodeProcess> process;
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
  Demonstration(DemoOptions options, Console& console)
      : options_(std::move(options)),
        console_(console),
        paint_(wants_colours(console)),
        keys_(make_keys(options_.validators)),
        slot_of_kill_(options_.slots / 3),
        slot_of_restart_(slot_of_kill_ + std::max<std::size_t>(1, options_.slots / 3)),
        slot_of_hang_(slot_of_restart_ + 1),
        tally_(DemoDuties(random_rollup(), addresses_of(keys_), options_.slots), {slot_of_kill_, slot_of_hang_}) {
    if (options_.database_url.empty()) {
      folder_.emplace();
      database_url_ = "sqlite:" + folder_->path() + "/signer.db";
      if (options_.keep) folder_->keep();
    } else {
      database_url_ = options_.database_url;
    }
  }

  ExitCode run() {
    // A database that cannot be used is told from a node that cannot be started.
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
        [this] { return std::ranges::all_of(seats_, [](const Seat& s) { return s.open_slots.empty(); }); },
        "a node did not come to an end");
    stop_all();
    return report();
  }

 private:
  template <class... Parts>
  void say(const Parts&... parts) {
    if (options_.json) return;
    (console_.out << ... << parts) << '\n' << std::flush;
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
    auto& seat = seats_.at(index);
    seat.process = std::make_unique<DemoNodeProcess>();
    seat.ready = false;
    seat.author = demo_node_name(index) + " in life " + std::to_string(++seat.life);
    DemoNodeSetup setup{
        .author = seat.author,
        .node_id = "demo-" + tally_.duties().rollup().to_string().substr(2, 8) + "-" + demo_node_name(index),
        .database_url = database_url_,
        .rollup = tally_.duties().rollup(),
        .slots = options_.slots,
        .keys = {}};
    std::string text = setup_text(setup, keys_);
    seat.process->send(text);
    wipe(text);
  }

  void start_all() {
    const auto began = SteadyClock::now();
    for (std::size_t i = 0; i < kNodes; ++i) start(i);
    expect(
        kReadyWithin, [this] { return std::ranges::all_of(seats_, &Seat::ready); }, "a node did not start");
    std::string names;
    std::string pids;
    for (std::size_t i = 0; i < kNodes; ++i) {
      names += (i > 0 ? ", " : "") + paint_.node(i, demo_node_name(i));
      pids += (i > 0 ? ", " : "") + std::to_string(seats_[i].process->pid());
    }
    say("  start     ", names, " (pids ", pids, ") in ",
        shown_duration(std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - began)), "\n");
    say(paint_.faint("            one digit a duty: the node that signed it; one group a validator"));
  }

  void order_slot(std::size_t index, std::size_t slot_index, milliseconds signing_takes = milliseconds(0)) {
    seats_.at(index).open_slots.insert(slot_index);
    seats_.at(index).process->send(to_line(DemoOrder{DemoOrder::Kind::kSlot, slot_index, signing_takes}));
  }

  /// One node gets to hold every lock of a slot and is slow with the signatures; then the others come.
  void begin_slow_slot(std::size_t slow_node, std::size_t slot_index, milliseconds signing_takes) {
    begin_slot(slot_index);
    order_slot(slow_node, slot_index, signing_takes);
    expect(
        kHoldingWithin, [&] { return tally_.held_by(slow_node).size() >= tally_.duties().per_slot(); },
        demo_node_name(slow_node) + " did not get its locks");
    for (std::size_t i = 0; i < kNodes; ++i) {
      if (i != slow_node) order_slot(i, slot_index);
    }
  }

  void play_slots(std::size_t from, std::size_t to) {
    for (auto slot = from; slot < to; ++slot) {
      begin_slot(slot);
      for (std::size_t i = 0; i < kNodes; ++i) {
        if (seats_[i].ready) order_slot(i, slot);
      }
      pump(SteadyClock::now() + kSlotLength, [] { return false; });
    }
  }

  void begin_slot(std::size_t slot) {
    tally_.slot_begins(slot, SteadyClock::now());
    running_slots_.insert(slot);
  }

  void kill_one() {
    auto& seat = seats_.at(kVictim);
    begin_slow_slot(kVictim, slot_of_kill_, kSigningUntilKilled);
    pump(SteadyClock::now() + kBeforeKill, [] { return false; });
    seat.stopping = true;
    seat.process->kill();
    const auto killed_at = SteadyClock::now();
    // What it wrote before it died has been let out, and counts.
    pump(killed_at + kFinishWithin, [&seat] { return seat.process->ended(); });
    tally_.killed(kVictim, killed_at);
    seat.open_slots.clear();
    seat.ready = false;
    say("  ", paint_.bad("kill -9"), "   ", paint_.node(kVictim, demo_node_name(kVictim)), " while it holds ",
        tally_.rescue().held.size(), " locks of slot ", slot_of_kill_ + 1, "; the others wait for these");
  }

  void restart_one() {
    auto& seat = seats_.at(kVictim);
    seat.process.reset();
    seat.stopping = false;
    tally_.restarted(SteadyClock::now());
    start(kVictim);
    expect(
        kReadyWithin, [&seat] { return seat.ready; }, "the killed node did not start again");
    say("  start     ", paint_.node(kVictim, demo_node_name(kVictim)), " again (pid ", seat.process->pid(),
        "), with new data of its own for slot ", slot_of_kill_ + 1);
    order_slot(kVictim, slot_of_kill_);
    // It may begin the next slot, so that its first signature shows how soon it works again, not who won a race.
    begin_slot(slot_of_restart_);
    order_slot(kVictim, slot_of_restart_);
    expect(
        kReadyWithin, [this] { return tally_.rescue().first_signature_after_restart.has_value(); },
        "the killed node did not sign again");
    for (std::size_t i = 0; i < kNodes; ++i) {
      if (i != kVictim) order_slot(i, slot_of_restart_);
    }
    pump(SteadyClock::now() + kSlotLength, [] { return false; });
  }

  void let_one_hang() {
    begin_slow_slot(kHanging, slot_of_hang_, kHangingSigning);
    say("  hang      ", paint_.node(kHanging, demo_node_name(kHanging)), " holds ", tally_.held_by(kHanging).size(),
        " locks of slot ", slot_of_hang_ + 1, ", but its keys take ", kHangingSigning.count(), " ms to sign");
  }

  void stop_all() {
    for (auto& seat : seats_) {
      seat.stopping = true;
      seat.process->send(to_line(DemoOrder{}));
      seat.process->close_input();
    }
    expect(
        kFinishWithin, [this] { return std::ranges::all_of(seats_, [](const Seat& s) { return s.process->ended(); }); },
        "a node did not stop");
  }

  /// Takes in what the nodes tell until `done` says so. False: `until` came first.
  template <class Done>
  bool pump(DemoTime until, Done done) {
    for (;;) {
      take_events();
      print_finished_slots();
      if (done()) return true;
      const auto left = std::chrono::ceil<milliseconds>(until - SteadyClock::now());
      if (left <= milliseconds(0)) return false;
      std::vector<DemoNodeProcess*> running;
      for (auto& seat : seats_) {
        if (seat.process && !seat.process->ended()) running.push_back(seat.process.get());
      }
      watch_.wait(running, left);
    }
  }

  template <class Done>
  void expect(milliseconds limit, Done done, const std::string& otherwise) {
    if (!pump(SteadyClock::now() + limit, done)) {
      throw CommandError(ExitCode::kFailure,
                         "the demonstration failed: " + otherwise + " within " + std::to_string(limit.count()) + " ms");
    }
  }

  void take_events() {
    for (std::size_t i = 0; i < kNodes; ++i) {
      auto& seat = seats_.at(i);
      if (!seat.process || seat.process->ended()) continue;
      for (const auto& line : seat.process->read_lines()) {
        const auto event = parse_event(line);
        if (event) take(i, *event);
      }
      if (seat.process->ended() && !seat.stopping) {
        throw CommandError(ExitCode::kFailure,
                           demo_node_name(i) + " ended by itself" + (seat.failure.empty() ? "" : ": " + seat.failure));
      }
    }
  }

  void take(std::size_t index, const DemoEvent& event) {
    auto& seat = seats_.at(index);
    if (event.kind == DemoEvent::Kind::kReady) seat.ready = true;
    if (event.kind == DemoEvent::Kind::kFailed) seat.failure = event.text;
    if (event.kind == DemoEvent::Kind::kSlotDone) seat.open_slots.erase(event.number);
    tally_.take(index, seat.author, event, SteadyClock::now());
  }

  void print_finished_slots() {
    for (auto slot = running_slots_.begin(); slot != running_slots_.end();) {
      const bool open = std::ranges::any_of(seats_, [&](const Seat& s) { return s.open_slots.contains(*slot); });
      if (!open) say(slot_line(tally_, *slot, paint_));
      slot = open ? std::next(slot) : running_slots_.erase(slot);
    }
  }

  std::vector<DutyEntry> read_table() const {
    Runtime runtime;
    auto clock = std::make_shared<SystemClock>(runtime.executor());
    auto opened = runtime.run(open_store(StoreSettings{.database_url = database_url_, .pool = {}, .sql_pool = {}},
                                         runtime.executor(), clock));
    DutyFilter filter;
    filter.rollup = tally_.duties().rollup();
    filter.limit = 2 * tally_.duties().count();
    auto rows = runtime.run(opened.history->duties(filter, clock->now() + kFinishWithin));
    runtime.run(opened.store->close());
    if (!rows) throw CommandError(rows.error());
    return std::move(*rows);
  }

  ExitCode report() {
    const auto verdict = tally_.judge(read_table());
    if (options_.json) {
      print_report_json(console_.out, tally_, verdict);
    } else {
      print_report(console_.out, tally_, verdict, paint_);
    }
    if (folder_ && !verdict.good()) folder_->keep();
    if (folder_ && (options_.keep || !verdict.good())) {
      say("\nThe database is kept: sqlite3 ", folder_->path(), "/signer.db 'select * from validator_duties'");
    }
    return verdict.good() ? ExitCode::kSuccess : ExitCode::kFailure;
  }

  DemoOptions options_;
  Console& console_;
  Paint paint_;
  std::vector<SecretKey> keys_;
  std::size_t slot_of_kill_;
  std::size_t slot_of_restart_;
  std::size_t slot_of_hang_;
  DemoTally tally_;
  std::optional<TemporaryFolder> folder_;
  std::string database_url_;
  InterruptWatch watch_;
  std::array<Seat, kNodes> seats_;
  std::set<std::size_t> running_slots_;
};

ExitCode run_demo(const DemoOptions& options, Console& console) {
  if (!options.database_url.empty()) {
    const auto url = accepted(DatabaseUrl::parse(options.database_url, "--database-url"));
    if (url.kind == DatabaseUrl::Kind::kMemory) {
      throw CommandError(ExitCode::kUsage, "--database-url is 'memory:', which three processes cannot share");
    }
  }
  try {
    return Demonstration(options, console).run();
  } catch (const Interrupted&) {
    throw CommandError(ExitCode::kFailure, "interrupted; the nodes have been stopped", "interrupted");
  }
}

Action define_demo(CLI::App& app) {
  auto options = std::make_shared<DemoOptions>();
  app.add_option("--validators", options->validators, "How many validators have duties in each slot")
      ->type_name("N")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--slots", options->slots, "How many slots are played")
      ->type_name("N")
      ->check(CLI::Range(4, 200))
      ->capture_default_str();
  app.add_option("--database-url", options->database_url,
                 "A migrated PostgreSQL database for trials, instead of a SQLite file; the rows stay there")
      ->type_name("URL");
  app.add_flag("--keep", options->keep, "Leave the SQLite file where it is");
  app.add_flag("--json", options->json, "Print only the report, as one JSON object");
  return [options](Context& context) { return run_demo(*options, context.console); };
}

}  // namespace

Command demo_command() {
  return {
      .name = "demo",
      .group = kSetupGroup,
      .summary = "Watch three nodes race for the same duties, one of them killed",
      .description =
          "Starts three signing nodes as processes of their own. They share one database, have the same validators' "
          "keys, "
          "and all try to sign every duty, some with different data. One is killed with SIGKILL while it holds locks, "
          "and started again.\n\n"
          "At the end every signature is checked against its validator's address, and every duty for having been "
          "signed "
          "for one message only. Any other outcome is reported and ends with exit code 1. Takes about six seconds; "
          "leaves "
          "nothing behind.",
      .examples = {{"See it on an embedded SQLite file", "ha-signer demo"},
                   {"More of everything", "ha-signer demo --validators 20 --slots 30"},
                   {"On PostgreSQL", "ha-signer demo --database-url postgresql://postgres@localhost/trial"}},
      .define = define_demo};
}

}  // namespace hasigner::cli
