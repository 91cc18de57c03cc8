#include "hasigner/factory/ha_node.hpp"

#include <mutex>

#include "hasigner/async/background.hpp"
#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/factory/open_store.hpp"
#include "hasigner/factory/runtime.hpp"
#include "hasigner/factory/seen_slots.hpp"
#include "hasigner/factory/take_up_signed.hpp"
#include "hasigner/protection/journaled_store.hpp"
#include "hasigner/protection/system_clock.hpp"
#include "hasigner/store/sqlite/sqlite_journal.hpp"

namespace hasigner {

namespace {

/// What stopping a signer takes at its worst beside the grace for sign functions and their releases: recording, the
/// last heartbeat, closing.
constexpr auto kStopWithin = std::chrono::seconds(8);

/// Keeps the signer alive until it has stopped, also when the wait for it was given up.
asio::awaitable<void> stop_signer(std::shared_ptr<HaSigner> signer, std::shared_ptr<Store> reader) {
  co_await signer->stop();
  if (reader) co_await reader->close();
}

asio::awaitable<OpenedStore> open(StoreSettings settings, asio::any_io_executor executor,
                                  std::shared_ptr<Clock> clock) {
  auto opened = co_await open_store(std::move(settings), executor, std::move(clock));
  co_return opened;
}

[[noreturn]] void refuse(const std::string& sentence) {
  throw StartupError(StartupError::Kind::kConfiguration, sentence);
}

/// Returns null where none is configured.
std::shared_ptr<ReleaseJournal> open_journal(const HaSignerConfig& config, const asio::any_io_executor& executor) {
  if (config.journal.empty()) return nullptr;
  try {
    return std::make_shared<sqlite::SqliteJournal>(config.journal, executor, config.open_timeout);
  } catch (const std::runtime_error& error) {
    refuse(error.what());
  }
}

/// Puts the journal before the store.
std::shared_ptr<JournaledStore> journaled(OpenedStore& store, std::shared_ptr<ReleaseJournal> journal, NodeId node_id,
                                          const asio::any_io_executor& executor, std::shared_ptr<Clock> clock,
                                          std::function<std::optional<Slot>(const EthAddress&)> latest_slot) {
  if (!journal) return nullptr;
  auto journaled_store =
      std::make_shared<JournaledStore>(JournaledStore::Parts{.executor = executor,
                                                             .clock = std::move(clock),
                                                             .store = store.store,
                                                             .claimed = store.claimed_messages,
                                                             .journal = std::move(journal),
                                                             .node_id = std::move(node_id),
                                                             .random = std::make_shared<SystemRandom>(),
                                                             .rounds = store.journal_rounds,
                                                             .latest_slot = std::move(latest_slot)});
  store.store = journaled_store;
  if (store.claimed_messages) store.claimed_messages = journaled_store;
  return journaled_store;
}

}  // namespace

struct HaNode::State {
  std::unique_ptr<Runtime> runtime;
  std::shared_ptr<Clock> clock;
  OpenedStore store;
  std::shared_ptr<HaSigner> signer;
  milliseconds stop_within;
  std::shared_ptr<PlausibleSlots> slots = nullptr;
  std::shared_ptr<SeenSlotsSearch> slots_search = nullptr;
  std::shared_ptr<JournaledStore> journaled_store = nullptr;
  std::mutex stopping = {};
  bool stopped = false;
};

HaNode::HaNode(std::unique_ptr<State> state) : state_(std::move(state)) {}

HaNode::~HaNode() {
  stop();
  if (state_->runtime->owns_executor()) return;
  // What is left of them may still be in use on an executor of the caller's; so it is let go there.
  asio::post(state_->runtime->executor(),
             [clock = std::move(state_->clock), store = std::move(state_->store.store),
              history = std::move(state_->store.history), claimed = std::move(state_->store.claimed_messages),
              rounds = std::move(state_->store.journal_rounds), reader = std::move(state_->store.reader),
              signer = std::move(state_->signer), journaled_store = std::move(state_->journaled_store)] {});
}

HaSigner& HaNode::signer() {
  return *state_->signer;
}
Store& HaNode::store() {
  return *state_->store.store;
}
History& HaNode::history() {
  return *state_->store.history;
}
std::shared_ptr<ClaimedMessages> HaNode::claimed_messages() const {
  return state_->store.claimed_messages;
}
std::shared_ptr<JournaledStore> HaNode::journaled_store() const {
  return state_->journaled_store;
}
std::shared_ptr<const PlausibleSlots> HaNode::plausible_slots() const {
  return state_->slots;
}
std::shared_ptr<Clock> HaNode::shared_clock() {
  return state_->clock;
}
const std::string& HaNode::shown_url() const {
  return state_->store.shown_url;
}
Clock& HaNode::clock() {
  return *state_->clock;
}
const asio::any_io_executor& HaNode::executor() const {
  return state_->runtime->executor();
}
const asio::any_io_executor& HaNode::work_executor() const {
  return state_->runtime->work_executor();
}

SignFunction HaNode::blocking(BlockingSignFunction function) const {
  return state_->runtime->blocking(std::move(function));
}

void HaNode::stop() {
  const std::scoped_lock lock(state_->stopping);
  if (state_->stopped) return;
  state_->stopped = true;
  if (state_->slots_search) asio::post(executor(), [search = state_->slots_search] { search->end(); });
  auto signer_stopped = asio::co_spawn(executor(), stop_signer(state_->signer, state_->store.reader), asio::use_future);
  signer_stopped.wait_for(state_->stop_within);
  state_->runtime->stop();
}

std::unique_ptr<HaNode> create_ha_signer(HaSignerConfig config, HaSignerParts parts) {
  if (parts.sql_pool && !parts.executor) refuse("A shared SQL pool needs the executor that it was made with");
  auto checked = validated(std::move(config.signer));
  if (!checked) refuse(checked.error().message());
  const BlockingLimits blocking{.threads = Runtime::processors(),
                                .spare_threads = checked->max_overdue_sign_calls,
                                .longest_wait = checked->signer_call_timeout};
  const auto slot_rules = config.slots;
  if (slot_rules && slot_rules->genesis && !slot_rules->slot_duration) {
    refuse("The genesis time of the rollup needs the duration of its slots");
  }
  auto runtime = std::make_unique<Runtime>(parts.executor, blocking);
  auto clock = std::make_shared<SystemClock>(runtime->executor());
  StoreSettings settings{.database_url = std::move(config.database_url),
                         .pool = std::move(config.pool),
                         .sql_pool = std::move(parts.sql_pool),
                         .retention = checked->old_duties_max_age,
                         .allow_ephemeral = config.allow_ephemeral,
                         .storage_replicates = config.storage_replicates,
                         .reads = StoreSettings::Reads::kAside,
                         .open_timeout = config.open_timeout};
  auto journal = open_journal(config, runtime->executor());
  auto store = runtime->run(open(std::move(settings), runtime->executor(), clock));
  const auto slots = slot_rules ? std::make_shared<PlausibleSlots>(*slot_rules) : nullptr;
  auto journaled_store = journaled(store, std::move(journal), checked->node_id, runtime->executor(), clock,
                                   [slots, rollup = checked->rollup](const EthAddress& other) {
                                     const bool is_known = slots && other == rollup;
                                     return is_known ? std::optional(slots->latest_near()) : std::nullopt;
                                   });
  ReportFailure report = [](std::string_view, const std::exception_ptr&) {};
  if (parts.report_failure) report = std::move(parts.report_failure);
  if (journaled_store) {
    runtime->run(take_up_signed(journaled_store, store.history, checked->node_id, checked->rollup));
  }
  Ports ports{.executor = runtime->executor(),
              .clock = clock,
              .random = std::make_shared<SystemRandom>(),
              .store = store.store,
              .is_signature_of = is_signature_of,
              .check_executor = runtime->check_executor()};
  if (parts.metrics) ports.metrics = std::move(parts.metrics);
  ports.health = std::move(parts.health);
  std::shared_ptr<SeenSlotsSearch> slots_search;
  if (slots) {
    if (slots->wants_anchor()) runtime->run(look_for_seen_slots(slots, store.history, checked->rollup));
    if (slots->wants_anchor()) {
      slots_search = std::make_shared<SeenSlotsSearch>(runtime->executor());
      spawn_loop(
          runtime->executor(), "the search for seen slots",
          [slots_search, slots, history = store.history, rollup = checked->rollup] {
            return SeenSlotsSearch::run(slots_search, slots, history, rollup);
          },
          first_only(std::move(report)));
    }
    ports.plausible_slots = slots;
  }
  const auto stop_grace = checked->stop_grace;
  auto signer = std::make_shared<HaSigner>(std::move(*checked), std::move(ports));
  if (journaled_store) {
    spawn_loop(
        runtime->executor(), "the comparison of the database with the journal",
        [journaled_store] { return JournaledStore::keep_complete(journaled_store); }, first_only(report));
  }
  return std::make_unique<HaNode>(std::make_unique<HaNode::State>(
      std::move(runtime), std::move(clock), std::move(store), std::move(signer), 2 * stop_grace + kStopWithin, slots,
      std::move(slots_search), std::move(journaled_store)));
}

}  // namespace hasigner
