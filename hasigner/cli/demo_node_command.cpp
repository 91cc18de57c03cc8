#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <istream>
#include <map>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/demo_duties.hpp"
#include "hasigner/cli/demo_wire.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/factory/ha_node.hpp"
#include "hasigner/protection/async.hpp"
#include "hasigner/protection/system_clock.hpp"

namespace hasigner::cli {

namespace {

/// So that a dead node's duties show both ways of saving them: the same data is taken over after this time, other data
/// only when the dead node's lease of two seconds has run out.
constexpr milliseconds kPeerSigningTimeout{1000};
constexpr milliseconds kRetryPause{50};
/// Real nodes are not quite at the same point at the same time either; without this the first one would sign
/// everything.
constexpr int kStaggerMicros = 15'000;

void send(const DemoEvent& event) {
  const std::string line = to_line(event);
  std::string_view rest = line;
  while (!rest.empty()) {
    const auto written = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) return;  // Nobody listens any more; the end of the orders ends this process.
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// Tells at once what only a counter knows, so that nothing is lost when this process is killed.
class TellingMetrics final : public Metrics {
 public:
  void count(Event event, DutyType) override {
    if (event == Event::kTakenOver) send({.kind = DemoEvent::Kind::kTakenOver});
    if (event == Event::kReplaced) send({.kind = DemoEvent::Kind::kReplaced});
  }
};

std::vector<EthAddress> addresses_of(const std::vector<SecretKey>& keys) {
  std::vector<EthAddress> addresses;
  for (const auto& key : keys) addresses.push_back(address_of(key));
  return addresses;
}

std::unique_ptr<HaNode> make_node(const DemoNodeSetup& setup) {
  auto node_id = NodeId::parse(setup.node_id);
  if (!node_id) throw CommandError(node_id.error());
  HaSignerConfig config{
      .signer = {.node_id = *node_id, .rollup = setup.rollup}, .database_url = setup.database_url, .pool = {}};
  config.signer.peer_signing_timeout = kPeerSigningTimeout;
  // Three nodes of the demonstration must not use up a small server.
  config.pool.max = 4;
  HaSignerParts parts;
  parts.metrics = std::make_shared<TellingMetrics>();
  return create_ha_signer(std::move(config), std::move(parts));
}

/// What the coroutines of this process share. Used on the node's executor.
struct DemoNode {
  explicit DemoNode(DemoNodeSetup setup_in)
      : setup(std::move(setup_in)),
        duties(setup.rollup, addresses_of(setup.keys), setup.slots),
        node(make_node(setup)) {}

  [[nodiscard]] MonotonicTime now() const { return node->clock().now(); }

  DemoNodeSetup setup;
  DemoDuties duties;
  std::unique_ptr<HaNode> node;
  std::map<std::size_t, std::size_t> open;  ///< duties of each slot that are still being tried
};

asio::awaitable<void> pause(std::shared_ptr<DemoNode> demo, std::chrono::microseconds length) {
  const auto until = demo->now() + length;
  co_await sleep_until(demo->node->runtime().executor(), demo->node->clock(), until);
}

/// The node holds the duty's lock while this runs.
asio::awaitable<SignOutcome> sign_duty(std::shared_ptr<DemoNode> demo, std::size_t duty, milliseconds takes,
                                       SignRequest request) {
  send({.kind = DemoEvent::Kind::kHolding, .number = duty});
  if (takes > milliseconds(0)) co_await pause(demo, takes);
  const auto validator = demo->duties.validator_index_of(duty);
  auto sign_now = demo->node->blocking([demo, validator](const SignRequest& r) -> SignOutcome {
    return sign(demo->setup.keys[validator], r.message_hash);
  });
  auto outcome = co_await sign_now(std::move(request));
  co_return outcome;
}

/// What a result means to the one who asked. True: this node is done with the duty.
bool tell(std::size_t duty, const MessageHash& message_hash, const SignResult<Signature>& result,
          std::chrono::microseconds took) {
  using Kind = DemoEvent::Kind;
  DemoEvent event{.kind = Kind::kTriedAgain, .number = duty, .took = took, .message = message_hash};
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

/// Tries one duty until it is signed by somebody.
asio::awaitable<void> pursue(std::shared_ptr<DemoNode> demo, std::size_t duty, milliseconds signing_takes) {
  std::array<std::uint8_t, 2> random{};
  SystemRandom().fill(random);
  // A node that signs slowly is meant to hold every duty, so it is first.
  if (signing_takes == milliseconds(0))
    co_await pause(demo, std::chrono::microseconds((random[0] * 256 + random[1]) % kStaggerMicros));
  const SignRequest request{.validator = demo->duties.validator_of(duty),
                            .message_hash = demo->duties.message_of(duty, demo->setup.author),
                            .context = demo->duties.context_of(duty)};
  const SignFunction sign_function = [demo, duty, signing_takes](SignRequest r) {
    return sign_duty(demo, duty, signing_takes, std::move(r));
  };
  for (;;) {
    const auto began = demo->now();
    auto result = co_await demo->node->signer().sign_with_protection(request, sign_function);
    if (tell(duty, request.message_hash, result,
             std::chrono::duration_cast<std::chrono::microseconds>(demo->now() - began)))
      break;
    co_await pause(demo, kRetryPause);
  }
  const auto slot = demo->duties.slot_index_of(duty);
  if (--demo->open[slot] == 0) send({.kind = DemoEvent::Kind::kSlotDone, .number = slot});
}

void begin_slot(const std::shared_ptr<DemoNode>& demo, const DemoOrder& order) {
  const auto& duties = demo->duties;
  demo->open[order.slot_index] = duties.per_slot();
  for (std::size_t i = 0; i < duties.per_slot(); ++i) {
    asio::co_spawn(demo->node->runtime().executor(),
                   pursue(demo, duties.first_of(order.slot_index) + i, order.signing_takes), asio::detached);
  }
}

DemoNodeSetup read_setup(std::istream& in) {
  DemoNodeSetup setup;
  bool complete = false;
  std::string line;
  while (!complete && std::getline(in, line)) {
    const bool understood = take_setup_line(line, setup, complete);
    wipe(line);
    if (!understood)
      throw CommandError(ExitCode::kUsage, "demo-node is started by 'ha-signer demo' and by nothing else");
  }
  if (!complete || setup.keys.empty()) {
    throw CommandError(ExitCode::kUsage, "demo-node is started by 'ha-signer demo' and by nothing else");
  }
  return setup;
}

ExitCode run_demo_node(Context& context) {
  // The program that started this one ends it: at Ctrl-C in the terminal, and when it is killed itself.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto setup = read_setup(context.console.in);
  std::shared_ptr<DemoNode> demo;
  try {
    demo = std::make_shared<DemoNode>(std::move(setup));
    const auto started = demo->node->signer().start_blocking();
    if (!started) throw CommandError(ExitCode::kFailure, message(started.error()));
  } catch (const std::exception& e) {
    send({.kind = DemoEvent::Kind::kFailed, .text = e.what()});
    return ExitCode::kFailure;
  }
  send({.kind = DemoEvent::Kind::kReady});
  std::string line;
  while (std::getline(context.console.in, line)) {
    const auto order = parse_order(line);
    if (!order || order->kind == DemoOrder::Kind::kStop) break;
    asio::post(demo->node->runtime().executor(), [demo, order] { begin_slot(demo, *order); });
  }
  demo->node->stop();
  return ExitCode::kSuccess;
}

}  // namespace

Command demo_node_command() {
  return {.name = "demo-node",
          .group = kSetupGroup,
          .summary = "One node of the demonstration; started by 'demo'",
          .hidden = true,
          .define = [](CLI::App&) -> Action { return run_demo_node; }};
}

}  // namespace hasigner::cli
