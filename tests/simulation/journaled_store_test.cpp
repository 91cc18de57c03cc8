#include "hasigner/protection/journaled_store.hpp"

#include <gtest/gtest.h>

#include "tests/simulation/faulty_store.hpp"
#include "tests/simulation/sim_journal.hpp"

namespace hasigner::simulation {
namespace {

Settings calm_settings() {
  Settings settings;
  for (const auto& [name, probability] : kProbabilities) settings.*probability = 0;
  return settings;
}

Duty duty_with(std::uint8_t message, std::uint64_t slot = 5) {
  Duty duty{.key = {.rollup = rollup(), .validator = address_of(0xbb, 1), .slot = *Slot::from(slot)},
            .block_number = {},
            .checkpoint_number = {},
            .message_hash = {}};
  duty.message_hash.bytes().fill(message);
  return duty;
}

JournalEntry entry_of(const Duty& duty) {
  return {.key = duty.key,
          .message_hash = duty.message_hash,
          .signature = signature_of(duty.message_hash),
          .handed_out = {},
          .is_settled = true};
}

/// Releases every message for the duties that it is told.
class WillingClaims final : public ClaimedMessages {
 public:
  StoreBatch<ClaimedOutcome> release_claimed(NodeId, std::vector<ClaimedMessage> messages, MonotonicTime) override {
    std::vector<ClaimedOutcome> outcomes;
    for (const auto& message : messages) outcomes.push_back(Released{.signature = message.signature, .duties = duties});
    co_return outcomes;
  }
  asio::awaitable<StoreResult<std::vector<FoundDuty>>> about_message(ClaimedMessage, MonotonicTime) override {
    co_return std::vector<FoundDuty>();
  }
  std::vector<DutyKey> duties;
};

ClaimedMessage claimed_message(const Duty& duty) {
  return {.key = {.rollup = duty.key.rollup,
                  .validator = duty.key.validator,
                  .message_hash = duty.message_hash,
                  .digest = duty.message_hash},
          .duty_types = {duty.key.duty_type},
          .slot = std::nullopt,
          .signature = signature_of(duty.message_hash)};
}

/// A store, and time that passes when a test says so.
struct OnOneStore : testing::Test {
  void pass(milliseconds time) {
    bool done = false;
    shared.time.at(shared.time.now() + time, [&done] { done = true; });
    while (!done) shared.time.step();
  }
  template <class T>
  T run(asio::awaitable<T> coroutine) {
    std::optional<T> result;
    asio::co_spawn(shared.time.io, std::move(coroutine),
                   [&](std::exception_ptr, T value) { result = std::move(value); });
    while (!result && shared.time.step()) continue;
    return std::move(*result);
  }

  SharedState shared{calm_settings()};
};

/// One node, whose process can be killed, and a store that can lose everything.
struct JournaledStoreTest : OnOneStore {
  JournaledStoreTest() {
    shared.is_calm = true;
    start();
  }
  ~JournaledStoreTest() override {
    life->kill();
    for (int i = 0; i < 10'000 && shared.time.step(); ++i) continue;
  }

  void start() {
    life = std::make_shared<Life>(shared.time, shared.chance);
    journaled = std::make_shared<JournaledStore>(
        JournaledStore::Parts{.executor = shared.time.io.get_executor(),
                              .clock = life,
                              .store = std::make_shared<FaultyStore>(shared, life),
                              .claimed = claims,
                              .journal = std::make_shared<SimJournal>(shared.time, shared.chance, life, file),
                              .node_id = node_id,
                              .random = life});
    journaled->on_news([this](JournaledStore::News what, const std::string& text) { news.emplace_back(what, text); });
    register_node();
  }
  void register_node() {
    (void)shared.tables->register_node({.node_id = node_id, .incarnation = incarnation, .lease = milliseconds(60'000)});
  }
  void kill_and_start() {
    life->kill();
    pass(milliseconds(100));
    start();
  }
  /// As at the start of a signer whose factory keeps the store complete.
  void keep_complete() {
    const auto registered = run(journaled->register_node(
        {.node_id = node_id, .incarnation = incarnation, .lease = milliseconds(60'000)}, soon()));
    EXPECT_TRUE(registered && registered->registered);
    asio::co_spawn(shared.time.io, JournaledStore::keep_complete(journaled), asio::detached);
    pass(milliseconds(1'000));
  }
  /// In slots from 1 on, none of which the store has; on a store that may fail.
  void start_with_entries(std::uint64_t count) {
    for (std::uint64_t slot = 1; slot <= count; ++slot) {
      file->entries[duty_with(1, slot).key] = entry_of(duty_with(1, slot));
    }
    kill_and_start();
    shared.is_calm = false;
    (void)run(journaled->register_node({.node_id = node_id, .incarnation = incarnation, .lease = milliseconds(60'000)},
                                       soon()));
    asio::co_spawn(shared.time.io, JournaledStore::keep_complete(journaled), asio::detached);
  }
  std::size_t rows() const { return shared.tables->rows().size(); }
  /// Whether the store refuses every other message than this for the duty.
  bool is_signed(const Duty& duty) {
    const auto view = shared.tables->view(duty.key);
    return view.row && view.row->status == DutyStatus::kSigned && view.row->message_hash == duty.message_hash;
  }
  /// Another node's, which is alive.
  SignedClaim claim_of_other(const Duty& duty) {
    Incarnation theirs;
    theirs.bytes().fill(0xb0);
    (void)shared.tables->register_node({.node_id = other_node, .incarnation = theirs, .lease = milliseconds(5'000)});
    return {duty, LockToken::make(theirs, TokenKind::kFenced, {++tokens}), signature_of(duty.message_hash)};
  }
  void forget_everything() {
    shared.tables.emplace(shared.tables_clock);
    register_node();
  }

  MonotonicTime soon() const { return life->now() + milliseconds(10'000); }

  LockToken token(TokenKind kind) {
    std::array<std::uint8_t, 7> random{};
    random[0] = ++tokens;
    return LockToken::make(incarnation, kind, random);
  }
  SignedClaim signed_claim(const Duty& duty) {
    return {duty, token(TokenKind::kFenced), signature_of(duty.message_hash)};
  }
  StoreResult<SignedClaimOutcome> try_claim_signed(const SignedClaim& claim) {
    auto reply = run(journaled->claim_signed(node_id, {claim}, soon()));
    if (!reply) return std::unexpected(reply.error());
    return reply->front();
  }
  SignedClaimOutcome claim_signed(const Duty& duty) {
    const auto outcome = try_claim_signed(signed_claim(duty));
    EXPECT_TRUE(outcome) << outcome.error().reason;
    return outcome.value_or(SignedClaimOutcome{});
  }
  StoreResult<ClaimOutcome> try_claim(const Duty& duty, const LockToken& with) {
    auto reply = run(journaled->claim(node_id, {{duty, with}}, soon()));
    if (!reply) return std::unexpected(reply.error());
    return reply->front();
  }
  bool is_won(const Duty& duty, const LockToken& with) {
    const auto outcome = try_claim(duty, with);
    return outcome && outcome->view.row && outcome->view.row->lock_token == with;
  }
  RowOutcome record(const Duty& duty, const LockToken& with) {
    const auto reply =
        run(journaled->record({{duty.key, with, duty.message_hash, signature_of(duty.message_hash)}}, soon()));
    EXPECT_TRUE(reply) << reply.error().reason;
    return reply->front();
  }
  bool has_row(const Duty& duty) { return shared.tables->view(duty.key).row.has_value(); }
  std::size_t count(JournaledStore::News what) const {
    return static_cast<std::size_t>(std::ranges::count_if(news, [what](const auto& one) { return one.first == what; }));
  }

  const NodeId node_id = *NodeId::parse("node-1");
  const NodeId other_node = *NodeId::parse("node-2");
  Incarnation incarnation;
  std::shared_ptr<JournalFile> file = std::make_shared<JournalFile>();
  std::shared_ptr<WillingClaims> claims = std::make_shared<WillingClaims>();
  std::shared_ptr<Life> life;
  std::shared_ptr<JournaledStore> journaled;
  std::vector<std::pair<JournaledStore::News, std::string>> news;
  std::uint8_t tokens = 0;
};

TEST_F(JournaledStoreTest, no_request_that_contradicts_the_journal_reaches_the_store) {
  const auto mine = duty_with(1), other = duty_with(2);
  ASSERT_EQ(claim_signed(mine).outcome, RowOutcome::kApplied);
  forget_everything();
  const auto refused = claim_signed(other);
  EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(refused.view.row);
  EXPECT_EQ(refused.view.row->status, DutyStatus::kSigned);
  EXPECT_EQ(refused.view.row->message_hash, mine.message_hash);
  EXPECT_EQ(refused.view.row->node_id, "node-1");
  const auto with = token(TokenKind::kFenced);
  EXPECT_EQ(try_claim(other, with)->view.row->message_hash, mine.message_hash);
  EXPECT_EQ(record(other, with), RowOutcome::kNotMatched);
  const Takeover takeover{TakeoverKind::kSameData, other, token(TokenKind::kFenced), token(TokenKind::kTakenOver)};
  EXPECT_EQ(run(journaled->take_over(node_id, {takeover}, soon()))->front(), RowOutcome::kNotMatched);
  const StoredSignature stored{other.key, other.message_hash, signature_of(other.message_hash)};
  EXPECT_FALSE(run(journaled->confirm_stored(node_id, {stored}, soon()))->front());
  EXPECT_FALSE(has_row(other));
  EXPECT_EQ(journaled->status().refused, 5u);
}

TEST_F(JournaledStoreTest, an_entry_is_durable_before_its_signature_leaves) {
  const auto claim = signed_claim(duty_with(1));
  file->silent_until = shared.time.now() + milliseconds(1'000);
  bool has_ended = false;
  auto claiming = journaled->claim_signed(node_id, {claim}, soon());
  asio::co_spawn(shared.time.io, std::move(claiming), [&](std::exception_ptr, auto) { has_ended = true; });
  pass(milliseconds(900));
  EXPECT_TRUE(has_row(claim.duty)) << "the store is asked at the same time";
  EXPECT_FALSE(has_ended);
  pass(milliseconds(200));
  EXPECT_TRUE(has_ended);
  EXPECT_TRUE(file->entries.contains(claim.duty.key));
}

TEST_F(JournaledStoreTest, the_same_message_is_released_again) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  forget_everything();
  EXPECT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
}

TEST_F(JournaledStoreTest, what_was_released_outlives_the_process) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  const auto handed_out = token(TokenKind::kHandedOut);
  ASSERT_TRUE(is_won(duty_with(1, 6), handed_out));
  kill_and_start();
  forget_everything();
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(claim_signed(duty_with(2, 6)).outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
}

TEST_F(JournaledStoreTest, what_the_store_refuses_is_taken_back) {
  (void)shared.tables->claim_signed(node_id, signed_claim(duty_with(2)));
  EXPECT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kNotMatched);
  pass(milliseconds(10));
  EXPECT_TRUE(file->entries.empty());
  forget_everything();
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kApplied);
}

TEST_F(JournaledStoreTest, what_another_request_has_released_stays_when_the_store_refuses_a_later_one) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  EXPECT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kNotMatched) << "the row has another token";
  pass(milliseconds(10));
  EXPECT_TRUE(file->entries.contains(duty_with(1).key));
}

TEST_F(JournaledStoreTest, a_fenced_claim_needs_no_entry) {
  ASSERT_TRUE(is_won(duty_with(1), token(TokenKind::kFenced)));
  EXPECT_TRUE(file->entries.empty());
}

TEST_F(JournaledStoreTest, a_duty_that_was_handed_out_counts_as_released_until_it_is_given_back) {
  const auto with = token(TokenKind::kHandedOut);
  ASSERT_TRUE(is_won(duty_with(1), with));
  EXPECT_EQ(file->entries.size(), 1u);
  forget_everything();
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(is_won(duty_with(1), with));
  const auto released = run(journaled->release({{duty_with(1).key, with}}, soon()));
  EXPECT_EQ(released->outcomes.front(), RowOutcome::kApplied);
  pass(milliseconds(10));
  EXPECT_TRUE(file->entries.empty());
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kApplied);
}

TEST_F(JournaledStoreTest, a_duty_that_was_handed_out_beside_a_fenced_claim_that_lost_counts_as_released) {
  const auto lost = duty_with(1, 5), given = duty_with(1, 6);
  (void)shared.tables->claim_signed(other_node, claim_of_other(duty_with(2, 5)));
  const auto with = token(TokenKind::kHandedOut);
  const auto reply = run(journaled->claim(node_id, {{lost, token(TokenKind::kFenced)}, {given, with}}, soon()));
  ASSERT_TRUE(reply);
  ASSERT_EQ(reply->back().view.row->lock_token, with);
  pass(milliseconds(10));
  EXPECT_TRUE(file->entries.contains(given.key));
  forget_everything();
  EXPECT_EQ(claim_signed(duty_with(2, 6)).outcome, RowOutcome::kNotMatched);
}

TEST_F(JournaledStoreTest, an_attempt_with_other_data_waits_while_a_caller_may_give_the_duty_back) {
  const auto with = token(TokenKind::kHandedOut);
  ASSERT_TRUE(is_won(duty_with(1), with));
  const auto held = claim_signed(duty_with(2));
  EXPECT_EQ(held.outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(held.view.row->status, DutyStatus::kSigning);
  EXPECT_EQ(held.view.row->lock_token, with);
  EXPECT_EQ(try_claim(duty_with(2), token(TokenKind::kFenced))->view.row->lock_token, with);
  forget_everything();
  EXPECT_EQ(claim_signed(duty_with(2)).view.row->status, DutyStatus::kSigned)
      << "the store may not know what was signed";
}

TEST_F(JournaledStoreTest, other_data_for_a_duty_that_a_caller_holds_is_asked_again_while_the_store_does_not_answer) {
  const auto with = token(TokenKind::kHandedOut);
  ASSERT_TRUE(is_won(duty_with(1), with));
  shared.is_calm = false;
  shared.another_until = life->now() + milliseconds(100);
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kLocked);
  EXPECT_EQ(try_claim(duty_with(2), token(TokenKind::kFenced))->outcome, RowOutcome::kLocked);
  pass(milliseconds(100));
  EXPECT_EQ(claim_signed(duty_with(2)).view.row->lock_token, with);
}

TEST_F(JournaledStoreTest, a_duty_whose_row_is_gone_counts_as_released_whatever_its_caller_says) {
  const auto with = token(TokenKind::kHandedOut);
  ASSERT_TRUE(is_won(duty_with(1), with));
  forget_everything();
  const auto released = run(journaled->release({{duty_with(1).key, with}}, soon()));
  EXPECT_EQ(released->outcomes.front(), RowOutcome::kNotMatched);
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched);
}

TEST_F(JournaledStoreTest, a_taken_over_duty_counts_as_released) {
  const auto theirs = token(TokenKind::kHandedOut), ours = token(TokenKind::kTakenOver);
  shared.tables->insert_row(signing_row(duty_with(1), node_id, theirs, shared.tables->now()));
  const Takeover takeover{TakeoverKind::kSameData, duty_with(1), theirs, ours};
  ASSERT_EQ(run(journaled->take_over(node_id, {takeover}, soon()))->front(), RowOutcome::kApplied);
  EXPECT_TRUE(file->entries.contains(duty_with(1).key));
}

TEST_F(JournaledStoreTest, a_stored_signature_that_is_handed_out_counts) {
  const auto claim = signed_claim(duty_with(1));
  (void)shared.tables->claim_signed(node_id, claim);
  const StoredSignature stored{claim.duty.key, claim.duty.message_hash, claim.signature};
  ASSERT_TRUE(run(journaled->confirm_stored(node_id, {stored}, soon()))->front());
  EXPECT_EQ(file->entries.at(claim.duty.key).signature, claim.signature);
  forget_everything();
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched);
}

TEST_F(JournaledStoreTest, a_message_that_was_released_on_a_nodes_claim_counts) {
  // The published node may have written a block index that an attestation does not have.
  claims->duties = {duty_with(1).key};
  claims->duties.front().block_index = 0;
  const auto released = run(journaled->release_claimed(node_id, {claimed_message(duty_with(1))}, soon()));
  EXPECT_TRUE(std::holds_alternative<Released>(released->front()));
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched);
  const auto refused = run(journaled->release_claimed(node_id, {claimed_message(duty_with(2))}, soon()));
  EXPECT_TRUE(std::holds_alternative<SlashingProtection>(refused->front()));
}

TEST_F(JournaledStoreTest, a_message_that_was_released_for_several_duties_counts_for_each) {
  claims->duties = {duty_with(1, 5).key, duty_with(1, 6).key};
  ASSERT_TRUE(run(journaled->release_claimed(node_id, {claimed_message(duty_with(1))}, soon())));
  for (const std::uint64_t slot : {5, 6}) {
    EXPECT_TRUE(file->entries.contains(duty_with(1, slot).key)) << slot;
    EXPECT_EQ(claim_signed(duty_with(2, slot)).outcome, RowOutcome::kNotMatched) << slot;
  }
}

TEST_F(JournaledStoreTest, a_message_that_is_only_reserved_leaves_no_entry) {
  claims->duties = {duty_with(1).key};
  auto message = claimed_message(duty_with(1));
  message.signature.reset();
  (void)run(journaled->release_claimed(node_id, {message}, soon()));
  EXPECT_TRUE(file->entries.empty());
}

TEST_F(JournaledStoreTest, a_record_without_a_hash_is_one_of_the_message_in_the_journal) {
  const auto with = token(TokenKind::kHandedOut);
  ASSERT_TRUE(is_won(duty_with(1), with));
  const DutyRecord record{duty_with(1).key, with, std::nullopt, signature_of(duty_with(1).message_hash)};
  EXPECT_EQ(run(journaled->record({record}, soon()))->front(), RowOutcome::kApplied);
  EXPECT_EQ(file->entries.at(duty_with(1).key).message_hash, duty_with(1).message_hash);
  EXPECT_TRUE(file->entries.at(duty_with(1).key).signature);
  // After a restart without the journal's entry, the row tells it.
  file->entries.clear();
  kill_and_start();
  EXPECT_EQ(run(journaled->record({record}, soon()))->front(), RowOutcome::kApplied);
  EXPECT_EQ(file->entries.at(duty_with(1).key).message_hash, duty_with(1).message_hash);
}

TEST_F(JournaledStoreTest, nothing_is_released_when_the_entry_is_not_written_and_nothing_is_claimed_after_that) {
  file->fails_until = shared.time.now() + milliseconds(5'000);
  const auto first = signed_claim(duty_with(1));
  const auto refused = try_claim_signed(first);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kInDoubt);
  EXPECT_EQ(journaled->status().failure, "the disk is full");
  EXPECT_EQ(count(JournaledStore::News::kFails), 1u);
  // It does not win what it could not release.
  const auto second = try_claim_signed(signed_claim(duty_with(1, 6)));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, StoreErrorKind::kUnavailable);
  EXPECT_EQ(try_claim(duty_with(1, 7), token(TokenKind::kFenced)).error().kind, StoreErrorKind::kUnavailable);
  EXPECT_FALSE(has_row(duty_with(1, 6)) || has_row(duty_with(1, 7)));
  // Without any request it notices that the journal can be written again.
  pass(milliseconds(5'000));
  (void)run([](auto store, auto deadline) -> asio::awaitable<bool> {
    auto trying = JournaledStore::try_journal(store, deadline);
    co_await std::move(trying);
    co_return true;
  }(journaled, soon()));
  EXPECT_EQ(journaled->status().failure, "");
  EXPECT_EQ(count(JournaledStore::News::kWorks), 1u);
  EXPECT_EQ(try_claim_signed(first)->outcome, RowOutcome::kApplied) << "the repetition of what was in doubt";
}

TEST_F(JournaledStoreTest, nothing_is_released_on_a_nodes_claim_when_the_entry_is_not_written) {
  claims->duties = {duty_with(1).key};
  file->fails_until = shared.time.now() + milliseconds(1'000);
  const auto refused = run(journaled->release_claimed(node_id, {claimed_message(duty_with(1))}, soon()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kInDoubt) << "the store has the message";
  EXPECT_TRUE(file->entries.empty());
  pass(milliseconds(1'000));
  const auto released = run(journaled->release_claimed(node_id, {claimed_message(duty_with(1))}, soon()));
  ASSERT_TRUE(released && std::holds_alternative<Released>(released->front()));
  EXPECT_TRUE(file->entries.contains(duty_with(1).key));
}

TEST_F(JournaledStoreTest, a_claimed_message_whose_duty_cannot_be_looked_up_is_in_doubt_once_the_store_has_it) {
  file->unread[rollup()] = *Slot::from(8);
  kill_and_start();
  claims->duties = {duty_with(1).key};
  file->silent_until = soon() + milliseconds(1'000);
  const auto refused = run(journaled->release_claimed(node_id, {claimed_message(duty_with(1))}, soon()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kInDoubt);
}

TEST_F(JournaledStoreTest, a_duty_is_not_handed_out_again_before_its_entry_is_written) {
  const auto with = token(TokenKind::kHandedOut);
  file->fails_until = shared.time.now() + milliseconds(1'000);
  EXPECT_EQ(try_claim(duty_with(1), with).error().kind, StoreErrorKind::kInDoubt);
  EXPECT_TRUE(has_row(duty_with(1)));
  EXPECT_EQ(try_claim(duty_with(1), with).error().kind, StoreErrorKind::kUnavailable);
  pass(milliseconds(1'000));
  EXPECT_TRUE(is_won(duty_with(1), with));
  EXPECT_TRUE(file->entries.contains(duty_with(1).key));
}

TEST_F(JournaledStoreTest, nothing_is_claimed_while_the_disk_of_the_journal_does_not_answer) {
  file->silent_until = shared.time.now() + milliseconds(6'000);
  auto claiming = journaled->claim_signed(node_id, {signed_claim(duty_with(1))}, soon());
  bool is_released = false;
  asio::co_spawn(shared.time.io, std::move(claiming),
                 [&](std::exception_ptr, auto reply) { is_released = reply.has_value(); });
  pass(milliseconds(2'500));
  auto later = journaled->claim(node_id, {{duty_with(1, 6), token(TokenKind::kFenced)}}, soon());
  asio::co_spawn(shared.time.io, std::move(later), asio::detached);
  pass(milliseconds(2'000));
  EXPECT_FALSE(has_row(duty_with(1, 6)));
  pass(milliseconds(2'000));
  EXPECT_TRUE(is_released);
  EXPECT_TRUE(has_row(duty_with(1, 6))) << "it goes on when the disk answers";
}

TEST_F(JournaledStoreTest, what_is_not_in_memory_is_looked_up) {
  file->entries[duty_with(1, 3).key] = entry_of(duty_with(1, 3));
  file->entries[duty_with(1, 9).key] = entry_of(duty_with(1, 9));
  file->unread[rollup()] = *Slot::from(8);
  kill_and_start();
  EXPECT_EQ(claim_signed(duty_with(2, 3)).outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(claim_signed(duty_with(2, 9)).outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(claim_signed(duty_with(2, 4)).outcome, RowOutcome::kApplied);
}

TEST_F(JournaledStoreTest, slots_of_which_entries_were_dropped_are_refused) {
  file->unread[rollup()] = *Slot::from(8);
  kill_and_start();
  file->forgotten[rollup()] = *Slot::from(4);  // While it runs.
  const auto refused = claim_signed(duty_with(1, 4));
  EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(refused.view.watermarks.low, Slot::from(4).value());
  EXPECT_FALSE(has_row(duty_with(1, 4)));
  EXPECT_EQ(claim_signed(duty_with(1, 5)).outcome, RowOutcome::kApplied);
}

TEST_F(JournaledStoreTest, the_memory_is_bounded_and_forgets_nothing) {
  // Two times the bound, in batches.
  for (std::uint64_t slot = 1; slot <= 100; ++slot) {
    std::vector<SignedClaim> batch;
    for (std::uint16_t v = 0; v < 1'000; ++v) {
      auto duty = duty_with(1, slot);
      duty.key.validator.bytes()[0] = static_cast<std::uint8_t>(v >> 8);
      duty.key.validator.bytes()[1] = static_cast<std::uint8_t>(v);
      batch.push_back({duty, token(TokenKind::kFenced), signature_of(duty.message_hash)});
    }
    ASSERT_TRUE(run(journaled->claim_signed(node_id, std::move(batch), soon())));
  }
  EXPECT_LE(journaled->remembered(), 51'000u);
  forget_everything();
  for (const std::uint64_t slot : {1, 50, 100}) {
    auto other = duty_with(2, slot);
    other.key.validator.bytes()[0] = other.key.validator.bytes()[1] = 1;
    EXPECT_EQ(claim_signed(other).outcome, RowOutcome::kNotMatched) << slot;
  }
}

TEST_F(JournaledStoreTest, nothing_leaves_the_memory_while_a_request_waits_for_a_look_into_the_journal) {
  const auto lowest = duty_with(1, 10);
  file->entries[lowest.key] = entry_of(lowest);
  // With the lowest one more than are kept in memory.
  for (std::uint64_t slot = 11; slot <= 60; ++slot) {
    for (std::uint16_t v = 0; v < 1'000; ++v) {
      auto duty = duty_with(1, slot);
      duty.key.validator.bytes()[0] = static_cast<std::uint8_t>(v >> 8);
      duty.key.validator.bytes()[1] = static_cast<std::uint8_t>(v);
      file->entries[duty.key] = entry_of(duty);
    }
  }
  file->unread[rollup()] = *Slot::from(5);
  kill_and_start();
  forget_everything();
  file->silent_until = shared.time.now() + milliseconds(100);
  std::optional<StoreResult<std::vector<SignedClaimOutcome>>> reply;
  // One duty is known, and the other must be looked up.
  auto claiming =
      journaled->claim_signed(node_id, {signed_claim(duty_with(2, 10)), signed_claim(duty_with(1, 3))}, soon());
  asio::co_spawn(shared.time.io, std::move(claiming),
                 [&](std::exception_ptr, auto outcomes) { reply = std::move(outcomes); });
  ASSERT_TRUE(is_won(duty_with(1, 100), token(TokenKind::kFenced)));
  ASSERT_FALSE(reply) << "it waits";
  pass(milliseconds(200));
  ASSERT_TRUE(reply && *reply);
  EXPECT_EQ((**reply)[0].outcome, RowOutcome::kNotMatched);
  EXPECT_EQ((**reply)[1].outcome, RowOutcome::kApplied);
  EXPECT_FALSE(has_row(lowest));
  EXPECT_EQ(claim_signed(duty_with(2, 10)).outcome, RowOutcome::kNotMatched) << "in memory or not";
}

TEST_F(JournaledStoreTest, what_the_store_has_of_this_node_is_taken_up_where_the_journal_has_nothing) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  file->forgotten[rollup()] = *Slot::from(2);
  file->unread[rollup()] = *Slot::from(2);
  kill_and_start();
  const std::vector<JournalEntry> rows = {entry_of(duty_with(2)), entry_of(duty_with(1, 6)), entry_of(duty_with(1, 2))};
  EXPECT_EQ(run(JournaledStore::take_up(journaled, rows, soon())), 1u);
  EXPECT_EQ(count(JournaledStore::News::kTakenUp), 1u);
  EXPECT_EQ(file->entries.at(duty_with(1).key).message_hash, duty_with(1).message_hash);
  EXPECT_TRUE(file->entries.contains(duty_with(1, 6).key));
  EXPECT_EQ(claim_signed(duty_with(2, 6)).outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(run(JournaledStore::take_up(journaled, rows, soon())), 0u);
}

TEST_F(JournaledStoreTest, what_a_start_could_not_take_up_is_written_before_it_is_released) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  life->kill();
  pass(milliseconds(100));
  file->entries.clear();
  file->fails_until = shared.time.now() + milliseconds(1'000);
  start();
  ASSERT_FALSE(run(JournaledStore::take_up(journaled, {entry_of(duty_with(1))}, soon())));
  ASSERT_TRUE(file->entries.empty());
  pass(milliseconds(2'000));
  const StoredSignature stored{.key = duty_with(1).key,
                               .message_hash = duty_with(1).message_hash,
                               .signature = signature_of(duty_with(1).message_hash)};
  const auto confirmed = run(journaled->confirm_stored(node_id, {stored}, soon()));
  ASSERT_TRUE(confirmed && confirmed->front());
  EXPECT_TRUE(file->entries.contains(duty_with(1).key));
}

TEST_F(JournaledStoreTest, a_duty_that_two_callers_got_is_not_free_when_one_gives_it_back) {
  const auto first = token(TokenKind::kHandedOut), second = token(TokenKind::kHandedOut);
  ASSERT_TRUE(is_won(duty_with(1), first));
  forget_everything();
  ASSERT_TRUE(is_won(duty_with(1), second));
  const auto given_back = run(journaled->release({{duty_with(1).key, second}}, soon()));
  ASSERT_TRUE(given_back && given_back->outcomes.front() == RowOutcome::kApplied);
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched);
}

TEST_F(JournaledStoreTest, the_journal_has_the_token_of_the_caller_that_got_a_duty_last) {
  ASSERT_TRUE(is_won(duty_with(1), token(TokenKind::kHandedOut)));
  forget_everything();
  const auto second = token(TokenKind::kHandedOut);
  ASSERT_TRUE(is_won(duty_with(1), second));
  EXPECT_EQ(file->entries.at(duty_with(1).key).handed_out, second) << "its row is written back under this token";
}

TEST_F(JournaledStoreTest, a_duty_whose_caller_has_recorded_is_not_free_when_it_is_given_back_after_a_loss) {
  const auto with = token(TokenKind::kHandedOut);
  ASSERT_TRUE(is_won(duty_with(1), with));
  ASSERT_EQ(record(duty_with(1), with), RowOutcome::kApplied);
  forget_everything();
  ASSERT_TRUE(is_won(duty_with(1), with));
  const auto given_back = run(journaled->release({{duty_with(1).key, with}}, soon()));
  ASSERT_TRUE(given_back && given_back->outcomes.front() == RowOutcome::kApplied);
  pass(milliseconds(10));
  EXPECT_TRUE(file->entries.contains(duty_with(1).key));
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched);
}

TEST_F(JournaledStoreTest, a_store_that_has_forgotten_is_noticed_by_what_it_allows) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched);
  pass(milliseconds(100));
  EXPECT_EQ(count(JournaledStore::News::kForgot), 0u) << "it would have refused, too";
  forget_everything();
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched);
  pass(milliseconds(100));
  EXPECT_EQ(journaled->status().forgotten, 1u);
  ASSERT_EQ(count(JournaledStore::News::kForgot), 1u);
  EXPECT_NE(news.back().second.find("slot 5"), std::string::npos);
}

TEST_F(JournaledStoreTest, a_store_that_has_forgotten_is_noticed_by_a_row_that_can_be_made_again) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  forget_everything();
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  EXPECT_EQ(journaled->status().forgotten, 1u);
}

TEST_F(JournaledStoreTest, a_row_that_was_pruned_was_not_forgotten) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  shared.tables->delete_row(memory::key_of(duty_with(1).key));
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kNotMatched) << "the watermark refuses";
  EXPECT_TRUE(is_won(duty_with(1), token(TokenKind::kFenced))) << "until its attempt sees the watermark";
  pass(milliseconds(100));
  EXPECT_EQ(journaled->status().forgotten, 0u);
}

TEST_F(JournaledStoreTest, a_signed_row_of_the_duty_under_another_letter_case_was_not_forgotten) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  auto row = shared.tables->rows().at(memory::key_of(duty_with(1).key));
  forget_everything();
  row.validator[2] = 'B';
  shared.tables->insert_row(row);
  ASSERT_TRUE(shared.tables->view(duty_with(1).key).alias);
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched);
  pass(milliseconds(100));
  EXPECT_EQ(journaled->status().forgotten, 0u);
}

TEST_F(JournaledStoreTest, what_a_kill_left_unsettled_is_not_taken_for_forgotten) {
  auto entry = entry_of(duty_with(1));
  entry.is_settled = false;
  file->entries[entry.key] = entry;
  kill_and_start();
  EXPECT_EQ(claim_signed(duty_with(2)).outcome, RowOutcome::kNotMatched) << "it may have left";
  EXPECT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  pass(milliseconds(100));
  EXPECT_EQ(journaled->status().forgotten, 0u);
}

TEST_F(JournaledStoreTest, what_the_store_has_lost_is_written_back) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  ASSERT_EQ(claim_signed(duty_with(1, 6)).outcome, RowOutcome::kApplied);
  keep_complete();
  EXPECT_EQ(journaled->status().written_back, 0u);
  forget_everything();
  pass(milliseconds(1'500));
  for (const auto slot : {5, 6}) {
    EXPECT_TRUE(is_signed(duty_with(1, slot))) << slot;
    const auto refused = shared.tables->claim_signed(other_node, claim_of_other(duty_with(2, slot)));
    EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched) << "another node has its row";
  }
  EXPECT_EQ(shared.tables->view(duty_with(1).key).row->signature, signature_of(duty_with(1).message_hash));
  EXPECT_EQ(journaled->status().forgotten, 2u);
  EXPECT_EQ(journaled->status().written_back, 2u);
  EXPECT_EQ(count(JournaledStore::News::kForgot), 2u);
  EXPECT_EQ(count(JournaledStore::News::kWrittenBack), 1u);
}

TEST_F(JournaledStoreTest, what_was_lost_while_the_node_was_down_is_written_back_at_its_start) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  ASSERT_EQ(claim_signed(duty_with(1, 6)).outcome, RowOutcome::kApplied);
  life->kill();
  const auto kept = shared.tables->rows().at(memory::key_of(duty_with(1, 6).key));
  forget_everything();
  shared.tables->insert_row(kept);
  pass(milliseconds(100));
  start();
  keep_complete();
  pass(milliseconds(9'000));
  EXPECT_TRUE(is_signed(duty_with(1))) << "although the latest entry stands";
  EXPECT_EQ(journaled->status().forgotten, 0u) << "a kill may have come before the store had it";
}

TEST_F(JournaledStoreTest, what_a_kill_left_unsettled_is_written_back_after_what_others_know) {
  for (const auto slot : {5, 6}) {
    auto entry = entry_of(duty_with(1, slot));
    entry.is_settled = false;
    file->entries[entry.key] = entry;
  }
  kill_and_start();
  keep_complete();
  pass(milliseconds(3'000));
  EXPECT_TRUE(shared.tables->rows().empty());
  EXPECT_EQ(shared.tables->claim_signed(other_node, claim_of_other(duty_with(2))).outcome, RowOutcome::kApplied);
  pass(milliseconds(9'000));
  EXPECT_TRUE(is_signed(duty_with(2)));
  EXPECT_TRUE(is_signed(duty_with(1, 6)));
  EXPECT_EQ(journaled->status().contradicted, 0u) << "this node's message may never have left";
  EXPECT_EQ(file->left_unsettled, std::set{duty_with(1).key}) << "nor is it told after the next start";
}

TEST_F(JournaledStoreTest, a_row_that_is_written_back_is_never_given_to_other_data) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  ASSERT_EQ(claim_signed(duty_with(1, 6)).outcome, RowOutcome::kApplied);
  keep_complete();
  forget_everything();
  auto theirs = claim_of_other(duty_with(2, 6));
  (void)shared.tables->insert_claims(other_node, std::vector<DutyClaim>{{theirs.duty, theirs.token}});
  shared.tables->end_lease({.node_id = other_node, .incarnation = *theirs.token.incarnation(), .lease = {}});
  for (const std::uint64_t slot : {5, 6}) {
    // Killed between the claim, or the replacement, and the record.
    while (!has_row(duty_with(1, slot)) ||
           shared.tables->view(duty_with(1, slot).key).row->message_hash != duty_with(1).message_hash) {
      ASSERT_TRUE(shared.time.step());
    }
    const auto view = shared.tables->view(duty_with(1, slot).key);
    EXPECT_EQ(view.row->status, DutyStatus::kSigning);
    EXPECT_EQ(view.row->holder, HolderState::kUnfenced);
  }
}

TEST_F(JournaledStoreTest, a_row_with_another_message_is_told_and_not_overwritten) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  keep_complete();
  forget_everything();
  ASSERT_EQ(shared.tables->claim_signed(other_node, claim_of_other(duty_with(2))).outcome, RowOutcome::kApplied);
  pass(milliseconds(2'000));
  EXPECT_TRUE(is_signed(duty_with(2)));
  EXPECT_EQ(journaled->status().contradicted, 1u);
  EXPECT_EQ(journaled->status().written_back, 0u);
  ASSERT_EQ(count(JournaledStore::News::kContradicted), 1u);
  EXPECT_NE(news.back().second.find("node-2"), std::string::npos);
}

TEST_F(JournaledStoreTest, what_another_node_is_signing_is_waited_for) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  keep_complete();
  forget_everything();
  const auto theirs = claim_of_other(duty_with(2));
  (void)shared.tables->insert_claims(other_node, std::vector<DutyClaim>{{theirs.duty, theirs.token}});
  pass(milliseconds(2'000));
  EXPECT_EQ(shared.tables->view(theirs.duty.key).row->lock_token, theirs.token);
  EXPECT_EQ(shared.tables->release({theirs.duty.key, theirs.token}), RowOutcome::kApplied);
  pass(milliseconds(4'000));
  EXPECT_TRUE(is_signed(duty_with(1)));
}

TEST_F(JournaledStoreTest, a_row_whose_holder_is_gone_is_replaced_and_one_with_this_message_is_taken_over) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  ASSERT_EQ(claim_signed(duty_with(1, 6)).outcome, RowOutcome::kApplied);
  keep_complete();
  forget_everything();
  const auto other = claim_of_other(duty_with(2)), same = claim_of_other(duty_with(1, 6));
  (void)shared.tables->insert_claims(other_node, std::vector<DutyClaim>{{other.duty, other.token}});
  (void)shared.tables->insert_claims(other_node, std::vector<DutyClaim>{{same.duty, same.token}});
  pass(milliseconds(2'000));
  EXPECT_TRUE(is_signed(duty_with(1, 6)));
  EXPECT_FALSE(is_signed(duty_with(1))) << "its lease runs";
  pass(milliseconds(9'000));
  EXPECT_TRUE(is_signed(duty_with(1)));
  EXPECT_EQ(shared.tables->record({other.duty.key, other.token, other.duty.message_hash, other.signature}),
            RowOutcome::kNotMatched);
}

TEST_F(JournaledStoreTest, what_was_handed_out_is_written_back_beside_a_signed_duty_that_is_missing) {
  const auto with = token(TokenKind::kHandedOut);
  ASSERT_TRUE(is_won(duty_with(1, 6), with));
  keep_complete();
  shared.tables->delete_row(memory::key_of(duty_with(1, 6).key));
  pass(milliseconds(2'000));
  EXPECT_FALSE(has_row(duty_with(1, 6))) << "it may have been given back through another node";
  ASSERT_EQ(claim_signed(duty_with(1, 7)).outcome, RowOutcome::kApplied);
  kill_and_start();
  keep_complete();
  pass(milliseconds(9'000));
  EXPECT_FALSE(has_row(duty_with(1, 6))) << "when all is compared, too";
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  forget_everything();
  pass(milliseconds(2'000));
  EXPECT_TRUE(is_signed(duty_with(1)));
  ASSERT_TRUE(has_row(duty_with(1, 6)));
  EXPECT_EQ(shared.tables->view(duty_with(1, 6).key).row->lock_token, with) << "its caller may still record";
}

TEST_F(JournaledStoreTest, a_signature_whose_record_failed_is_not_written_back) {
  const auto with = token(TokenKind::kHandedOut);
  ASSERT_TRUE(is_won(duty_with(1, 6), with));
  shared.is_calm = false;
  shared.another_until = life->now() + milliseconds(100);
  const DutyRecord failing{duty_with(1, 6).key, with, duty_with(1).message_hash,
                           signature_of(duty_with(1).message_hash)};
  ASSERT_FALSE(run(journaled->record({failing}, soon())));
  shared.is_calm = true;
  ASSERT_TRUE(file->entries.at(duty_with(1, 6).key).signature);
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  keep_complete();
  forget_everything();
  pass(milliseconds(2'000));
  EXPECT_TRUE(is_signed(duty_with(1)));
  ASSERT_TRUE(has_row(duty_with(1, 6)));
  EXPECT_EQ(shared.tables->view(duty_with(1, 6).key).row->status, DutyStatus::kSigning) << "the caller was told so";
}

TEST_F(JournaledStoreTest, what_a_caller_gives_back_while_a_loss_is_written_back_is_not_held_again) {
  keep_complete();
  int given_back_meanwhile = 0;
  for (std::uint64_t slot = 10; slot < 60; slot += 2) {
    const auto lost = duty_with(1, slot), held = duty_with(1, slot + 1);
    const auto with = token(TokenKind::kHandedOut);
    ASSERT_EQ(claim_signed(lost).outcome, RowOutcome::kApplied);
    ASSERT_TRUE(is_won(held, with));
    auto kept = shared.tables->rows();
    kept.erase(memory::key_of(lost.key));
    forget_everything();
    for (const auto& [key, row] : kept) shared.tables->insert_row(row);
    while (!has_row(lost)) ASSERT_TRUE(shared.time.step());
    const auto given_back = run(journaled->release({{held.key, with}}, soon()));
    ASSERT_TRUE(given_back && given_back->outcomes.front() == RowOutcome::kApplied);
    const bool is_meanwhile = !is_signed(lost);
    pass(milliseconds(1'000));
    ASSERT_TRUE(is_signed(lost));
    if (!is_meanwhile) continue;
    ++given_back_meanwhile;
    EXPECT_FALSE(has_row(held)) << slot;
  }
  EXPECT_GT(given_back_meanwhile, 2);
}

TEST_F(JournaledStoreTest, what_was_pruned_is_not_written_back) {
  ASSERT_EQ(claim_signed(duty_with(1)).outcome, RowOutcome::kApplied);
  keep_complete();
  shared.tables->delete_row(memory::key_of(duty_with(1).key));
  pass(milliseconds(2'000));
  EXPECT_FALSE(has_row(duty_with(1)));
  EXPECT_EQ(journaled->status().forgotten, 0u);
}

TEST_F(JournaledStoreTest, a_store_that_has_lost_much_and_fails_meanwhile_gets_all_of_it_back) {
  start_with_entries(3'500);
  while (rows() < 1'500) ASSERT_TRUE(shared.time.step());
  shared.outage_until = shared.time.now() + milliseconds(25'000);
  pass(milliseconds(24'000));
  EXPECT_LT(rows(), 3'500u);
  pass(milliseconds(15'000));
  EXPECT_EQ(rows(), 3'500u);
  EXPECT_TRUE(is_signed(duty_with(1, 1)));
}

TEST_F(JournaledStoreTest, what_was_lost_is_all_written_back_though_the_answer_to_the_first_part_is_lost) {
  start_with_entries(3'500);
  pass(milliseconds(15'000));
  while (rows() < 3'500 || !is_signed(duty_with(1, 1))) ASSERT_TRUE(shared.time.step());
  pass(milliseconds(5'000));
  // All has been compared. Now all is lost, and then the answer to the record of the first part.
  forget_everything();
  while (rows() < 1'000) ASSERT_TRUE(shared.time.step());
  ASSERT_FALSE(is_signed(duty_with(1, 3'500)));
  shared.settings.only_lost_replies = true;
  shared.settings.trouble = 1;
  while (!is_signed(duty_with(1, 3'500))) ASSERT_TRUE(shared.time.step());
  shared.settings.trouble = 0;
  pass(milliseconds(60'000));
  EXPECT_EQ(rows(), 3'500u);
  EXPECT_TRUE(is_signed(duty_with(1, 1)));
}

TEST_F(JournaledStoreTest, all_is_compared_at_a_start_although_the_latest_stand) {
  for (std::uint64_t slot = 1; slot <= 2'500; ++slot) {
    file->entries[duty_with(1, slot).key] = entry_of(duty_with(1, slot));
    if (slot < 100) continue;
    auto row = signing_row(duty_with(1, slot), node_id, token(TokenKind::kFenced), shared.tables->now());
    row.status = DutyStatus::kSigned;
    row.signature = signature_of(duty_with(1, slot).message_hash).to_string();
    row.completed_at = row.started_at;
    shared.tables->insert_row(std::move(row));
  }
  kill_and_start();
  keep_complete();
  pass(milliseconds(5'000));
  EXPECT_EQ(shared.tables->rows().size(), 2'500u);
}

TEST_F(JournaledStoreTest, a_loss_that_is_written_back_in_two_goes_is_written_back_to_its_end) {
  for (std::uint64_t slot = 1; slot <= 3'500; ++slot) {
    file->entries[duty_with(1, slot).key] = entry_of(duty_with(1, slot));
  }
  kill_and_start();
  keep_complete();
  pass(milliseconds(5'000));
  ASSERT_EQ(shared.tables->rows().size(), 3'500u);
  shared.is_calm = false;
  forget_everything();
  while (shared.tables->rows().size() < 1'500) ASSERT_TRUE(shared.time.step());
  shared.outage_until = shared.time.now() + milliseconds(25'000);
  pass(milliseconds(40'000));
  EXPECT_EQ(shared.tables->rows().size(), 3'500u);
}

TEST_F(JournaledStoreTest, what_another_server_has_lost_is_found_below_new_duties) {
  shared.epoch = std::make_shared<const StoreEpoch>(StoreEpoch{.cluster_id = "1", .system_id = "1", .timeline = 1});
  start_with_entries(2'500);
  pass(milliseconds(15'000));
  ASSERT_EQ(rows(), 2'500u);
  ASSERT_TRUE(is_signed(duty_with(1, 1)));
  const auto kept = shared.tables->rows();
  forget_everything();
  for (const auto& [key, row] : kept) {
    if (row.slot > 10) shared.tables->insert_row(row);
  }
  shared.epoch = std::make_shared<const StoreEpoch>(StoreEpoch{.cluster_id = "1", .system_id = "1", .timeline = 2});
  pass(milliseconds(15'000));
  EXPECT_EQ(rows(), 2'500u);
}

/// Two nodes with journals on a store that another history can take the place of.
struct GuardedNodes : OnOneStore {
  struct Node {
    NodeId id;
    Incarnation incarnation;
    std::shared_ptr<JournalFile> file = std::make_shared<JournalFile>();
    std::shared_ptr<Life> life = {};
    std::shared_ptr<JournaledStore> store = {};
    std::vector<std::pair<JournaledStore::News, std::string>> news = {};
  };

  GuardedNodes() {
    shared.is_calm = true;
    shared.replace_server(0);
    start(a);
    start(b);
    pass(milliseconds(3'000));
  }
  ~GuardedNodes() override {
    for (auto* node : {&a, &b}) node->life->kill();
    for (int i = 0; i < 10'000 && shared.time.step(); ++i) continue;
  }

  void start(Node& node) {
    for (auto& byte : node.incarnation.bytes()) byte = static_cast<std::uint8_t>(shared.chance.below(256));
    node.life = std::make_shared<Life>(shared.time, shared.chance);
    auto store = std::make_shared<FaultyStore>(shared, node.life);
    node.store = std::make_shared<JournaledStore>(
        JournaledStore::Parts{.executor = shared.time.io.get_executor(),
                              .clock = node.life,
                              .store = store,
                              .claimed = nullptr,
                              .journal = std::make_shared<SimJournal>(shared.time, shared.chance, node.life, node.file),
                              .node_id = node.id,
                              .random = node.life,
                              .rounds = store,
                              .latest_slot = [this](const EthAddress&) { return latest_slot; }});
    node.store->on_news([&node](auto what, const std::string& text) { node.news.emplace_back(what, text); });
    (void)run(node.store->register_node(registration(node), soon()));
    asio::co_spawn(shared.time.io, JournaledStore::keep_complete(node.store), asio::detached);
    asio::co_spawn(shared.time.io, beat(*this, node, node.life), asio::detached);
  }
  static asio::awaitable<void> beat(GuardedNodes& self, Node& node, std::shared_ptr<Life> life) {
    try {
      for (;;) {
        auto renewing = node.store->renew(registration(node), life->now() + milliseconds(1'000));
        const auto renewed = co_await std::move(renewing);
        if (renewed && !*renewed) {
          auto registering = node.store->register_node(registration(node), life->now() + milliseconds(1'000));
          (void)co_await std::move(registering);
        }
        auto sleeping = sleep_until(self.shared.time.io.get_executor(), *life, life->now() + milliseconds(500));
        co_await std::move(sleeping);
      }
    } catch (const std::exception&) {
      co_return;
    }
  }
  static NodeRegistration registration(const Node& node) {
    return {.node_id = node.id, .incarnation = node.incarnation, .lease = milliseconds(2'000)};
  }
  MonotonicTime soon() const { return shared.time.now() + milliseconds(10'000); }
  StoreResult<SignedClaimOutcome> claim(Node& node, const Duty& duty) {
    SignedClaim one{duty, LockToken::make(node.incarnation, TokenKind::kFenced, {++tokens}),
                    signature_of(duty.message_hash)};
    auto reply = run(node.store->claim_signed(node.id, {one}, soon()));
    if (!reply) return std::unexpected(reply.error());
    return reply->front();
  }
  /// What a client is told that asks again while it is told to.
  SignedClaimOutcome claim_until_answered(Node& node, const Duty& duty) {
    for (int i = 0; i < 1'000; ++i) {
      if (const auto outcome = claim(node, duty)) return *outcome;
      pass(milliseconds(20));
    }
    ADD_FAILURE() << "no answer";
    return {};
  }
  void fail_over(memory::MemoryTables standby) {
    shared.replace_server(1);
    shared.tables.emplace(std::move(standby));
  }
  static Duty with_validator(std::uint8_t message, std::uint64_t slot, std::uint8_t validator) {
    auto duty = duty_with(message, slot);
    duty.key.validator = address_of(0xbb, validator);
    return duty;
  }
  /// Of slot 5, released by a node and not in the standby, which does have that the node has reached this slot.
  static Duty lost_with(std::uint8_t message) { return with_validator(message, 5, 7); }
  memory::MemoryTables standby_without_what_was_released_last(Node& node) {
    EXPECT_EQ(claim(node, duty_with(1))->outcome, RowOutcome::kApplied);
    pass(milliseconds(1'500));
    auto standby = *shared.tables;
    EXPECT_EQ(claim(node, lost_with(1))->outcome, RowOutcome::kApplied);
    return standby;
  }
  bool has_row(const Duty& duty) { return shared.tables->view(duty.key).row.has_value(); }
  static bool has(const Node& node, JournaledStore::News what) {
    return std::ranges::any_of(node.news, [what](const auto& one) { return one.first == what; });
  }

  Node a{.id = *NodeId::parse("node-a"), .incarnation = {}}, b{.id = *NodeId::parse("node-b"), .incarnation = {}};
  std::uint8_t tokens = 0;
  std::optional<Slot> latest_slot;  ///< that honest duties reach now
};

TEST_F(GuardedNodes, other_data_for_a_lost_duty_is_not_asked_for_before_its_node_has_written_it_back) {
  const auto standby = *shared.tables;
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  fail_over(standby);
  const auto at_once = claim(b, duty_with(2));
  ASSERT_FALSE(at_once) << "asked in the history that is gone";
  EXPECT_EQ(at_once.error().kind, StoreErrorKind::kUnavailable);
  const auto held = claim(b, duty_with(2));
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().kind, StoreErrorKind::kUnavailable);
  EXPECT_NE(held.error().reason.find("compared their journals"), std::string::npos) << held.error().reason;
  EXPECT_FALSE(has_row(duty_with(2)));
  EXPECT_FALSE(claim(b, duty_with(2, 9))) << "another duty neither";
  const auto refused = claim_until_answered(b, duty_with(2));
  EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(refused.view.row);
  EXPECT_EQ(refused.view.row->status, DutyStatus::kSigned);
  EXPECT_EQ(refused.view.row->message_hash, duty_with(1).message_hash);
  EXPECT_EQ(claim(b, duty_with(2, 9))->outcome, RowOutcome::kApplied);
  EXPECT_FALSE(has(b, JournaledStore::News::kForbids)) << "both nodes live";
}

TEST_F(GuardedNodes, an_answer_that_comes_after_the_history_has_changed_lets_nothing_out) {
  const auto standby = *shared.tables;
  a.file->silent_until = shared.time.now() + milliseconds(400);
  std::optional<StoreResult<std::vector<SignedClaimOutcome>>> answer;
  SignedClaim one{duty_with(1), LockToken::make(a.incarnation, TokenKind::kFenced, {++tokens}),
                  signature_of(duty_with(1).message_hash)};
  auto claiming = a.store->claim_signed(a.id, {one}, soon());
  asio::co_spawn(shared.time.io, std::move(claiming),
                 [&](std::exception_ptr, auto value) { answer = std::move(value); });
  pass(milliseconds(50));
  ASSERT_TRUE(has_row(duty_with(1))) << "the store has answered, the journal has not";
  fail_over(standby);
  (void)run(a.store->look({duty_with(1).key}, soon()));
  while (!answer) shared.time.step();
  ASSERT_FALSE(*answer);
  EXPECT_EQ(answer->error().kind, StoreErrorKind::kInDoubt);
  pass(milliseconds(5'000));
  EXPECT_EQ(claim(b, duty_with(2))->outcome, RowOutcome::kApplied) << "nothing has left";
}

TEST_F(GuardedNodes, a_node_that_lives_and_cannot_write_back_is_waited_for_by_name_until_an_operator_ends_it) {
  const auto standby = *shared.tables;
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  a.file->silent_until = shared.time.now() + milliseconds(600'000);
  fail_over(standby);
  pass(milliseconds(60'000));
  ASSERT_FALSE(claim(b, duty_with(2, 9)));
  const auto status = b.store->guard()->status();
  EXPECT_TRUE(status.holds);
  EXPECT_EQ(status.waits_for, std::vector<std::string>{"node-a"});
  EXPECT_TRUE(status.waits.starts_with("node-a (alive, but has not ")) << status.waits;
  EXPECT_TRUE(has(b, JournaledStore::News::kWaits));
  EXPECT_NE(claim(b, duty_with(2, 9)).error().reason.find("node-a"), std::string::npos);
  EXPECT_TRUE(b.store->guard()->release("a person"));
  EXPECT_FALSE(b.store->guard()->release("a person"));
  EXPECT_TRUE(has(b, JournaledStore::News::kReleased));
  EXPECT_EQ(claim(b, duty_with(2, 9))->outcome, RowOutcome::kApplied);
}

TEST_F(GuardedNodes, a_node_whose_disk_is_full_writes_back_what_it_released) {
  const auto standby = *shared.tables;
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  a.file->fails_until = shared.time.now() + milliseconds(600'000);
  EXPECT_FALSE(claim(a, duty_with(1, 6)));
  ASSERT_NE(a.store->status().failure, "");
  fail_over(standby);
  EXPECT_EQ(claim_until_answered(b, duty_with(2)).view.row->message_hash, duty_with(1).message_hash);
  EXPECT_FALSE(has(b, JournaledStore::News::kForbids));
  EXPECT_NE(a.store->status().failure, "") << "and claims nothing itself";
}

TEST_F(GuardedNodes, what_a_start_could_not_take_up_is_not_taken_for_compared) {
  const auto standby = *shared.tables;
  const auto old_copy = *a.file;
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  a.life->kill();
  *a.file = old_copy;
  a.file->fails_until = shared.time.now() + milliseconds(30'000);
  start(a);
  ASSERT_FALSE(run(JournaledStore::take_up(a.store, {entry_of(duty_with(1))}, soon())));
  fail_over(standby);
  pass(milliseconds(20'000));
  EXPECT_FALSE(claim(b, duty_with(2))) << "the database has lost it, and the journal does not have it";
  EXPECT_EQ(b.store->guard()->status().waits_for, std::vector<std::string>{"node-a"});
  pass(milliseconds(10'000));
  EXPECT_FALSE(a.file->entries.contains(duty_with(1).key));
  (void)run([](auto store, auto deadline) -> asio::awaitable<bool> {
    auto trying = JournaledStore::try_journal(store, deadline);
    co_await std::move(trying);
    co_return true;
  }(a.store, soon()));
  EXPECT_TRUE(a.file->entries.contains(duty_with(1).key)) << "once it can be written";
  const auto refused = claim_until_answered(b, duty_with(2));
  EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(refused.view.row);
  EXPECT_EQ(refused.view.row->message_hash, duty_with(1).message_hash);
  EXPECT_FALSE(has(b, JournaledStore::News::kForbids));
}

TEST_F(GuardedNodes, slots_are_forbidden_where_a_node_does_not_come_back_after_a_failover) {
  const auto standby = *shared.tables;
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  pass(milliseconds(1'500));
  a.life->kill();
  fail_over(standby);
  const auto refused = claim_until_answered(b, duty_with(2));
  EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(refused.view.watermarks.low, *Slot::from(5));
  EXPECT_TRUE(has(b, JournaledStore::News::kForbids));
  EXPECT_EQ(claim(b, duty_with(2, 6))->outcome, RowOutcome::kApplied);
}

TEST_F(GuardedNodes, a_slot_in_the_future_is_given_up_for_its_validator_only) {
  latest_slot = *Slot::from(10);
  const auto standby = *shared.tables;
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  ASSERT_EQ(claim(a, with_validator(1, 100'000, 7))->outcome, RowOutcome::kApplied);
  pass(milliseconds(1'500));
  a.life->kill();
  fail_over(standby);
  const auto refused = claim_until_answered(b, with_validator(2, 100'000, 7));
  EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched) << "the node that is gone had released another message";
  EXPECT_EQ(refused.view.watermarks.low, *Slot::from(100'000));
  EXPECT_EQ(claim(b, duty_with(2))->view.watermarks.low, *Slot::from(5));
  EXPECT_EQ(claim(b, duty_with(2, 6))->outcome, RowOutcome::kApplied);
}

TEST_F(GuardedNodes, a_node_is_asked_for_slots_in_the_future_with_so_many_validators_only) {
  latest_slot = *Slot::from(10);
  for (std::uint8_t validator = 0; validator < 100; ++validator) {
    ASSERT_EQ(claim(a, with_validator(1, 11, validator))->outcome, RowOutcome::kApplied);
  }
  EXPECT_EQ(claim(a, with_validator(1, 11, 100))->outcome, RowOutcome::kLocked);
  EXPECT_EQ(claim(a, with_validator(1, 12, 99))->outcome, RowOutcome::kApplied);
  EXPECT_EQ(claim(a, with_validator(1, 10, 100))->outcome, RowOutcome::kApplied);
  latest_slot = *Slot::from(11);
  EXPECT_EQ(claim(a, with_validator(1, 11, 101))->outcome, RowOutcome::kApplied);
}

TEST_F(GuardedNodes, a_node_whose_journal_is_new_does_not_take_a_database_that_forgot_for_the_history) {
  auto standby = standby_without_what_was_released_last(a);
  a.life->kill();
  b.life->kill();
  fail_over(std::move(standby));
  b.file = std::make_shared<JournalFile>();
  b.id = *NodeId::parse("node-c");
  start(b);
  const auto refused = claim_until_answered(b, lost_with(2));
  EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(refused.view.watermarks.low, *Slot::from(5));
  EXPECT_EQ(claim(b, with_validator(2, 6, 7))->outcome, RowOutcome::kApplied);
}

TEST_F(GuardedNodes, a_node_that_returns_without_its_journal_has_not_compared_what_it_released) {
  auto standby = standby_without_what_was_released_last(a);
  a.life->kill();
  fail_over(std::move(standby));
  a.file = std::make_shared<JournalFile>();
  start(a);
  const auto refused = claim_until_answered(b, lost_with(2));
  EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(refused.view.watermarks.low, *Slot::from(5));
  EXPECT_FALSE(claim_until_answered(a, lost_with(2)).view.watermarks.allow(*Slot::from(5)));
  EXPECT_EQ(claim_until_answered(b, with_validator(2, 6, 7)).outcome, RowOutcome::kApplied);
}

TEST_F(GuardedNodes, what_a_node_that_is_gone_had_reached_is_given_up_once) {
  auto standby = standby_without_what_was_released_last(a);
  a.life->kill();
  fail_over(std::move(standby));
  EXPECT_EQ(claim_until_answered(b, lost_with(2)).outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(has(b, JournaledStore::News::kForbids));
  pass(milliseconds(1'500));
  b.news.clear();
  fail_over(*shared.tables);
  EXPECT_EQ(claim_until_answered(b, duty_with(2, 6)).outcome, RowOutcome::kApplied);
  EXPECT_TRUE(has(b, JournaledStore::News::kCleared));
  EXPECT_FALSE(has(b, JournaledStore::News::kForbids));
}

TEST_F(GuardedNodes, a_node_that_was_given_up_while_it_was_silent_is_waited_for_again) {
  auto standby = standby_without_what_was_released_last(a);
  a.life->pause_until(shared.time.now() + milliseconds(60'000));
  fail_over(std::move(standby));
  EXPECT_EQ(claim_until_answered(b, lost_with(2)).outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(has(b, JournaledStore::News::kForbids));
  pass(milliseconds(90'000));
  auto second_standby = *shared.tables;
  ASSERT_EQ(claim_until_answered(a, duty_with(1, 6)).outcome, RowOutcome::kApplied);
  fail_over(std::move(second_standby));
  EXPECT_EQ(claim_until_answered(b, duty_with(2, 6)).view.row->message_hash, duty_with(1, 6).message_hash);
}

TEST_F(GuardedNodes, a_node_that_is_started_anew_while_it_holds_knows_for_whom_it_waits) {
  b.life->kill();
  shared.tables.emplace(shared.tables_clock);
  shared.replace_server(1);
  auto before_any_node = *shared.tables;
  start(b);
  pass(milliseconds(3'000));
  ASSERT_FALSE(b.store->guard()->holds());
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  pass(milliseconds(1'500));
  a.life->kill();
  fail_over(std::move(before_any_node));
  pass(milliseconds(1'500));
  ASSERT_TRUE(b.store->guard()->holds());
  b.life->kill();
  start(b);
  const auto refused = claim_until_answered(b, duty_with(2));
  EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched) << "the database knows neither the node nor what it had reached";
  EXPECT_EQ(refused.view.watermarks.low, *Slot::from(5));
}

TEST_F(GuardedNodes, a_database_from_before_the_rounds_is_not_signed_in_until_it_has_them) {
  auto standby = standby_without_what_was_released_last(a);
  a.life->kill();
  shared.has_rounds = false;
  fail_over(std::move(standby));
  pass(milliseconds(60'000));
  const auto refused = claim(b, lost_with(2));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().reason.find("migrate up"), std::string::npos) << refused.error().reason;
  EXPECT_TRUE(has(b, JournaledStore::News::kHolds));
  b.life->kill();
  start(b);
  EXPECT_FALSE(claim(b, lost_with(2))) << "after a restart neither";
  shared.has_rounds = true;
  EXPECT_FALSE(claim_until_answered(b, lost_with(2)).view.watermarks.allow(*Slot::from(5)));
  EXPECT_EQ(claim(b, with_validator(2, 6, 7))->outcome, RowOutcome::kApplied);
}

TEST_F(GuardedNodes, an_operator_lets_a_node_sign_in_a_database_without_rounds) {
  shared.has_rounds = false;
  EXPECT_FALSE(claim(b, duty_with(1)));
  EXPECT_TRUE(b.store->guard()->release("a person"));
  EXPECT_EQ(claim(b, duty_with(1))->outcome, RowOutcome::kApplied);
  b.life->kill();
  pass(milliseconds(3'000));
  start(b);
  EXPECT_EQ(claim(b, duty_with(1, 6))->outcome, RowOutcome::kApplied) << "after a restart, too";
  EXPECT_TRUE(has(b, JournaledStore::News::kUnguarded));
}

TEST_F(GuardedNodes, a_node_whose_connections_take_their_time_to_run_out_is_waited_for) {
  const auto standby = *shared.tables;
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  a.life->pause_until(shared.time.now() + milliseconds(13'000));
  fail_over(standby);
  EXPECT_EQ(claim_until_answered(b, duty_with(2)).view.row->message_hash, duty_with(1).message_hash);
  EXPECT_FALSE(has(b, JournaledStore::News::kForbids));
}

TEST_F(GuardedNodes, what_others_do_not_answer_does_not_keep_a_lease_from_being_renewed) {
  shared.rounds_silent_until = shared.time.now() + milliseconds(60'000);
  const auto began = shared.time.now();
  ASSERT_TRUE(run(a.store->register_node(registration(a), began + milliseconds(1'000))));
  EXPECT_LE(shared.time.now(), began + milliseconds(1'100));
}

TEST_F(GuardedNodes, nothing_is_forbidden_where_the_server_was_only_started_anew) {
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  pass(milliseconds(1'500));
  a.life->kill();
  shared.replace_server(0);
  EXPECT_EQ(claim_until_answered(b, duty_with(2, 4)).outcome, RowOutcome::kApplied);
  EXPECT_TRUE(has(b, JournaledStore::News::kCleared));
  EXPECT_FALSE(has(b, JournaledStore::News::kForbids));
}

TEST_F(GuardedNodes, a_loss_that_one_node_finds_holds_the_others_until_it_is_written_back) {
  const auto backup = *shared.tables;
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  shared.tables.emplace(backup);
  pass(milliseconds(3'000));
  EXPECT_TRUE(has(a, JournaledStore::News::kHolds));
  EXPECT_TRUE(has(b, JournaledStore::News::kHolds));
  EXPECT_TRUE(has(b, JournaledStore::News::kCleared));
  EXPECT_EQ(claim(b, duty_with(2))->view.row->message_hash, duty_with(1).message_hash);
}

TEST_F(GuardedNodes, a_loss_that_is_read_while_slots_are_being_forbidden_is_waited_for) {
  auto standby = standby_without_what_was_released_last(a);
  a.life->kill();
  shared.forbidding_takes = milliseconds(2'000);
  b.news.clear();
  fail_over(std::move(standby));
  while (shared.forbids == 0) ASSERT_TRUE(shared.time.step());
  Incarnation theirs;
  theirs.bytes().fill(0xc0);
  const NodeRegistration other{
      .node_id = *NodeId::parse("node-c"), .incarnation = theirs, .lease = milliseconds(60'000)};
  ASSERT_TRUE(shared.tables->register_node(other).registered);
  ASSERT_TRUE(shared.tables->begin_round(other, JournalRounds::Why::kLoss));
  // A node reads of it also when it registers again.
  ASSERT_TRUE(run(b.store->register_node(registration(b), soon())));
  ASSERT_FALSE(has(b, JournaledStore::News::kForbids)) << "it is still at work";
  while (!has(b, JournaledStore::News::kForbids)) ASSERT_TRUE(shared.time.step());
  pass(milliseconds(500));
  EXPECT_FALSE(has(b, JournaledStore::News::kCleared));
  EXPECT_FALSE(claim(b, with_validator(2, 6, 7)));
  EXPECT_EQ(b.store->guard()->status().waits_for, std::vector<std::string>{"node-c"});
}

TEST_F(GuardedNodes, a_start_in_the_history_in_which_a_node_was_at_work_holds_nothing) {
  b.life->kill();
  pass(milliseconds(3'000));
  b.news.clear();
  start(b);
  EXPECT_EQ(claim(b, duty_with(1))->outcome, RowOutcome::kApplied);
  EXPECT_FALSE(has(b, JournaledStore::News::kHolds));
}

TEST_F(GuardedNodes, a_start_in_another_history_holds_until_the_others_have_compared) {
  ASSERT_TRUE(run(b.store->end_lease(registration(b), soon())));
  b.life->kill();
  pass(milliseconds(1'000));
  const auto standby = *shared.tables;
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  a.file->silent_until = shared.time.now() + milliseconds(20'000);
  fail_over(standby);
  pass(milliseconds(3'000));
  start(b);
  pass(milliseconds(10'000));
  EXPECT_FALSE(claim(b, duty_with(2)));
  const auto refused = claim_until_answered(b, duty_with(2));
  EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(refused.view.row);
  EXPECT_EQ(refused.view.row->message_hash, duty_with(1).message_hash);
}

TEST_F(GuardedNodes, a_row_that_is_being_signed_with_another_message_is_given_up_with_its_slot) {
  const auto handed_out = LockToken::make(b.incarnation, TokenKind::kHandedOut, {++tokens});
  ASSERT_TRUE(run(b.store->claim(b.id, {{duty_with(2), handed_out}}, soon())));
  const auto standby = *shared.tables;
  ASSERT_TRUE(run(b.store->release({{duty_with(2).key, handed_out}}, soon())));
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  fail_over(standby);
  const auto refused = claim_until_answered(b, duty_with(2));
  EXPECT_EQ(refused.outcome, RowOutcome::kNotMatched);
  EXPECT_FALSE(refused.view.watermarks.allow(duty_with(2).key.slot));
  EXPECT_EQ(claim(b, duty_with(2, 6))->outcome, RowOutcome::kApplied);
}

TEST_F(GuardedNodes, a_node_that_ends_with_all_of_its_journal_in_the_store_is_not_waited_for) {
  ASSERT_EQ(claim(a, duty_with(1))->outcome, RowOutcome::kApplied);
  pass(milliseconds(1'500));
  ASSERT_TRUE(run(a.store->end_lease(registration(a), soon())));
  a.life->kill();
  pass(milliseconds(1'000));
  shared.replace_server(1);
  EXPECT_EQ(claim_until_answered(b, duty_with(2, 4)).outcome, RowOutcome::kApplied);
  EXPECT_FALSE(has(b, JournaledStore::News::kForbids));
}

TEST(EntryInStore, tells_what_a_store_has_of_an_entry) {
  const auto entry = entry_of(duty_with(1));
  auto handed_out = entry;
  handed_out.signature.reset();
  const auto mine = duty_with(1).message_hash, other = duty_with(2).message_hash;
  const auto row = [](DutyStatus status, const MessageHash& hash, HolderState holder) {
    DutyView view;
    view.row = DutyRow{
        .status = status, .message_hash = hash, .signature = {}, .node_id = "b", .lock_token = {}, .holder = holder};
    return view;
  };
  using enum DutyStatus;
  using enum HolderState;
  EXPECT_EQ(entry_in_store({}, entry), EntryInStore::kMissing);
  EXPECT_EQ(entry_in_store(row(kSigned, mine, kUnfenced), entry), EntryInStore::kStands);
  EXPECT_EQ(entry_in_store(row(kSigned, other, kUnfenced), entry), EntryInStore::kContradicted);
  EXPECT_EQ(entry_in_store(row(kSigning, mine, kAlive), entry), EntryInStore::kHeld);
  EXPECT_EQ(entry_in_store(row(kSigning, mine, kUnfenced), handed_out), EntryInStore::kStands);
  EXPECT_EQ(entry_in_store(row(kSigning, other, kAlive), entry), EntryInStore::kBusy);
  EXPECT_EQ(entry_in_store(row(kSigning, other, kUnfenced), entry), EntryInStore::kBusy)
      << "it may be released at any time";
  EXPECT_EQ(entry_in_store(row(kSigning, other, kExpired), entry), EntryInStore::kAbandoned);
  auto unreadable = row(kSigned, mine, kUnfenced);
  unreadable.row->message_hash.reset();
  EXPECT_EQ(entry_in_store(unreadable, entry), EntryInStore::kContradicted);
  DutyView below;
  below.watermarks.low = entry.key.slot;
  EXPECT_EQ(entry_in_store(below, entry), EntryInStore::kStands);
  for (const auto& [hash, found] :
       {std::pair(mine, EntryInStore::kStands), std::pair(other, EntryInStore::kContradicted)}) {
    DutyView released;
    released.released =
        DutyView::ReleasedMessage{.message_hash = hash, .digest = hash, .signature = std::nullopt, .node_id = "b"};
    EXPECT_EQ(entry_in_store(released, entry), found);
    DutyView alias;
    alias.alias = row(kSigned, hash, kUnfenced).row;
    EXPECT_EQ(entry_in_store(alias, entry), found);
  }
}

}  // namespace
}  // namespace hasigner::simulation
