#include "examples/demo/node.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <iostream>
#include <map>
#include <random>
#include <stdexcept>

#include "examples/demo/duties.hpp"
#include "examples/demo/wire.hpp"
#include "hasigner/hasigner.hpp"

namespace hasigner::demo {

namespace {

using SteadyClock = std::chrono::steady_clock;

/// So that a dead node's duties show both ways of saving them: the same data is taken over after this time, other data
/// only when the dead node's lease of two seconds has run out.
constexpr milliseconds kPeerSigningTimeout{1000};
constexpr milliseconds kRetryPause{50};
/// Real nodes are not quite at the same point at the same time either; without this the first one would sign
/// everything.
constexpr std::uint32_t kStaggerMicros = 15'000;
constexpr auto kNotByHand = "a node is started by the demonstration itself, not by hand";

void send(const NodeEvent& event) {
  const std::string line = to_line(event);
  std::string_view rest = line;
  while (!rest.empty()) {
    const auto written = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) return;  // The reader is gone; the end of the commands ends this process.
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// Reports at once what only a counter knows, so that nothing is lost when this process is killed.
class ReportedMetrics final : public Metrics {
 public:
  void count(Event event, DutyType) override {
    if (event == Event::kTakenOver) send({.kind = NodeEvent::Kind::kTakenOver});
    if (event == Event::kReplaced) send({.kind = NodeEvent::Kind::kReplaced});
  }
};

std::vector<EthAddress> addresses_of(const std::vector<SecretKey>& keys) {
  std::vector<EthAddress> addresses;
  for (const auto& key : keys) addresses.push_back(address_of(key));
  return addresses;
}

std::unique_ptr<HaNode> make_node(const NodeSetup& setup) {
  auto node_id = NodeId::parse(setup.node_id);
  if (!node_id) throw std::runtime_error(node_id.error().message());
  HaSignerConfig config{
      .signer = {.node_id = *node_id, .rollup = setup.rollup}, .database_url = setup.database_url, .pool = {}};
  config.signer.peer_signing_timeout = kPeerSigningTimeout;
  // The three nodes must not use up a small server's connections.
  config.pool.max = 4;
  HaSignerParts parts;
  parts.metrics = std::make_shared<ReportedMetrics>();
  return create_ha_signer(std::move(config), std::move(parts));
}

/// What the coroutines of this process share. Used on the node's executor.
struct Node {
  explicit Node(NodeSetup setup_in)
      : setup(std::move(setup_in)),
        duties(setup.rollup, addresses_of(setup.keys), setup.slots),
        node(make_node(setup)) {}

  NodeSetup setup;
  Duties duties;
  std::unique_ptr<HaNode> node;
  std::map<std::size_t, std::size_t> open;  ///< duties of each slot that are still being tried
};

asio::awaitable<void> pause(std::shared_ptr<Node> demo, std::chrono::microseconds length) {
  asio::steady_timer timer(demo->node->executor(), length);
  co_await timer.async_wait(asio::use_awaitable);
}

/// The node holds the duty's lock while this runs.
asio::awaitable<SignOutcome> sign_duty(std::shared_ptr<Node> demo, std::size_t duty, milliseconds takes,
                                       SignRequest request) {
  send({.kind = NodeEvent::Kind::kHolding, .number = duty});
  if (takes > milliseconds(0)) co_await pause(demo, takes);
  const auto validator = demo->duties.validator_index_of(duty);
  auto sign_now = demo->node->blocking([demo, validator](const SignRequest& r) -> SignOutcome {
    return sign(demo->setup.keys[validator], r.message_hash);
  });
  auto outcome = co_await sign_now(std::move(request));
  co_return outcome;
}

/// Reports a result. True: this node is done with the duty.
bool report(std::size_t duty, const MessageHash& message_hash, const SignResult<SignedDuty>& result,
            std::chrono::microseconds took) {
  using Kind = NodeEvent::Kind;
  NodeEvent event{.kind = Kind::kTriedAgain, .number = duty, .took = took, .message = message_hash};
  bool done = true;
  if (result) {
    event.kind = Kind::kSigned;
    event.signature = *result;
  } else if (const auto* already = std::get_if<DutyAlreadySigned>(&result.error())) {
    done = already->signed_by != kUnknownTimeout;
    if (done) event.kind = Kind::kAlreadySigned;
    event.signature = already->signature;
    event.text = done ? "" : "still_held";
  } else if (std::holds_alternative<SlashingProtection>(result.error())) {
    event.kind = Kind::kOtherData;
  } else if (std::holds_alternative<OutsideWatermark>(result.error()) ||
             std::holds_alternative<NotRunning>(result.error()) ||
             std::holds_alternative<NodeIdTaken>(result.error()) ||
             std::holds_alternative<InvalidInput>(result.error())) {
    event.kind = Kind::kGaveUp;
    event.text = message(result.error());
  } else {
    done = false;
    event.text = kind_name(result.error());
  }
  send(event);
  return done;
}

/// Tries one duty until a node has signed it.
asio::awaitable<void> pursue(std::shared_ptr<Node> demo, std::size_t duty, milliseconds signing_takes) {
  // A node that signs slowly is meant to hold every duty, so it is first.
  if (signing_takes == milliseconds(0))
    co_await pause(demo, std::chrono::microseconds(std::random_device{}() % kStaggerMicros));
  const SignRequest request{.validator = demo->duties.validator_of(duty),
                            .message_hash = demo->duties.message_of(duty, demo->setup.author),
                            .context = demo->duties.context_of(duty)};
  const SignFunction sign_function = [demo, duty, signing_takes](SignRequest r) {
    return sign_duty(demo, duty, signing_takes, std::move(r));
  };
  for (;;) {
    const auto began = SteadyClock::now();
    auto result = co_await demo->node->signer().sign_with_protection(request, sign_function);
    if (report(duty, request.message_hash, result,
               std::chrono::duration_cast<std::chrono::microseconds>(SteadyClock::now() - began)))
      break;
    co_await pause(demo, kRetryPause);
  }
  const auto slot = demo->duties.slot_index_of(duty);
  if (--demo->open[slot] == 0) send({.kind = NodeEvent::Kind::kSlotDone, .number = slot});
}

void begin_slot(const std::shared_ptr<Node>& demo, const NodeCommand& command) {
  const auto& duties = demo->duties;
  demo->open[command.slot_index] = duties.per_slot();
  for (std::size_t i = 0; i < duties.per_slot(); ++i) {
    asio::co_spawn(demo->node->executor(), pursue(demo, duties.first_of(command.slot_index) + i, command.signing_takes),
                   asio::detached);
  }
}

NodeSetup read_setup(std::istream& in) {
  NodeSetup setup;
  bool complete = false;
  std::string line;
  while (!complete && std::getline(in, line)) {
    const bool understood = take_setup_line(line, setup, complete);
    wipe(line);
    if (!understood) throw std::runtime_error(kNotByHand);
  }
  if (!complete || setup.keys.empty()) throw std::runtime_error(kNotByHand);
  return setup;
}

}  // namespace

bool run_node() {
  // The program that started this one ends it: at Ctrl-C in the terminal, and when it is killed itself.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto setup = read_setup(std::cin);
  std::shared_ptr<Node> demo;
  try {
    demo = std::make_shared<Node>(std::move(setup));
    const auto started = demo->node->signer().start_blocking();
    if (!started) throw std::runtime_error(message(started.error()));
  } catch (const std::exception& e) {
    send({.kind = NodeEvent::Kind::kFailed, .text = e.what()});
    return false;
  }
  send({.kind = NodeEvent::Kind::kReady});
  std::string line;
  while (std::getline(std::cin, line)) {
    const auto command = parse_command(line);
    if (!command || command->kind == NodeCommand::Kind::kStop) break;
    asio::post(demo->node->executor(), [demo, command] { begin_slot(demo, *command); });
  }
  demo->node->stop();
  return true;
}

}  // namespace hasigner::demo
