// The protocol's sentences, one by one, on simulated time and a memory store that can be told to fail.

#include <gtest/gtest.h>

#include <set>

#include "hasigner/protection/async.hpp"
#include "hasigner/protection/ha_signer.hpp"
#include "hasigner/protection/node_health.hpp"
#include "hasigner/store/memory/memory_store.hpp"
#include "tests/simulation/sim_time.hpp"

namespace hasigner::simulation {
namespace {

using memory::MemoryStore;
using memory::MemoryTables;

enum class Fate { kAnswer, kLoseReply, kLoseRequest, kRefuse, kNotMatched, kLocked, kThrow };

/// A memory store whose next answers can be lost, and which counts what it was asked.
class ScriptedStore final : public Store {
 public:
  ScriptedStore(asio::any_io_executor executor, std::shared_ptr<MemoryTables> tables, Life& life)
      : executor_(std::move(executor)), life_(life), inner_(std::move(tables), life) {}

  std::deque<Fate> claims, signed_claims, takeovers, records, releases, renewals, stored_confirmations;
  int looks_asked = 0, records_asked = 0, claims_asked = 0, signed_claims_asked = 0, takeovers_asked = 0,
      releases_asked = 0;
  bool settled = true;
  std::function<void()> before_confirm_stored, before_take_over;
  int registration_pause_ms = 0, claim_pause_ms = 0, takeover_pause_ms = 0, release_pause_ms = 0;
  int renewal_answer_pause_ms = 0;
  int signing_pause_ms = 0;  ///< before a row becomes signed
  StoreCapabilities can_do;

  [[nodiscard]] StoreCapabilities capabilities() const override { return can_do; }
  StoreBatch<ClaimOutcome> claim(NodeId node_id, std::vector<DutyClaim> batch, MonotonicTime deadline) override {
    ++claims_asked;
    const auto fate = next(claims);
    if (auto error = before(fate)) co_return std::unexpected(*error);
    if (claim_pause_ms > 0) co_await sleep_until(executor_, life_, life_.now() + milliseconds(claim_pause_ms));
    auto reply = co_await inner_.claim(std::move(node_id), std::move(batch), deadline);
    if (fate == Fate::kLoseReply) co_return std::unexpected(lost());
    co_return reply;
  }
  StoreBatch<SignedClaimOutcome> claim_signed(NodeId node_id, std::vector<SignedClaim> batch,
                                              MonotonicTime deadline) override {
    ++signed_claims_asked;
    const auto fate = next(signed_claims);
    if (auto error = before(fate)) co_return std::unexpected(*error);
    if (signing_pause_ms > 0) co_await sleep_until(executor_, life_, life_.now() + milliseconds(signing_pause_ms));
    auto reply = co_await inner_.claim_signed(std::move(node_id), std::move(batch), deadline);
    if (fate == Fate::kLoseReply) co_return std::unexpected(lost());
    co_return reply;
  }
  StoreBatch<DutyView> look(std::vector<DutyKey> keys, MonotonicTime deadline) override {
    ++looks_asked;
    life_.require_alive();
    auto reply = co_await inner_.look(std::move(keys), deadline);
    co_return reply;
  }
  StoreBatch<RowOutcome> take_over(NodeId node_id, std::vector<Takeover> batch, MonotonicTime deadline) override {
    ++takeovers_asked;
    const auto fate = next(takeovers);
    if (auto error = before(fate)) co_return std::unexpected(*error);
    if (takeover_pause_ms > 0) co_await sleep_until(executor_, life_, life_.now() + milliseconds(takeover_pause_ms));
    if (before_take_over) before_take_over();
    auto reply = co_await inner_.take_over(std::move(node_id), std::move(batch), deadline);
    if (fate == Fate::kLoseReply) co_return std::unexpected(lost());
    co_return reply;
  }
  StoreBatch<RowOutcome> record(std::vector<DutyRecord> batch, MonotonicTime deadline) override {
    ++records_asked;
    const auto fate = next(records);
    if (auto error = before(fate)) co_return std::unexpected(*error);
    if (fate == Fate::kNotMatched) co_return std::vector<RowOutcome>(batch.size(), RowOutcome::kNotMatched);
    if (signing_pause_ms > 0) co_await sleep_until(executor_, life_, life_.now() + milliseconds(signing_pause_ms));
    auto reply = co_await inner_.record(std::move(batch), deadline);
    if (fate == Fate::kLoseReply) co_return std::unexpected(lost());
    co_return reply;
  }
  asio::awaitable<StoreResult<ReleaseReply>> release(std::vector<DutyRelease> batch, MonotonicTime deadline) override {
    ++releases_asked;
    const auto fate = next(releases);
    if (auto error = before(fate)) co_return std::unexpected(*error);
    if (fate == Fate::kLocked) {
      co_return ReleaseReply{.outcomes = std::vector<RowOutcome>(batch.size(), RowOutcome::kLocked)};
    }
    if (release_pause_ms > 0) co_await sleep_until(executor_, life_, life_.now() + milliseconds(release_pause_ms));
    auto reply = co_await inner_.release(std::move(batch), deadline);
    if (reply) reply->settled = settled;
    co_return reply;
  }
  StoreBatch<bool> confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                  MonotonicTime deadline) override {
    if (auto error = before(next(stored_confirmations))) co_return std::unexpected(*error);
    if (before_confirm_stored) before_confirm_stored();
    auto reply = co_await inner_.confirm_stored(std::move(node_id), std::move(signatures), deadline);
    co_return reply;
  }
  asio::awaitable<StoreResult<RegistrationOutcome>> register_node(NodeRegistration registration,
                                                                  MonotonicTime deadline) override {
    if (registration_pause_ms > 0) {
      co_await sleep_until(executor_, life_, life_.now() + milliseconds(registration_pause_ms));
    }
    auto reply = co_await inner_.register_node(std::move(registration), deadline);
    co_return reply;
  }
  asio::awaitable<StoreResult<bool>> renew(NodeRegistration registration, MonotonicTime deadline) override {
    if (auto error = before(next(renewals))) co_return std::unexpected(*error);
    auto reply = co_await inner_.renew(std::move(registration), deadline);
    if (renewal_answer_pause_ms > 0) {
      co_await sleep_until(executor_, life_, life_.now() + milliseconds(renewal_answer_pause_ms));
    }
    co_return reply;
  }
  asio::awaitable<StoreResult<void>> end_lease(NodeRegistration registration, MonotonicTime deadline) override {
    auto reply = co_await inner_.end_lease(std::move(registration), deadline);
    co_return reply;
  }
  asio::awaitable<StoreResult<RemovalOutcome>> remove(RemovalRequest request, MonotonicTime deadline) override {
    auto reply = co_await inner_.remove(std::move(request), deadline);
    co_return reply;
  }
  asio::awaitable<void> close() override { co_return; }

 private:
  static Fate next(std::deque<Fate>& fates) {
    if (fates.empty()) return Fate::kAnswer;
    const auto fate = fates.front();
    fates.pop_front();
    return fate;
  }
  static StoreError lost() { return {StoreErrorKind::kInDoubt, "reply lost"}; }
  std::optional<StoreError> before(Fate fate) const {
    life_.require_alive();
    if (fate == Fate::kThrow) throw 42;
    if (fate == Fate::kLoseRequest) return lost();
    if (fate == Fate::kRefuse) return StoreError{StoreErrorKind::kUnavailable, "connection refused"};
    return std::nullopt;
  }

  asio::any_io_executor executor_;
  Life& life_;
  MemoryStore inner_;
};

class CountingMetrics : public Metrics {
 public:
  std::map<Event, int> events;
  void count(Event event, DutyType) override { ++events[event]; }
};

struct Node {
  std::shared_ptr<Life> life;
  std::shared_ptr<ScriptedStore> store;
  std::shared_ptr<CountingMetrics> metrics;
  std::shared_ptr<HaSigner> signer;
};

template <class T>
asio::awaitable<void> into(asio::awaitable<T> work, std::shared_ptr<std::optional<T>> result) {
  try {
    auto value = co_await std::move(work);
    result->emplace(std::move(value));
  } catch (const Killed&) {
    co_return;
  }
}

asio::awaitable<SignOutcome> sign_after(Life* life, SimTime* time, milliseconds length, SignRequest request) {
  co_await sleep_until(time->io.get_executor(), *life, life->now() + length);
  life->require_alive();
  Signature signature;
  std::ranges::copy(request.message_hash.bytes(), signature.bytes().begin());
  co_return signature;
}

asio::awaitable<SignOutcome> fail_after(Life* life, SimTime* time, milliseconds length) {
  co_await sleep_until(time->io.get_executor(), *life, life->now() + length);
  co_return std::unexpected(std::string("the key is on holiday"));
}

class ProtocolTest : public testing::Test {
 protected:
  ProtocolTest() { time.all_of_an_instant = true; }
  ~ProtocolTest() override {
    for (auto& node : nodes_) node.life->kill();
    for (int i = 0; i < 10'000 && time.step(); ++i) {
    }
  }

  static EthAddress rollup(std::uint8_t number = 1) {
    EthAddress address;
    address.bytes().fill(number);
    return address;
  }
  static MessageHash hash(std::uint8_t byte) {
    MessageHash h;
    h.bytes().fill(byte);
    return h;
  }
  static SignRequest request(std::uint8_t data = 1, std::uint64_t slot = 100, DutyType type = DutyType::kAttestation) {
    return {.validator = rollup(9),
            .message_hash = hash(data),
            .context = {.duty_type = type,
                        .slot = *Slot::from(slot),
                        .block_number = {},
                        .checkpoint_number = {},
                        .block_index = {}}};
  }
  static DutyKey key(std::uint64_t slot = 100) {
    return {rollup(), rollup(9), *Slot::from(slot), DutyType::kAttestation, kNoBlockIndex};
  }

  SignerConfig config(const std::string& id) { return {.node_id = *NodeId::parse(id), .rollup = rollup()}; }

  /// Makes a node that is not started.
  Node make_node(SignerConfig config, std::optional<Incarnation> incarnation = std::nullopt,
                 std::shared_ptr<CountingMetrics> metrics = std::make_shared<CountingMetrics>(),
                 std::shared_ptr<const NodeHealth> health = nullptr) {
    Node node;
    node.life = std::make_shared<Life>(time, chance);
    node.store = std::make_shared<ScriptedStore>(time.io.get_executor(), tables, *node.life);
    node.metrics = std::move(metrics);
    node.signer = std::make_shared<HaSigner>(
        config, Ports{.executor = time.io.get_executor(),
                      .clock = node.life,
                      .random = node.life,
                      .store = node.store,
                      .metrics = node.metrics,
                      .incarnation = incarnation,
                      .is_signature_of = [this](auto&&...) { return signatures_are_genuine; },
                      .health = std::move(health)});
    nodes_.push_back(node);
    return node;
  }
  /// A node that holds its claims back for half a second.
  Node start_reserve(const std::string& id) {
    auto holds_back = config(id);
    holds_back.claim_delay = kClaimDelay;
    auto node = make_node(holds_back);
    EXPECT_TRUE(finish(go(node.signer->start())));
    return node;
  }
  Node start_node(const std::string& id) {
    auto node = make_node(config(id));
    EXPECT_TRUE(finish(go(node.signer->start())));
    return node;
  }

  SignFunction signs(Node& node, milliseconds length = milliseconds(1)) {
    return
        [life = node.life.get(), this, length](SignRequest r) { return sign_after(life, &time, length, std::move(r)); };
  }
  SignFunction fails(Node& node, milliseconds length = milliseconds(1)) {
    return [life = node.life.get(), this, length](SignRequest) { return fail_after(life, &time, length); };
  }

  /// Sets work going without waiting for it.
  template <class T>
  std::shared_ptr<std::optional<T>> go(asio::awaitable<T> work) {
    auto result = std::make_shared<std::optional<T>>();
    asio::co_spawn(time.io, into(std::move(work), result), asio::detached);
    return result;
  }
  /// Lets time pass until the work is done.
  template <class T>
  T finish(const std::shared_ptr<std::optional<T>>& result, milliseconds limit = std::chrono::minutes(10)) {
    const auto end = time.now() + limit;
    while (!result->has_value() && time.now() < end && time.step()) {
    }
    if (!result->has_value()) throw std::runtime_error("not done in time");
    return **result;
  }
  void pass(milliseconds length) {
    bool over = false;
    time.at(time.now() + length, [&over] { over = true; });
    while (!over && time.step()) {
    }
  }
  template <class T>
  static const T* error_of(const SignResult<SignedDuty>& result) {
    return result ? nullptr : std::get_if<T>(&result.error());
  }
  static Signature signature_of(std::uint8_t data) {
    Signature signature;
    std::fill_n(signature.bytes().begin(), 32, data);
    return signature;
  }
  DutyView view(std::uint64_t slot = 100) { return tables->view(key(slot)); }
  bool is_signed(std::uint8_t data, std::uint64_t slot = 100) {
    const auto v = view(slot);
    return v.row && v.row->status == DutyStatus::kSigned && v.row->message_hash == hash(data);
  }
  /// What a node of the published package writes.
  TableRow foreign_row(std::uint8_t data, std::uint64_t slot = 100) {
    const Duty duty{.key = key(slot), .block_number = {}, .checkpoint_number = {}, .message_hash = hash(data)};
    return signing_row(duty, *NodeId::parse("published"), LockToken("00112233445566778899aabbccddeeff"), tables->now());
  }

  static constexpr milliseconds kClaimDelay{500};
  SimTime time;
  Chance chance{7};
  Life tables_clock{time, chance};
  std::shared_ptr<MemoryTables> tables = std::make_shared<MemoryTables>(tables_clock);
  bool signatures_are_genuine = true;  ///< what the port says of recorded ones
  std::vector<Node> nodes_;
};

TEST_F(ProtocolTest, signs_a_free_duty_and_records_it_before_it_returns) {
  auto node = start_node("a");
  const auto result = finish(go(node.signer->sign_with_protection(request(), signs(node))));
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, signature_of(1));
  EXPECT_TRUE(is_signed(1));
}

TEST_F(ProtocolTest, a_sign_function_that_outlives_its_lock_loses_it_and_its_signature_is_destroyed) {
  auto a = start_node("a");
  auto b = start_node("b");
  auto slow = go(a.signer->sign_with_protection(request(1), signs(a, milliseconds(20'000))));
  pass(milliseconds(100));
  // Node a is cut off from its heartbeat, so its lease runs out while its sign function is still at work.
  a.store->renewals.assign(1'000, Fate::kLoseRequest);
  pass(milliseconds(3'000));
  const auto other = finish(go(b.signer->sign_with_protection(request(2), signs(b))));
  ASSERT_TRUE(other);
  const auto late = finish(slow);
  EXPECT_TRUE(error_of<SigningLockLost>(late));
  EXPECT_TRUE(is_signed(2));
}

TEST_F(ProtocolTest, a_slot_whose_row_was_deleted_is_not_signed_again) {
  auto node = start_node("a");
  ASSERT_TRUE(finish(go(node.signer->sign_with_protection(request(1), signs(node)))));
  ASSERT_TRUE(tables->delete_row(memory::key_of(key())));
  const auto result = finish(go(node.signer->sign_with_protection(request(2), signs(node))));
  const auto* error = error_of<OutsideWatermark>(result);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->watermark.value(), 100);
  EXPECT_FALSE(view().row) << "the claim that won must be deleted again";
}

TEST_F(ProtocolTest, a_watermark_that_rises_while_the_duty_is_signed_stops_the_record) {
  auto node = start_node("a");
  auto attempt = go(node.signer->sign_with_protection(request(1), signs(node, milliseconds(500))));
  pass(milliseconds(100));
  tables->set_watermarks(rollup(), rollup(9), DutyType::kAttestation, {.low = *Slot::from(100)});
  EXPECT_TRUE(error_of<OutsideWatermark>(finish(attempt)));
  EXPECT_FALSE(is_signed(1));
}

TEST_F(ProtocolTest, a_second_process_under_a_node_id_is_refused_at_start) {
  auto a = start_node("a");
  auto twin = make_node(config("a"));
  const auto started = finish(go(twin.signer->start()));
  ASSERT_FALSE(started);
  EXPECT_TRUE(std::holds_alternative<NodeIdTaken>(started.error()));
  EXPECT_TRUE(finish(go(a.signer->sign_with_protection(request(), signs(a))))) << "the first one must not suffer";
}

TEST_F(ProtocolTest, signers_of_one_process_that_share_an_incarnation_are_one_node) {
  Incarnation incarnation;
  incarnation.bytes().fill(5);
  auto a = make_node(config("a"), incarnation);
  auto second = make_node(config("a"), incarnation);
  ASSERT_TRUE(finish(go(a.signer->start())));
  ASSERT_TRUE(finish(go(second.signer->start())));
  pass(milliseconds(5'000));
  EXPECT_TRUE(finish(go(a.signer->sign_with_protection(request(1), signs(a)))));
  EXPECT_TRUE(error_of<SlashingProtection>(finish(go(second.signer->sign_with_protection(request(2), signs(second))))));
  EXPECT_TRUE(finish(go(second.signer->sign_with_protection(request(2, 101), signs(second)))));
}

TEST_F(ProtocolTest, where_a_claim_cannot_be_repeated_a_lost_lock_is_not_regained) {
  auto node = start_node("a");
  node.store->can_do.same_token_retry = false;
  auto attempt = go(node.signer->sign_with_protection(request(1), signs(node, milliseconds(500))));
  pass(milliseconds(100));
  tables->delete_row(memory::key_of(key()));
  EXPECT_TRUE(error_of<SigningLockLost>(finish(attempt)));
  EXPECT_EQ(node.store->claims_asked, 1);
  EXPECT_FALSE(is_signed(1));
}

TEST_F(ProtocolTest, a_node_that_finds_another_incarnation_in_its_place_stops_claiming) {
  auto a = start_node("a");
  a.life->pause_until(time.now() + milliseconds(10'000));
  pass(milliseconds(3'000));
  auto heir = start_node("a");
  pass(milliseconds(10'000));
  const auto result = finish(go(a.signer->sign_with_protection(request(), signs(a))));
  EXPECT_TRUE(error_of<NodeIdTaken>(result));
  EXPECT_FALSE(a.signer->healthy());
  EXPECT_TRUE(finish(go(heir.signer->sign_with_protection(request(), signs(heir)))));
}

TEST_F(ProtocolTest, a_signer_for_another_rollup_leaves_the_first_rollups_rows) {
  auto node = start_node("a");
  ASSERT_TRUE(finish(go(node.signer->sign_with_protection(request(1), signs(node)))));
  auto other_config = config("b");
  other_config.rollup = rollup(2);
  auto other = make_node(other_config);
  ASSERT_TRUE(finish(go(other.signer->start())));
  pass(std::chrono::hours(1));
  EXPECT_TRUE(is_signed(1));
}

TEST_F(ProtocolTest, old_rows_are_removed_where_the_operator_gives_an_age_and_their_slots_stay_closed) {
  auto keeping_hours = config("a");
  keeping_hours.old_duties_max_age = std::chrono::hours(2);
  auto node = make_node(keeping_hours);
  ASSERT_TRUE(finish(go(node.signer->start())));
  ASSERT_TRUE(finish(go(node.signer->sign_with_protection(request(1), signs(node)))));
  pass(std::chrono::minutes(119));
  EXPECT_TRUE(is_signed(1));
  pass(std::chrono::minutes(65));
  EXPECT_FALSE(view().row);
  EXPECT_TRUE(error_of<OutsideWatermark>(finish(go(node.signer->sign_with_protection(request(2), signs(node))))));
}

TEST_F(ProtocolTest, a_claim_whose_reply_was_lost_is_recognised_and_signed_at_once) {
  auto node = start_node("a");
  node.store->claims = {Fate::kLoseReply, Fate::kLoseReply};
  const auto began = time.now();
  EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(), signs(node)))));
  EXPECT_LT(time.now() - began, milliseconds(200));
}

TEST_F(ProtocolTest, a_record_whose_reply_was_lost_is_repeated_and_confirmed) {
  auto node = start_node("a");
  node.store->records = {Fate::kLoseReply, Fate::kLoseRequest, Fate::kRefuse};
  const auto result = finish(go(node.signer->sign_with_protection(request(), signs(node))));
  ASSERT_TRUE(result);
  EXPECT_EQ(node.store->records_asked, 4);
  EXPECT_TRUE(is_signed(1));
}

TEST_F(ProtocolTest, a_record_that_is_never_confirmed_is_in_doubt_and_the_row_stays) {
  auto node = start_node("a");
  node.store->records.assign(10'000, Fate::kLoseRequest);
  const auto began = time.now();
  const auto result = finish(go(node.signer->sign_with_protection(request(), signs(node))));
  EXPECT_TRUE(error_of<InDoubt>(result));
  EXPECT_LE(time.now() - began, milliseconds(61'000));
  pass(milliseconds(1'000));
  ASSERT_TRUE(view().row);
  EXPECT_EQ(view().row->status, DutyStatus::kSigning);
  EXPECT_EQ(node.store->releases_asked, 0);
}

TEST_F(ProtocolTest, a_record_that_never_reached_the_store_is_unavailable_and_the_duty_is_released) {
  auto node = start_node("a");
  node.store->records.assign(10'000, Fate::kRefuse);
  const auto result = finish(go(node.signer->sign_with_protection(request(), signs(node))));
  EXPECT_TRUE(error_of<Unavailable>(result));
  pass(milliseconds(1'000));
  EXPECT_FALSE(view().row);
}

TEST_F(ProtocolTest, the_same_data_is_taken_over_from_an_unfenced_node_that_died) {
  tables->insert_row(foreign_row(1));
  auto node = start_node("a");
  const auto began = time.now();
  EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(1), signs(node)))));
  EXPECT_GE(time.now() - began, milliseconds(3'000));
  EXPECT_LT(time.now() - began, milliseconds(3'300));
}

TEST_F(ProtocolTest, the_peer_time_out_counts_from_when_the_token_that_stands_was_first_seen) {
  auto node = start_node("a");
  tables->insert_row(foreign_row(1));
  auto attempt = go(node.signer->sign_with_protection(request(1), signs(node)));
  pass(milliseconds(2'000));
  const std::string of_another = "ffeeddccbbaa99887766554433221100";
  tables->row(memory::key_of(key()))->lock_token = of_another;
  pass(milliseconds(2'500));
  EXPECT_EQ(view().row->lock_token.str(), of_another) << "its holder has half a second left";
  EXPECT_TRUE(finish(attempt));
}

TEST_F(ProtocolTest, an_unfenced_nodes_row_is_never_replaced_with_other_data) {
  tables->insert_row(foreign_row(1));
  auto node = start_node("a");
  const auto result = finish(go(node.signer->sign_with_protection(request(2), signs(node))));
  const auto* error = error_of<DutyAlreadySigned>(result);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->signed_by, "unknown (timeout)");
  ASSERT_TRUE(view().row);
  EXPECT_EQ(view().row->node_id, "published");
  pass(std::chrono::minutes(10));
  EXPECT_TRUE(view().row) << "nor deleted by any clean-up";
}

TEST_F(ProtocolTest, a_taken_over_row_is_never_released_deleted_or_replaced) {
  tables->insert_row(foreign_row(1));
  auto node = start_node("a");
  EXPECT_TRUE(error_of<SignFunctionFailed>(finish(go(node.signer->sign_with_protection(request(1), fails(node))))));
  pass(milliseconds(5'000));
  ASSERT_TRUE(view().row);
  EXPECT_EQ(view().row->lock_token.kind(), TokenKind::kTakenOver);
  // The unfenced peer may have released its signature long ago without a row, so the stuck age changes nothing.
  pass(std::chrono::minutes(5));
  ASSERT_TRUE(view().row);
  node.life->kill();
  auto other = start_node("b");
  const auto result = finish(go(other.signer->sign_with_protection(request(2), signs(other))));
  EXPECT_TRUE(error_of<DutyAlreadySigned>(result));
  EXPECT_TRUE(finish(go(other.signer->sign_with_protection(request(1), signs(other)))))
      << "the same data may still be taken over";
}

TEST_F(ProtocolTest, a_duty_whose_fenced_holder_died_is_signed_within_the_lease_and_one_poll) {
  for (const std::uint8_t data : {1, 2}) {
    const std::uint64_t slot = 100U + data;
    auto a = start_node("a" + std::to_string(data));
    auto b = start_node("b" + std::to_string(data));
    auto never = go(a.signer->sign_with_protection(request(1, slot), signs(a, milliseconds(20'000))));
    pass(milliseconds(700));
    a.life->kill();
    const auto began = time.now();
    const auto result = finish(go(b.signer->sign_with_protection(request(data, slot), signs(b))));
    EXPECT_TRUE(result) << message(result.error());
    EXPECT_LT(time.now() - began, milliseconds(2'120));
    EXPECT_TRUE(is_signed(data, slot));
  }
}

TEST_F(ProtocolTest, a_restarted_node_signs_again_within_three_seconds_and_clears_what_it_left) {
  auto a = start_node("a");
  auto never = go(a.signer->sign_with_protection(request(1), signs(a, milliseconds(20'000))));
  pass(milliseconds(100));
  a.life->kill();
  const auto began = time.now();
  auto again = start_node("a");
  const auto result = finish(go(again.signer->sign_with_protection(request(2), signs(again))));
  EXPECT_TRUE(result) << message(result.error());
  EXPECT_LT(time.now() - began, milliseconds(3'000));
  EXPECT_TRUE(is_signed(2));
}

TEST_F(ProtocolTest, after_a_clean_stop_the_same_node_id_starts_without_a_wait) {
  auto a = start_node("a");
  auto stopped = std::make_shared<std::optional<Unit>>();
  asio::co_spawn(time.io, a.signer->stop(), [stopped](std::exception_ptr) { stopped->emplace(); });
  finish(stopped);
  const auto began = time.now();
  auto again = start_node("a");
  EXPECT_LT(time.now() - began, milliseconds(10));
}

TEST_F(ProtocolTest, after_an_outage_the_lease_is_renewed_before_anything_is_claimed) {
  auto a = start_node("a");
  a.store->renewals.assign(40, Fate::kRefuse);
  pass(milliseconds(3'000));
  const int before = a.store->claims_asked;
  auto result = go(a.signer->sign_with_protection(request(), signs(a)));
  pass(milliseconds(200));
  EXPECT_EQ(a.store->claims_asked, before);
  EXPECT_TRUE(finish(result));
}

TEST_F(ProtocolTest, a_store_that_throws_anything_costs_heartbeats_and_not_the_node) {
  auto a = start_node("a");
  a.store->renewals.assign(40, Fate::kThrow);
  pass(milliseconds(3'000));
  EXPECT_FALSE(a.signer->lease_runs());
  pass(milliseconds(2'000));
  EXPECT_TRUE(a.signer->lease_runs());
  EXPECT_TRUE(finish(go(a.signer->sign_with_protection(request(), signs(a)))));
}

/// The store counts the lease from a moment after the request was sent, and before its answer came.
TEST_F(ProtocolTest, the_lease_ends_here_before_it_ends_in_the_store_however_slow_its_answers_are) {
  auto a = start_node("a");
  pass(milliseconds(600));
  a.store->renewal_answer_pause_ms = 1'900;
  pass(milliseconds(500));  // in which a heartbeat is sent
  const auto sent_by = time.now();
  pass(milliseconds(1'900));
  a.store->renewals.assign(1'000, Fate::kRefuse);
  EXPECT_TRUE(a.signer->healthy());
  pass(std::chrono::duration_cast<milliseconds>(sent_by + milliseconds(2'000) - time.now()));
  EXPECT_FALSE(a.signer->lease_runs());
}

TEST_F(ProtocolTest, no_two_attempts_of_a_process_have_the_same_token) {
  auto node = start_node("a");
  std::set<std::string> tokens;
  for (std::uint64_t slot = 100; slot < 120; ++slot) {
    ASSERT_TRUE(finish(go(node.signer->sign_with_protection(request(1, slot), signs(node)))));
    tokens.insert(view(slot).row->lock_token.str());
  }
  EXPECT_EQ(tokens.size(), 20U);
}

TEST_F(ProtocolTest, bad_input_is_refused_before_anything_is_written) {
  auto node = start_node("a");
  auto bad = request(1, 100, DutyType::kBlockProposal);
  for (const auto index :
       {std::optional<std::int64_t>{}, std::optional<std::int64_t>{-1}, std::optional<std::int64_t>{1LL << 31}}) {
    bad.context.block_index = index;
    const auto result = finish(go(node.signer->sign_with_protection(bad, signs(node))));
    const auto* error = error_of<InvalidInput>(result);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->field, "block index");
  }
  EXPECT_TRUE(tables->rows().empty());
  EXPECT_EQ(node.store->claims_asked, 0);
}

TEST_F(ProtocolTest, stop_returns_promptly_with_attempts_in_flight) {
  auto a = start_node("a");
  tables->insert_row(foreign_row(2, 101));
  auto signing = go(a.signer->sign_with_protection(request(1), signs(a, milliseconds(20'000))));
  auto waiting = go(a.signer->sign_with_protection(request(1, 101), signs(a)));
  pass(milliseconds(200));
  const auto began = time.now();
  auto stopped = std::make_shared<std::optional<Unit>>();
  asio::co_spawn(time.io, a.signer->stop(), [stopped](std::exception_ptr) { stopped->emplace(); });
  finish(stopped);
  EXPECT_LT(time.now() - began, milliseconds(2'000));
  EXPECT_TRUE(error_of<NotRunning>(finish(signing)));
  EXPECT_TRUE(error_of<NotRunning>(finish(waiting)));
  EXPECT_FALSE(view().row) << "what it held is released";
  EXPECT_TRUE(error_of<NotRunning>(finish(go(a.signer->sign_with_protection(request(1, 102), signs(a))))));
}

TEST_F(ProtocolTest, stop_ends_attempts_that_wait_for_the_lease) {
  auto a = start_node("a");
  a.store->renewals.assign(1'000, Fate::kRefuse);
  pass(milliseconds(3'000));
  auto waiting = go(a.signer->sign_with_protection(request(), signs(a)));
  pass(milliseconds(200));
  const auto began = time.now();
  auto stopped = std::make_shared<std::optional<Unit>>();
  asio::co_spawn(time.io, a.signer->stop(), [stopped](std::exception_ptr) { stopped->emplace(); });
  EXPECT_TRUE(error_of<NotRunning>(finish(waiting)));
  EXPECT_EQ(time.now(), began);
  finish(stopped);
}

TEST_F(ProtocolTest, stop_lets_a_sign_function_that_is_quick_enough_finish) {
  auto a = start_node("a");
  auto signing = go(a.signer->sign_with_protection(request(1), signs(a, milliseconds(300))));
  pass(milliseconds(50));
  auto stopped = std::make_shared<std::optional<Unit>>();
  asio::co_spawn(time.io, a.signer->stop(), [stopped](std::exception_ptr) { stopped->emplace(); });
  finish(stopped);
  EXPECT_TRUE(finish(signing));
  EXPECT_TRUE(is_signed(1));
}

TEST_F(ProtocolTest, stop_waits_for_the_answer_to_what_may_have_signed) {
  std::uint64_t slot = 100;
  for (const SignEffects effects : {SignEffects::kOutside, SignEffects::kNone}) {
    auto node = start_node("node-" + std::to_string(++slot));
    node.store->can_do.signed_claims = true;
    node.store->signing_pause_ms = 300;
    auto signing = go(node.signer->sign_with_protection(request(1, slot), signs(node), effects));
    pass(milliseconds(50));
    auto stopped = std::make_shared<std::optional<Unit>>();
    asio::co_spawn(time.io, node.signer->stop(), [stopped](std::exception_ptr) { stopped->emplace(); });
    finish(stopped);
    EXPECT_TRUE(finish(signing)) << "the answer was on its way";
    EXPECT_TRUE(is_signed(1, slot));
  }
}

TEST_F(ProtocolTest, stop_waits_for_releases_behind_their_answers) {
  auto node = start_node("a");
  node.store->releases = {Fate::kRefuse, Fate::kRefuse, Fate::kRefuse};
  ASSERT_TRUE(error_of<SignFunctionFailed>(finish(go(node.signer->sign_with_protection(request(), fails(node))))));
  ASSERT_TRUE(view().row) << "it is released behind the answer";
  auto stopped = std::make_shared<std::optional<Unit>>();
  asio::co_spawn(time.io, node.signer->stop(), [stopped](std::exception_ptr) { stopped->emplace(); });
  finish(stopped);
  EXPECT_FALSE(view().row);
}

TEST_F(ProtocolTest, the_sign_functions_error_is_reported_whatever_the_release_does) {
  auto node = start_node("a");
  node.store->releases = {Fate::kRefuse, Fate::kLoseReply, Fate::kRefuse};
  const auto result = finish(go(node.signer->sign_with_protection(request(), fails(node))));
  const auto* error = error_of<SignFunctionFailed>(result);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->cause, "the key is on holiday");
  pass(milliseconds(2'000));
  EXPECT_FALSE(view().row) << "the release is repeated behind the answer";
}

TEST_F(ProtocolTest, the_refusal_carries_what_a_crashed_winner_recorded) {
  auto a = start_node("a");
  ASSERT_TRUE(finish(go(a.signer->sign_with_protection(request(1), signs(a)))));
  a.life->kill();
  auto b = start_node("b");
  const auto result = finish(go(b.signer->sign_with_protection(request(1), signs(b))));
  const auto* error = error_of<DutyAlreadySigned>(result);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->signed_by, "a");
  EXPECT_EQ(error->signature, signature_of(1));
}

TEST_F(ProtocolTest, the_recorded_signature_is_the_result_where_the_configuration_asks_for_that) {
  auto a = start_node("a");
  const auto won = finish(go(a.signer->sign_with_protection(request(1), signs(a))));
  ASSERT_TRUE(won);
  EXPECT_FALSE(won->is_recorded);

  auto publishes_again = config("b");
  publishes_again.return_recorded = {DutyType::kAttestation};
  auto b = make_node(publishes_again);
  ASSERT_TRUE(finish(go(b.signer->start())));
  const auto sign_at_b = [&](SignRequest r) { return finish(go(b.signer->sign_with_protection(r, fails(b)))); };
  const auto recorded = sign_at_b(request(1));
  ASSERT_TRUE(recorded);
  EXPECT_TRUE(recorded->is_recorded);
  EXPECT_EQ(recorded->signature, won->signature);
  EXPECT_EQ(b.metrics->events[Metrics::Event::kRecordedReturned], 1);
  EXPECT_EQ(b.metrics->events[Metrics::Event::kSigningSuccess] + b.metrics->events[Metrics::Event::kDutyAlreadySigned],
            0);

  EXPECT_TRUE(error_of<SlashingProtection>(sign_at_b(request(2)))) << "other data";
  b.store->stored_confirmations = {Fate::kRefuse};
  EXPECT_TRUE(error_of<DutyAlreadySigned>(sign_at_b(request(1)))) << "not confirmed by a write of our own";
  signatures_are_genuine = false;
  EXPECT_TRUE(error_of<DutyAlreadySigned>(sign_at_b(request(1)))) << "not the validator's";
  signatures_are_genuine = true;
  const auto vote = request(1, 100, DutyType::kGovernanceVote);
  ASSERT_TRUE(finish(go(a.signer->sign_with_protection(vote, signs(a)))));
  EXPECT_TRUE(error_of<DutyAlreadySigned>(sign_at_b(vote))) << "another duty type";
}

TEST_F(ProtocolTest, a_planted_signature_is_given_to_no_caller_that_asks_for_the_check) {
  auto a = start_node("a");
  ASSERT_TRUE(finish(go(a.signer->sign_with_protection(request(1), signs(a)))));
  const auto foreign = [](const SignResult<SignedDuty>& result) {
    const auto* error = error_of<DutyAlreadySigned>(result);
    return error && !error->signature && error->has_unusable_signature;
  };
  const auto sign_at = [&](Node& node, std::uint8_t data, SignatureKind kind) {
    std::vector<SignCall> calls{{request(data), fails(node), SignEffects::kOutside, kind}};
    return finish(go(node.signer->sign_many(std::move(calls)))).front();
  };
  signatures_are_genuine = false;
  auto b = start_node("b");
  const auto unchecked = sign_at(b, 1, SignatureKind::kCallers);
  ASSERT_TRUE(error_of<DutyAlreadySigned>(unchecked));
  EXPECT_TRUE(error_of<DutyAlreadySigned>(unchecked)->signature) << "a caller's signatures may be of any kind";
  EXPECT_TRUE(foreign(sign_at(b, 1, SignatureKind::kValidatorKey)));

  auto checks = config("c");
  checks.check_signatures = true;
  auto c = make_node(checks);
  ASSERT_TRUE(finish(go(c.signer->start())));
  EXPECT_TRUE(foreign(sign_at(c, 1, SignatureKind::kCallers)));
  EXPECT_TRUE(error_of<SlashingProtection>(sign_at(c, 2, SignatureKind::kCallers))) << "other data is never signed";
  const auto claimed = finish(go(c.signer->check_and_record(request(1))));
  ASSERT_FALSE(claimed);
  const auto* already = std::get_if<DutyAlreadySigned>(&claimed.error());
  ASSERT_TRUE(already);
  EXPECT_FALSE(already->signature);
  EXPECT_TRUE(already->has_unusable_signature);
  EXPECT_NE(message(claimed.error()).find("holds no signature of validator"), std::string::npos);

  signatures_are_genuine = true;
  const auto genuine = sign_at(c, 1, SignatureKind::kCallers);
  ASSERT_TRUE(error_of<DutyAlreadySigned>(genuine));
  EXPECT_EQ(error_of<DutyAlreadySigned>(genuine)->signature, signature_of(1));
  EXPECT_FALSE(error_of<DutyAlreadySigned>(genuine)->has_unusable_signature);
}

TEST_F(ProtocolTest, a_signature_that_is_not_the_validators_is_not_recorded_where_that_is_checked) {
  auto checks = config("a");
  checks.check_signatures = true;
  auto node = make_node(checks);
  ASSERT_TRUE(finish(go(node.signer->start())));
  const auto held = finish(go(node.signer->check_and_record(request(1))));
  ASSERT_TRUE(held);
  signatures_are_genuine = false;
  const auto refused = finish(go(node.signer->record_success(*held, signature_of(1))));
  ASSERT_FALSE(refused);
  const auto* wrong = std::get_if<InvalidInput>(&refused.error());
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->field, "signature");
  EXPECT_EQ(node.store->records_asked, 0) << "nothing was written";
  signatures_are_genuine = true;
  EXPECT_TRUE(finish(go(node.signer->record_success(*held, signature_of(1)))));
}

TEST_F(ProtocolTest, a_stored_signature_is_handed_out_only_after_a_confirmed_write_of_our_own) {
  auto a = start_node("a");
  ASSERT_TRUE(finish(go(a.signer->sign_with_protection(request(1), signs(a)))));
  auto b = start_node("b");
  b.store->stored_confirmations = {Fate::kLoseRequest};
  const auto result = finish(go(b.signer->sign_with_protection(request(1), signs(b))));
  const auto* error = error_of<DutyAlreadySigned>(result);
  ASSERT_TRUE(error);
  EXPECT_FALSE(error->signature.has_value());
}

TEST_F(ProtocolTest, other_data_for_a_signed_duty_is_slashing_protection) {
  auto a = start_node("a");
  auto b = start_node("b");
  ASSERT_TRUE(finish(go(a.signer->sign_with_protection(request(1), signs(a)))));
  const auto result = finish(go(b.signer->sign_with_protection(request(2), signs(b))));
  const auto* error = error_of<SlashingProtection>(result);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->signed_by, "a");
  EXPECT_EQ(error->existing_hash, hash(1).to_string());
  EXPECT_EQ(b.metrics->events[Metrics::Event::kSlashingProtection], 1);
}

TEST_F(ProtocolTest, equal_duties_of_one_process_are_signed_once) {
  auto node = start_node("a");
  std::vector<SignCall> sign_calls;
  int calls = 0;
  for (int i = 0; i < 50; ++i) {
    sign_calls.push_back({request(static_cast<std::uint8_t>(1 + i % 2)), [&calls, &node, this](SignRequest r) {
                            ++calls;
                            return sign_after(node.life.get(), &time, milliseconds(5), std::move(r));
                          }});
  }
  const auto results = finish(go(node.signer->sign_many(sign_calls)));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(std::ranges::count_if(results, [](const auto& r) { return r.has_value(); }), 1);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i]) continue;
    EXPECT_EQ(i % 2 == 1, error_of<SlashingProtection>(results[i]) != nullptr) << message(results[i].error());
  }
}

TEST_F(ProtocolTest, an_attempt_waits_for_another_of_its_process_as_long_as_for_another_node) {
  auto node = start_node("a");
  auto slow = go(node.signer->sign_with_protection(request(1), signs(node, milliseconds(20'000))));
  pass(milliseconds(10));
  const auto began = time.now();
  const auto second = finish(go(node.signer->sign_with_protection(request(1), signs(node))));
  const auto* error = error_of<DutyAlreadySigned>(second);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->signed_by, kUnknownTimeout);
  EXPECT_GE(time.now() - began, milliseconds(3'000));
  EXPECT_LT(time.now() - began, milliseconds(3'010));
  EXPECT_TRUE(finish(slow));
}

TEST_F(ProtocolTest, many_duties_go_out_as_few_statements_and_come_back_in_order) {
  auto node = start_node("a");
  std::vector<SignCall> sign_calls;
  for (std::uint64_t slot = 500; slot > 0; --slot)
    sign_calls.push_back({request(static_cast<std::uint8_t>(slot), slot), signs(node)});
  const int claims = node.store->claims_asked, records = node.store->records_asked;
  const auto results = finish(go(node.signer->sign_many(sign_calls)));
  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i]);
    EXPECT_EQ(*results[i], signature_of(static_cast<std::uint8_t>(500 - i)));
  }
  EXPECT_LE(node.store->claims_asked - claims, 2);
  EXPECT_LE(node.store->records_asked - records, 2);
}

TEST_F(ProtocolTest, all_waiting_attempts_of_a_node_share_their_looks) {
  auto a = start_node("a");
  auto b = start_node("b");
  std::vector<SignCall> slow, waiting;
  for (std::uint64_t slot = 1; slot <= 200; ++slot) {
    slow.push_back({request(1, slot), signs(a, milliseconds(20))});
    waiting.push_back({request(1, slot), signs(b)});
  }
  auto winners = go(a.signer->sign_many(slow));
  pass(milliseconds(1));
  const auto results = finish(go(b.signer->sign_many(waiting)));
  EXPECT_LE(b.store->looks_asked, 10) << "200 attempts waited about 20 ms";
  for (const auto& result : results) EXPECT_TRUE(error_of<DutyAlreadySigned>(result));
}

TEST_F(ProtocolTest, a_waiting_node_learns_within_ten_milliseconds_and_looks_less_often_later) {
  auto a = start_node("a");
  auto b = start_node("b");
  auto winner = go(a.signer->sign_with_protection(request(1), signs(a, milliseconds(20))));
  pass(milliseconds(1));
  auto waiter = go(b.signer->sign_with_protection(request(1), signs(b)));
  finish(winner);
  const auto won_at = time.now();
  EXPECT_TRUE(error_of<DutyAlreadySigned>(finish(waiter)));
  EXPECT_LE(time.now() - won_at, milliseconds(6));

  auto slow = go(a.signer->sign_with_protection(request(1, 200), signs(a, milliseconds(2'900))));
  pass(milliseconds(1));
  const int before = b.store->looks_asked;
  EXPECT_TRUE(error_of<DutyAlreadySigned>(finish(go(b.signer->sign_with_protection(request(1, 200), signs(b))))));
  EXPECT_LT(b.store->looks_asked - before, 110);
}

TEST_F(ProtocolTest, a_sign_function_that_takes_too_long_releases_the_duty_and_its_late_signature_is_destroyed) {
  auto node = start_node("a");
  const auto result = finish(go(node.signer->sign_with_protection(request(), signs(node, milliseconds(31'000)))));
  const auto* error = error_of<SignTimedOut>(result);
  ASSERT_TRUE(error);
  EXPECT_EQ(message(*error), "Signing timed out after 30000ms");
  EXPECT_FALSE(view().row);
  pass(milliseconds(2'000));
  EXPECT_EQ(node.metrics->events[Metrics::Event::kLateSignatureDestroyed], 1);
  EXPECT_FALSE(view().row);
}

TEST_F(ProtocolTest, a_sign_call_that_the_attempts_deadline_cuts_reports_the_time_that_it_had) {
  auto short_attempts = config("a");
  short_attempts.attempt_timeout = milliseconds(500);
  auto node = make_node(short_attempts);
  ASSERT_TRUE(finish(go(node.signer->start())));
  const auto result = finish(go(node.signer->sign_with_protection(request(), signs(node, milliseconds(2'000)))));
  const auto* error = error_of<SignTimedOut>(result);
  ASSERT_TRUE(error);
  EXPECT_LE(error->timeout, milliseconds(500));
  EXPECT_GE(error->timeout, milliseconds(490));
}

TEST_F(ProtocolTest, attempts_that_release_behind_their_answers_are_bounded) {
  auto two = config("a");
  two.max_attempts_in_flight = 2;
  auto node = make_node(two);
  ASSERT_TRUE(finish(go(node.signer->start())));
  node.store->settled = false;
  for (std::uint64_t slot = 1; slot <= 5; ++slot) {
    EXPECT_TRUE(
        error_of<SignFunctionFailed>(finish(go(node.signer->sign_with_protection(request(1, slot), fails(node))))));
  }
  const int before = node.store->releases_asked;
  node.store->settled = true;
  pass(milliseconds(1'000));
  EXPECT_GE(node.store->releases_asked - before, 1);
  EXPECT_LE(node.store->releases_asked - before, 2) << "three of the five are left to the clean-up";
}

TEST_F(ProtocolTest, a_claim_in_doubt_is_released_again_until_it_can_no_longer_appear) {
  auto config_a = config("a");
  config_a.attempt_timeout = milliseconds(500);
  auto node = make_node(config_a);
  ASSERT_TRUE(finish(go(node.signer->start())));
  node.store->claims.assign(1'000, Fate::kLoseReply);
  node.store->settled = false;
  EXPECT_TRUE(error_of<Unavailable>(finish(go(node.signer->sign_with_protection(request(), signs(node))))));
  pass(milliseconds(3'000));
  const int asked = node.store->releases_asked;
  EXPECT_GT(asked, 3);
  node.store->settled = true;
  pass(milliseconds(3'000));
  const int settled_after = node.store->releases_asked;
  pass(milliseconds(3'000));
  EXPECT_EQ(node.store->releases_asked, settled_after);
  EXPECT_FALSE(view().row);
}

TEST_F(ProtocolTest, a_release_that_met_a_locked_row_is_asked_for_again) {
  auto node = start_node("a");
  node.store->releases.assign(3, Fate::kLocked);
  EXPECT_TRUE(error_of<SignFunctionFailed>(finish(go(node.signer->sign_with_protection(request(), fails(node))))));
  EXPECT_TRUE(view().row);
  pass(milliseconds(5'000));
  EXPECT_FALSE(view().row);
  EXPECT_EQ(node.store->releases_asked, 4);
}

TEST_F(ProtocolTest, a_release_behind_the_answer_has_the_time_of_any_other_request) {
  auto quick = config("a");
  quick.attempt_timeout = milliseconds(500);
  auto node = make_node(quick);
  ASSERT_TRUE(finish(go(node.signer->start())));
  node.store->claims.assign(1'000, Fate::kLoseReply);
  node.store->settled = false;
  EXPECT_TRUE(error_of<Unavailable>(finish(go(node.signer->sign_with_protection(request(), signs(node))))));
  node.store->release_pause_ms = 50;
  pass(milliseconds(1'000));
  node.store->settled = true;
  pass(milliseconds(2'000));
  const int asked = node.store->releases_asked;
  pass(milliseconds(3'000));
  EXPECT_EQ(node.store->releases_asked, asked) << "the answer that settles it was waited for";
}

TEST_F(ProtocolTest, unprotected_duties_are_signed_directly) {
  auto node = start_node("a");
  for (const auto type : {DutyType::kAuthRequest, DutyType::kTxs}) {
    EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(1, 100, type), signs(node)))));
    EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(2, 100, type), signs(node)))));
  }
  EXPECT_TRUE(tables->rows().empty());
}

asio::awaitable<SignOutcome> throws_a_number() {
  throw 42;
  co_return std::unexpected("never");
}

TEST_F(ProtocolTest, a_sign_function_may_throw_anything) {
  auto node = start_node("a");
  const SignFunction at_once = [](SignRequest) -> asio::awaitable<SignOutcome> { throw 42; };
  const SignFunction inside = [](SignRequest) { return throws_a_number(); };
  for (const auto& function : {at_once, inside}) {
    const auto result = finish(go(node.signer->sign_with_protection(request(), function)));
    const auto* error = error_of<SignFunctionFailed>(result);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->cause, "the sign function threw something that is not a std::exception");
    EXPECT_TRUE(tables->rows().empty()) << "the duty must be released";
  }
  EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(), signs(node)))));
}

class ThrowingMetrics final : public CountingMetrics {
 public:
  void count(Event event, DutyType type) override {
    if (event == Event::kLockAcquired) throw 42;
    CountingMetrics::count(event, type);
  }
};

TEST_F(ProtocolTest, a_port_that_throws_anything_leaves_no_caller_without_an_answer) {
  auto node = make_node(config("a"), std::nullopt, std::make_shared<ThrowingMetrics>());
  ASSERT_TRUE(finish(go(node.signer->start())));
  EXPECT_FALSE(finish(go(node.signer->sign_with_protection(request(), signs(node)))));
  EXPECT_FALSE(finish(go(node.signer->check_and_record(request()))));
  // An attempt that ends in this way lets the next one through to the duty.
  auto first = go(node.signer->sign_with_protection(request(2, 101), signs(node)));
  auto second = go(node.signer->sign_with_protection(request(2, 101), fails(node)));
  EXPECT_TRUE(error_of<InDoubt>(finish(first)));
  EXPECT_TRUE(error_of<InDoubt>(finish(second)));
  pass(milliseconds(1));
  EXPECT_EQ(node.signer->attempts_in_flight(), 0U);
}

TEST_F(ProtocolTest, more_attempts_than_allowed_are_refused) {
  auto small = config("a");
  small.max_attempts_in_flight = 10;
  auto node = make_node(small);
  ASSERT_TRUE(finish(go(node.signer->start())));
  std::vector<SignCall> sign_calls;
  for (std::uint64_t slot = 1; slot <= 12; ++slot) sign_calls.push_back({request(1, slot), signs(node)});
  const auto results = finish(go(node.signer->sign_many(sign_calls)));
  EXPECT_EQ(std::ranges::count_if(results, [](const auto& r) { return error_of<Overloaded>(r) != nullptr; }), 2);
}

TEST_F(ProtocolTest, nothing_is_claimed_while_too_many_sign_calls_hang) {
  auto few = config("a");
  few.max_overdue_sign_calls = 2;
  auto node = make_node(few);
  ASSERT_TRUE(finish(go(node.signer->start())));
  auto hangs = go(node.signer->sign_with_protection(request(1, 1), signs(node, std::chrono::hours(1))));
  auto returns = go(node.signer->sign_with_protection(request(1, 2), signs(node, std::chrono::minutes(1))));
  EXPECT_TRUE(error_of<SignTimedOut>(finish(hangs)));
  EXPECT_TRUE(error_of<SignTimedOut>(finish(returns)));
  const int claims_before = node.store->claims_asked;
  const auto refused = finish(go(node.signer->sign_with_protection(request(1, 3), signs(node))));
  const auto* error = error_of<Overloaded>(refused);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->by, Overloaded::By::kHangingSignCalls);
  EXPECT_NE(message(refused.error()).find("2 calls of the sign function have not returned"), std::string::npos);
  EXPECT_EQ(node.store->claims_asked, claims_before);
  EXPECT_TRUE(tables->rows().empty());
  pass(std::chrono::minutes(1));
  EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(1, 3), signs(node)))));
}

TEST_F(ProtocolTest, only_calls_that_bound_themselves_do_not_count_as_hanging) {
  auto one = config("a");
  one.max_overdue_sign_calls = 1;
  auto node = make_node(one);
  ASSERT_TRUE(finish(go(node.signer->start())));
  const auto hang = [&](std::uint64_t slot, bool bounds_itself) {
    std::vector<SignCall> calls{{.request = request(1, slot),
                                 .sign_function = signs(node, std::chrono::hours(1)),
                                 .signatures = SignatureKind::kValidatorKey,
                                 .bounds_itself = bounds_itself}};
    return finish(go(node.signer->sign_many(std::move(calls)))).front();
  };
  EXPECT_TRUE(error_of<SignTimedOut>(hang(1, true)));
  EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(1, 2), signs(node)))));
  EXPECT_TRUE(error_of<SignTimedOut>(hang(3, false))) << "of a validator's key, but it blocks in a device";
  EXPECT_TRUE(error_of<Overloaded>(finish(go(node.signer->sign_with_protection(request(1, 4), signs(node))))));
}

// Sign first: one round trip.

class SignFirst : public ProtocolTest {
 protected:
  SignFirst() {
    node = start_node("a");
    node.store->can_do.signed_claims = true;
  }
  SignResult<SignedDuty> sign(Node& by, std::uint8_t data = 1, std::uint64_t slot = 100, milliseconds length = {}) {
    auto signing = by.signer->sign_with_protection(request(data, slot), signs(by, length), SignEffects::kNone);
    return finish(go(std::move(signing)));
  }

  Node node;
};

TEST_F(SignFirst, one_request_signs_a_duty) {
  EXPECT_TRUE(sign(node));
  EXPECT_TRUE(is_signed(1));
  EXPECT_EQ(node.store->signed_claims_asked, 1);
  EXPECT_EQ(node.store->claims_asked + node.store->records_asked + node.store->looks_asked, 0);
  EXPECT_EQ(node.metrics->events[Metrics::Event::kLockAcquired], 1);
}

TEST_F(SignFirst, a_sign_function_with_effects_outside_is_called_only_for_a_duty_that_is_held) {
  EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(), signs(node)))));
  EXPECT_EQ(node.store->signed_claims_asked, 0);
  EXPECT_EQ(node.store->claims_asked, 1);
}

TEST_F(SignFirst, a_lost_reply_is_repeated_and_recognises_its_own_row) {
  node.store->signed_claims = {Fate::kLoseReply, Fate::kLoseReply};
  EXPECT_TRUE(sign(node));
  EXPECT_EQ(node.store->signed_claims_asked, 3);
  EXPECT_EQ(tables->rows().size(), 1U);
}

TEST_F(SignFirst, without_an_answer_the_duty_is_in_doubt_and_the_row_stays) {
  node.store->signed_claims.assign(100'000, Fate::kLoseReply);
  const auto result = sign(node);
  EXPECT_TRUE(error_of<InDoubt>(result));
  EXPECT_TRUE(is_signed(1));
  pass(std::chrono::minutes(5));
  EXPECT_TRUE(is_signed(1)) << "nothing releases a signed row";
}

TEST_F(SignFirst, a_store_that_was_never_reached_is_unavailable) {
  node.store->signed_claims.assign(100'000, Fate::kRefuse);
  EXPECT_TRUE(error_of<Unavailable>(sign(node)));
  EXPECT_TRUE(tables->rows().empty());
}

TEST_F(SignFirst, a_duty_that_another_node_has_signed_is_refused_by_the_rules_of_the_two_steps) {
  auto other = start_node("b");
  ASSERT_TRUE(finish(go(other.signer->sign_with_protection(request(1), signs(other)))));
  const auto same = sign(node, 1);
  const auto* already = error_of<DutyAlreadySigned>(same);
  ASSERT_TRUE(already);
  EXPECT_EQ(already->signed_by, "b");
  EXPECT_TRUE(already->signature.has_value());
  EXPECT_EQ(node.store->records_asked, 0);
  EXPECT_TRUE(error_of<SlashingProtection>(sign(node, 2)));
  EXPECT_EQ(tables->rows().size(), 1U);
}

TEST_F(SignFirst, the_same_data_is_taken_over_at_once_and_other_data_waits_for_the_holder) {
  auto other = start_node("b");
  auto slow = go(other.signer->sign_with_protection(request(1), signs(other, milliseconds(1'000))));
  pass(milliseconds(10));
  EXPECT_TRUE(sign(node, 1));
  EXPECT_EQ(node.metrics->events[Metrics::Event::kTakenOver], 1);
  EXPECT_TRUE(error_of<DutyAlreadySigned>(finish(slow)));
  auto slow_again = go(other.signer->sign_with_protection(request(1, 101), signs(other, milliseconds(1'000))));
  pass(milliseconds(10));
  EXPECT_TRUE(error_of<SlashingProtection>(sign(node, 2, 101)));
  EXPECT_TRUE(finish(slow_again));
}

TEST_F(SignFirst, a_failing_sign_function_leaves_nothing_to_release) {
  auto signing = node.signer->sign_with_protection(request(), fails(node), SignEffects::kNone);
  EXPECT_TRUE(error_of<SignFunctionFailed>(finish(go(std::move(signing)))));
  EXPECT_EQ(node.store->signed_claims_asked + node.store->releases_asked, 0);
}

TEST_F(SignFirst, nothing_is_signed_under_a_watermark) {
  tables->set_watermarks(rollup(), rollup(9), DutyType::kAttestation,
                         WatermarkChange{.low = std::optional(*Slot::from(100)), .high = {}});
  EXPECT_TRUE(error_of<OutsideWatermark>(sign(node)));
  EXPECT_TRUE(tables->rows().empty());
}

// Liveness: a record that the database does not accept although the row is ours.

TEST_F(ProtocolTest, a_record_that_never_matches_ends_soon_with_the_reason_and_few_requests) {
  auto node = start_node("a");
  node.store->records.assign(100'000, Fate::kNotMatched);
  const auto began = node.life->now();
  const auto result = finish(go(node.signer->sign_with_protection(request(), signs(node))));
  const auto* error = error_of<Unavailable>(result);
  ASSERT_TRUE(error);
  EXPECT_NE(error->reason.find("does not accept the record"), std::string::npos);
  EXPECT_LT(node.life->now() - began, std::chrono::seconds(2));
  EXPECT_LE(node.store->records_asked, 5);
  EXPECT_TRUE(tables->rows().empty()) << "the duty is free again";
}

TEST_F(ProtocolTest, the_steps_on_their_own_protect_as_well) {
  auto node = start_node("a");
  auto held = finish(go(node.signer->check_and_record(request(1))));
  ASSERT_TRUE(held);
  EXPECT_EQ(held->lock_token.kind(), TokenKind::kHandedOut);
  auto wrong = *held;
  wrong.lock_token = LockToken("00000000000000000000000000000000");
  const auto refused = finish(go(node.signer->record_success(wrong, signature_of(1))));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(std::holds_alternative<SigningLockLost>(refused.error()));
  EXPECT_TRUE(finish(go(node.signer->record_success(*held, signature_of(1)))));
  EXPECT_TRUE(is_signed(1));
  EXPECT_FALSE(finish(go(node.signer->delete_duty(*held))).value()) << "a signed duty stays";

  auto free_again = finish(go(node.signer->check_and_record(request(1, 101))));
  ASSERT_TRUE(free_again);
  EXPECT_TRUE(finish(go(node.signer->delete_duty(*free_again))).value());
  EXPECT_FALSE(view(101).row);
}

TEST_F(ProtocolTest, a_callers_record_that_matches_nothing_says_why) {
  auto node = start_node("a");
  auto held = finish(go(node.signer->check_and_record(request(1))));
  ASSERT_TRUE(held);
  const auto record = [&] { return finish(go(node.signer->record_success(*held, signature_of(1)))); };

  node.store->records.assign(5, Fate::kNotMatched);
  const auto not_accepted = record();
  ASSERT_FALSE(not_accepted);
  const auto* unavailable = std::get_if<Unavailable>(&not_accepted.error());
  ASSERT_TRUE(unavailable) << message(not_accepted.error());
  EXPECT_NE(unavailable->reason.find("does not accept the record"), std::string::npos);

  tables->set_watermarks(rollup(), rollup(9), DutyType::kAttestation, {.low = *Slot::from(100)});
  const auto forbidden = record();
  ASSERT_FALSE(forbidden);
  EXPECT_TRUE(std::holds_alternative<OutsideWatermark>(forbidden.error())) << message(forbidden.error());
  EXPECT_TRUE(view().row) << "the row is the caller's, so it stays";

  ASSERT_TRUE(tables->delete_row(memory::key_of(key())));
  const auto lost = record();
  ASSERT_FALSE(lost);
  EXPECT_TRUE(std::holds_alternative<SigningLockLost>(lost.error())) << message(lost.error());
  EXPECT_TRUE(tables->rows().empty()) << "a caller's record claims nothing anew";
}

TEST_F(ProtocolTest, a_callers_replacement_is_handed_out_only_when_a_later_look_refuses_nothing) {
  auto a = start_node("a");
  go(a.signer->sign_with_protection(request(1), signs(a, std::chrono::hours(1))));
  pass(milliseconds(100));
  a.life->kill();
  auto b = start_node("b");
  b.store->before_take_over = [&] {
    tables->set_watermarks(rollup(), rollup(9), DutyType::kAttestation, {.low = *Slot::from(100)});
  };
  const auto refused = finish(go(b.signer->check_and_record(request(2))));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(std::holds_alternative<OutsideWatermark>(refused.error())) << message(refused.error());
  EXPECT_FALSE(view().row) << "the replacement is released again";

  tables->set_watermarks(rollup(), rollup(9), DutyType::kAttestation, {.low = std::optional<Slot>()});
  b.store->before_take_over = nullptr;
  EXPECT_TRUE(finish(go(b.signer->check_and_record(request(2)))));
}

TEST_F(ProtocolTest, a_row_handed_out_by_the_step_api_is_treated_like_a_foreign_one) {
  auto a = start_node("a");
  ASSERT_TRUE(finish(go(a.signer->check_and_record(request(1)))));
  a.life->kill();
  auto b = start_node("b");
  EXPECT_TRUE(error_of<DutyAlreadySigned>(finish(go(b.signer->sign_with_protection(request(2), signs(b))))));
  auto again = start_node("a");
  pass(std::chrono::minutes(10));
  EXPECT_TRUE(view().row) << "no clean-up takes it from its caller";
  EXPECT_TRUE(finish(go(b.signer->sign_with_protection(request(1), signs(b)))));
}

TEST_F(ProtocolTest, own_stuck_rows_are_deleted_at_the_stuck_age) {
  auto node = start_node("a");
  node.store->records.assign(10'000, Fate::kLoseRequest);
  EXPECT_TRUE(error_of<InDoubt>(finish(go(node.signer->sign_with_protection(request(), signs(node))))));
  ASSERT_TRUE(view().row);
  pass(milliseconds(144'000));
  EXPECT_FALSE(view().row);
}

TEST_F(ProtocolTest, rows_of_an_earlier_incarnation_are_deleted_at_the_start_of_the_next) {
  auto node = start_node("a");
  auto never = go(node.signer->sign_with_protection(request(), signs(node, std::chrono::minutes(1))));
  pass(milliseconds(100));
  ASSERT_TRUE(view().row);
  node.life->kill();
  auto again = start_node("a");
  pass(milliseconds(1'000));
  EXPECT_FALSE(view().row);
}

TEST_F(ProtocolTest, a_signature_that_another_history_does_not_have_is_not_handed_out) {
  auto a = start_node("a");
  ASSERT_TRUE(finish(go(a.signer->sign_with_protection(request(1), signs(a)))));
  auto b = start_node("b");
  // Between the look and the confirmation a standby without this row takes over.
  b.store->before_confirm_stored = [this] { tables->row(memory::key_of(key()))->status = DutyStatus::kSigning; };
  const auto result = finish(go(b.signer->sign_with_protection(request(1), signs(b))));
  const auto* error = error_of<DutyAlreadySigned>(result);
  ASSERT_TRUE(error);
  EXPECT_FALSE(error->signature.has_value());
}

TEST_F(ProtocolTest, signers_slower_than_the_peer_time_out_do_not_rob_each_other_without_end) {
  std::vector<Node> nodes;
  for (const auto* id : {"a", "b", "c"}) nodes.push_back(start_node(id));
  std::vector<std::shared_ptr<std::optional<SignResult<SignedDuty>>>> results;
  const auto began = time.now();
  for (auto& node : nodes) {
    results.push_back(go(node.signer->sign_with_protection(request(1), signs(node, milliseconds(3'500)))));
  }
  int won = 0;
  for (auto& result : results) {
    const auto answer = finish(result);
    won += answer.has_value();
    if (answer) continue;
    EXPECT_TRUE(error_of<DutyAlreadySigned>(answer)) << message(answer.error());
  }
  EXPECT_EQ(won, 1);
  EXPECT_LT(time.now() - began, milliseconds(7'500));
}

TEST_F(ProtocolTest, a_claim_that_a_failover_lost_is_made_again_for_the_signature_in_hand) {
  auto node = start_node("a");
  int calls = 0;
  auto result = go(node.signer->sign_with_protection(request(1), [&](SignRequest r) {
    ++calls;
    return sign_after(node.life.get(), &time, milliseconds(500), std::move(r));
  }));
  pass(milliseconds(100));
  ASSERT_TRUE(tables->delete_row(memory::key_of(key())));
  EXPECT_TRUE(finish(result));
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(is_signed(1));
}

TEST_F(ProtocolTest, a_lost_claim_is_not_made_again_where_a_watermark_forbids_it_or_another_has_other_data) {
  auto a = start_node("a");
  auto b = start_node("b");
  auto forbidden = go(a.signer->sign_with_protection(request(1), signs(a, milliseconds(500))));
  auto robbed = go(a.signer->sign_with_protection(request(1, 200), signs(a, milliseconds(500))));
  pass(milliseconds(100));
  ASSERT_TRUE(tables->delete_row(memory::key_of(key())));
  tables->set_watermarks(rollup(), rollup(9), DutyType::kAttestation, {.low = *Slot::from(100)});
  ASSERT_TRUE(tables->delete_row(memory::key_of(key(200))));
  ASSERT_TRUE(finish(go(b.signer->sign_with_protection(request(2, 200), signs(b)))));
  EXPECT_TRUE(error_of<OutsideWatermark>(finish(forbidden)));
  EXPECT_TRUE(error_of<SigningLockLost>(finish(robbed)));
  EXPECT_FALSE(view().row);
  EXPECT_TRUE(is_signed(2, 200));
}

TEST_F(ProtocolTest, starting_twice_at_once_starts_once) {
  auto node = make_node(config("a"));
  node.store->registration_pause_ms = 50;
  auto first = go(node.signer->start());
  auto second = go(node.signer->start());
  EXPECT_TRUE(finish(first));
  EXPECT_TRUE(finish(second));
  pass(milliseconds(2'000));
  EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(), signs(node)))));
}

TEST_F(ProtocolTest, a_signer_stopped_while_it_starts_does_not_come_alive) {
  auto node = make_node(config("a"));
  node.store->registration_pause_ms = 500;
  auto started = go(node.signer->start());
  pass(milliseconds(50));
  auto stopped = std::make_shared<std::optional<Unit>>();
  asio::co_spawn(time.io, node.signer->stop(), [stopped](std::exception_ptr) { stopped->emplace(); });
  finish(stopped);
  EXPECT_FALSE(finish(started));
  pass(milliseconds(3'000));
  EXPECT_FALSE(node.signer->healthy());
  const auto began = time.now();
  auto heir = start_node("a");
  EXPECT_LT(time.now() - began, milliseconds(10)) << "its lease was given back";
}

TEST_F(ProtocolTest, a_node_that_its_store_has_forgotten_registers_again) {
  auto node = start_node("a");
  tables->forget_node("a");
  pass(milliseconds(5'000));
  EXPECT_TRUE(node.signer->healthy());
  EXPECT_TRUE(node.signer->lease_runs());
  EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(), signs(node)))));
}

TEST_F(ProtocolTest, a_node_that_its_store_has_forgotten_in_an_outage_claims_as_soon_as_it_has_registered) {
  auto node = start_node("a");
  node.store->renewals.assign(30, Fate::kRefuse);
  pass(milliseconds(2'500));
  ASSERT_FALSE(node.signer->lease_runs());
  tables->forget_node("a");
  while (!node.store->renewals.empty()) pass(milliseconds(1));
  pass(milliseconds(110));  // until the next renewal
  EXPECT_TRUE(node.signer->lease_runs());
}

TEST_F(ProtocolTest, a_holder_that_is_silent_by_our_own_clock_is_replaced_though_the_stores_clock_went_back) {
  tables->set_lease("a", tables->now() + std::chrono::hours(1));
  const auto began = time.now();
  auto node = start_node("a");
  EXPECT_GE(time.now() - began, milliseconds(4'000)) << "two leases of silence";
  EXPECT_LT(time.now() - began, milliseconds(4'500));
  EXPECT_TRUE(node.signer->healthy());
}

TEST_F(ProtocolTest, a_claim_that_is_still_out_when_its_attempt_ends_is_released_when_it_wins) {
  auto quick = config("a");
  quick.attempt_timeout = milliseconds(200);
  auto node = make_node(quick);
  ASSERT_TRUE(finish(go(node.signer->start())));
  node.store->claim_pause_ms = 2'000;
  EXPECT_TRUE(error_of<Unavailable>(finish(go(node.signer->sign_with_protection(request(1), signs(node))))));
  pass(milliseconds(3'000));
  EXPECT_FALSE(view().row) << "the claim won after its attempt had ended";
  EXPECT_GT(node.store->releases_asked, 0);
}

TEST_F(ProtocolTest, a_repeated_claim_that_is_still_out_when_its_attempt_ends_is_released_when_it_wins) {
  auto quick = config("a");
  quick.attempt_timeout = milliseconds(200);
  auto node = make_node(quick);
  ASSERT_TRUE(finish(go(node.signer->start())));
  node.store->claims = {Fate::kLoseRequest};
  node.store->claim_pause_ms = 2'000;
  EXPECT_TRUE(error_of<Unavailable>(finish(go(node.signer->sign_with_protection(request(1), signs(node))))));
  EXPECT_EQ(node.store->claims_asked, 2);
  pass(milliseconds(3'000));
  EXPECT_FALSE(view().row) << "the second claim won after its attempt had ended";
}

TEST_F(ProtocolTest, a_replacement_that_is_still_out_when_its_attempt_ends_is_released_when_it_is_carried_out) {
  for (const auto& earlier : {std::deque<Fate>{}, std::deque{Fate::kLoseRequest}}) {
    const std::uint64_t slot = 100 + earlier.size();
    auto holder = start_node("holder-" + std::to_string(slot));
    auto never = go(holder.signer->sign_with_protection(request(1, slot), signs(holder, milliseconds(20'000))));
    pass(milliseconds(700));
    holder.life->kill();
    auto quick = config("node-" + std::to_string(slot));
    quick.attempt_timeout = milliseconds(3'000);
    auto node = make_node(quick);
    ASSERT_TRUE(finish(go(node.signer->start())));
    node.store->takeovers = earlier;
    node.store->takeover_pause_ms = 4'000;
    EXPECT_TRUE(error_of<Unavailable>(finish(go(node.signer->sign_with_protection(request(2, slot), signs(node))))));
    EXPECT_EQ(view(slot).row->message_hash, hash(1)) << "not carried out yet";
    pass(milliseconds(6'000));
    EXPECT_FALSE(view(slot).row);
  }
}

TEST_F(ProtocolTest, a_callers_row_that_is_locked_is_not_told_as_gone) {
  auto node = start_node("a");
  auto held = finish(go(node.signer->check_and_record(request(1))));
  ASSERT_TRUE(held);
  node.store->releases = {Fate::kLocked};
  const auto deleted = finish(go(node.signer->delete_duty(*held)));
  ASSERT_FALSE(deleted);
  EXPECT_TRUE(std::holds_alternative<Unavailable>(deleted.error()));
  EXPECT_TRUE(finish(go(node.signer->delete_duty(*held))).value());
}

TEST_F(ProtocolTest, a_caller_of_the_step_api_takes_the_same_data_over_and_cannot_delete_it_then) {
  tables->insert_row(foreign_row(1));
  auto node = start_node("a");
  auto held = finish(go(node.signer->check_and_record(request(1))));
  ASSERT_TRUE(held);
  EXPECT_EQ(held->lock_token.kind(), TokenKind::kTakenOver);
  EXPECT_FALSE(finish(go(node.signer->delete_duty(*held))).value());
  EXPECT_TRUE(view().row);
  EXPECT_TRUE(finish(go(node.signer->record_success(*held, signature_of(1)))));
}

TEST_F(ProtocolTest, a_callers_takeover_whose_reply_was_lost_is_confirmed_by_its_repetition) {
  tables->insert_row(foreign_row(1));
  auto node = start_node("a");
  node.store->takeovers = {Fate::kLoseReply};
  auto held = finish(go(node.signer->check_and_record(request(1))));
  ASSERT_TRUE(held) << message(held.error());
  EXPECT_EQ(held->lock_token.kind(), TokenKind::kTakenOver);
  EXPECT_EQ(view().row->lock_token, held->lock_token);
  EXPECT_EQ(node.store->takeovers_asked, 2);
  EXPECT_EQ(node.store->claims_asked, 1);
}

TEST_F(ProtocolTest, nothing_is_signed_before_start) {
  auto node = make_node(config("a"));
  EXPECT_TRUE(error_of<NotRunning>(finish(go(node.signer->sign_with_protection(request(), signs(node))))));
  EXPECT_TRUE(tables->rows().empty());
}

// --- preferred nodes, and health

TEST_F(ProtocolTest, a_reserve_node_neither_signs_nor_claims_before_its_delay_has_passed) {
  for (const auto effects : {SignEffects::kOutside, SignEffects::kNone}) {
    auto reserve = start_reserve(effects == SignEffects::kNone ? "a" : "b");
    reserve.store->can_do.signed_claims = true;
    const std::uint64_t slot = effects == SignEffects::kNone ? 101 : 100;
    bool was_called = false;
    const SignFunction sign_function = [&was_called, signs = signs(reserve)](SignRequest r) {
      was_called = true;
      return signs(std::move(r));
    };
    const auto began = time.now();
    auto attempt = go(reserve.signer->sign_with_protection(request(1, slot), sign_function, effects));
    pass(kClaimDelay - milliseconds(1));
    EXPECT_FALSE(was_called);
    EXPECT_EQ(reserve.store->claims_asked + reserve.store->signed_claims_asked + reserve.store->looks_asked, 0);
    EXPECT_TRUE(finish(attempt));
    EXPECT_LT(time.now() - began, kClaimDelay + milliseconds(20));
    EXPECT_EQ(reserve.metrics->events[Metrics::Event::kHeldBack], 1);
  }
}

TEST_F(ProtocolTest, the_preferred_node_wins_and_the_reserve_node_is_told_what_it_would_be_told_without_a_delay) {
  auto preferred = start_node("preferred");
  auto reserve = start_reserve("reserve");
  for (std::uint64_t slot = 100; slot < 120; ++slot) {
    const std::uint8_t data = slot % 2 == 0 ? 1 : 2;
    auto second = go(reserve.signer->sign_with_protection(request(data, slot), signs(reserve)));
    auto first = go(preferred.signer->sign_with_protection(request(1, slot), signs(preferred)));
    EXPECT_TRUE(finish(first));
    const auto refused = finish(second);
    if (data == 1) {
      const auto* already = error_of<DutyAlreadySigned>(refused);
      ASSERT_TRUE(already);
      EXPECT_EQ(already->signature, signature_of(1));
      EXPECT_EQ(already->signed_by, "preferred");
    } else {
      EXPECT_TRUE(error_of<SlashingProtection>(refused));
    }
  }
}

TEST_F(ProtocolTest, a_reserve_node_signs_what_a_killed_preferred_node_held_within_the_lease) {
  auto preferred = start_node("preferred");
  auto reserve = start_reserve("reserve");
  auto never = go(preferred.signer->sign_with_protection(request(1), signs(preferred, milliseconds(20'000))));
  auto attempt = go(reserve.signer->sign_with_protection(request(2), signs(reserve)));
  pass(milliseconds(100));
  preferred.life->kill();
  const auto began = time.now();
  EXPECT_TRUE(finish(attempt));
  // The delay passes while the lease runs out.
  EXPECT_LT(time.now() - began, milliseconds(2'120));
  EXPECT_TRUE(is_signed(2));
}

TEST_F(ProtocolTest, a_repeated_request_does_not_wait_again) {
  auto reserve = start_reserve("reserve");
  auto first = go(reserve.signer->sign_with_protection(request(), signs(reserve, milliseconds(100))));
  pass(kClaimDelay + milliseconds(50));
  auto during = go(reserve.signer->sign_with_protection(request(), signs(reserve)));
  EXPECT_TRUE(finish(first));
  auto began = time.now();
  EXPECT_TRUE(error_of<DutyAlreadySigned>(finish(during)));
  EXPECT_LT(time.now() - began, milliseconds(10)) << "it waited for its turn, which the first attempt had";
  pass(milliseconds(5'000));
  began = time.now();
  EXPECT_TRUE(error_of<DutyAlreadySigned>(finish(go(reserve.signer->sign_with_protection(request(), signs(reserve))))));
  EXPECT_LT(time.now() - began, milliseconds(10));
  EXPECT_EQ(reserve.metrics->events[Metrics::Event::kHeldBack], 1);
}

TEST_F(ProtocolTest, stop_ends_a_delay_at_once_and_nothing_is_claimed) {
  for (const auto effects : {SignEffects::kOutside, SignEffects::kNone}) {
    auto reserve = start_reserve(effects == SignEffects::kNone ? "a" : "b");
    reserve.store->can_do.signed_claims = true;
    bool was_called = false;
    const SignFunction sign_function = [&was_called, signs = signs(reserve, milliseconds(500))](SignRequest r) {
      was_called = true;
      return signs(std::move(r));
    };
    auto attempt = go(reserve.signer->sign_with_protection(request(), sign_function, effects));
    pass(milliseconds(100));
    const auto began = time.now();
    auto stopped = std::make_shared<std::optional<Unit>>();
    asio::co_spawn(time.io, reserve.signer->stop(), [stopped](std::exception_ptr) { stopped->emplace(); });
    EXPECT_TRUE(error_of<NotRunning>(finish(attempt)));
    finish(stopped);
    EXPECT_LT(time.now() - began, milliseconds(20));
    EXPECT_FALSE(was_called);
    EXPECT_EQ(reserve.store->claims_asked + reserve.store->signed_claims_asked, 0);
    EXPECT_EQ(reserve.signer->attempts_in_flight(), 0);
  }
}

TEST_F(ProtocolTest, a_caller_of_the_steps_waits_for_its_claim_only) {
  auto reserve = start_reserve("reserve");
  auto began = time.now();
  const auto held = finish(go(reserve.signer->check_and_record(request(1))));
  ASSERT_TRUE(held);
  EXPECT_GE(time.now() - began, kClaimDelay);
  began = time.now();
  EXPECT_TRUE(finish(go(reserve.signer->record_success(*held, signature_of(1)))));
  EXPECT_LT(time.now() - began, milliseconds(10));
  const auto released = finish(go(reserve.signer->check_and_record(request(1, 101))));
  ASSERT_TRUE(released);
  began = time.now();
  EXPECT_TRUE(finish(go(reserve.signer->delete_duty(*released))));
  EXPECT_LT(time.now() - began, milliseconds(10));
}

TEST_F(ProtocolTest, what_needs_no_protection_is_not_held_back) {
  auto reserve = start_reserve("reserve");
  const auto began = time.now();
  EXPECT_TRUE(
      finish(go(reserve.signer->sign_with_protection(request(1, 100, DutyType::kAuthRequest), signs(reserve)))));
  EXPECT_LT(time.now() - began, milliseconds(10));
}

TEST_F(ProtocolTest, a_thousand_held_back_duties_go_out_together) {
  auto reserve = start_reserve("reserve");
  std::vector<SignCall> calls;
  for (std::uint64_t slot = 1; slot <= 1'000; ++slot) calls.push_back({request(1, slot), signs(reserve)});
  const auto began = time.now();
  for (const auto& result : finish(go(reserve.signer->sign_many(std::move(calls))))) EXPECT_TRUE(result);
  EXPECT_LT(time.now() - began, kClaimDelay + milliseconds(50));
  EXPECT_LE(reserve.store->claims_asked, 10);
}

TEST_F(ProtocolTest, an_unhealthy_node_loses_to_a_reserve_node_and_signs_where_there_is_no_other) {
  const auto health = std::make_shared<NodeHealth>(NodeHealth::Rules{.failures_in_a_row = 1});
  auto unhealthy = make_node(config("preferred"), std::nullopt, std::make_shared<CountingMetrics>(), health);
  ASSERT_TRUE(finish(go(unhealthy.signer->start())));
  auto reserve = start_reserve("reserve");
  ASSERT_TRUE(health->note(std::unexpected(std::string("it has no peers"))));
  auto first = go(unhealthy.signer->sign_with_protection(request(1), signs(unhealthy)));
  auto second = go(reserve.signer->sign_with_protection(request(2), signs(reserve)));
  EXPECT_TRUE(finish(second));
  EXPECT_TRUE(error_of<SlashingProtection>(finish(first)));
  reserve.life->kill();
  const auto began = time.now();
  EXPECT_TRUE(finish(go(unhealthy.signer->sign_with_protection(request(1, 101), signs(unhealthy)))));
  EXPECT_GE(time.now() - began, milliseconds(1'000));
  EXPECT_LT(time.now() - began, milliseconds(1'020));
}

TEST_F(ProtocolTest, a_node_that_refuses_while_it_is_unhealthy_writes_nothing_and_says_why) {
  const auto health =
      std::make_shared<NodeHealth>(NodeHealth::Rules{.failures_in_a_row = 1, .action = NodeHealth::Action::kRefuse});
  auto node = make_node(config("a"), std::nullopt, std::make_shared<CountingMetrics>(), health);
  ASSERT_TRUE(finish(go(node.signer->start())));
  ASSERT_TRUE(health->note(std::unexpected(std::string("the health URL answered with HTTP status 500"))));
  const auto refused = finish(go(node.signer->sign_with_protection(request(), signs(node))));
  ASSERT_TRUE(error_of<Unhealthy>(refused));
  EXPECT_EQ(
      message(refused.error()),
      "This node takes no new duties, since its health check fails: the health URL answered with HTTP status 500");
  const auto step = finish(go(node.signer->check_and_record(request())));
  ASSERT_FALSE(step);
  EXPECT_EQ(kind_name(step.error()), "unhealthy");
  EXPECT_EQ(node.store->claims_asked, 0);
  EXPECT_EQ(node.metrics->events[Metrics::Event::kUnhealthy], 2);
  EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(1, 100, DutyType::kAuthRequest), signs(node)))));
  ASSERT_TRUE(health->note({}));
  EXPECT_TRUE(finish(go(node.signer->sign_with_protection(request(), signs(node)))));
}

}  // namespace
}  // namespace hasigner::simulation
