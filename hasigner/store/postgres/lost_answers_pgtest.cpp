// What the store makes of answers that are lost, requests that were never sent, and lost sessions, on a real server
// behind an executor that a test disturbs.

#include <deque>

#include "tests/support/postgres_store_fixture.hpp"

namespace hasigner::postgres::test {
namespace {

using testing::ElementsAre;

enum class Fate { kAnswer, kLoseReply, kNeverSend, kFailAfterwards };

class DisturbedExecutor final : public SqlExecutor {
 public:
  explicit DisturbedExecutor(std::shared_ptr<SqlExecutor> inner) : inner_(std::move(inner)) {}

  /// Of the next requests, in their order.
  std::deque<Fate> fates;
  std::expected<bool, SqlError> sessions_alive = false;
  int questions_about_sessions = 0;
  std::function<asio::awaitable<void>()> during_question;
  std::vector<bool> asked_for_confirmation;
  std::string timeline;  ///< that the check of the database shows instead of the server's own, if it is not empty

  asio::awaitable<SqlReply> run(SqlRequest request) override {
    Fate fate = Fate::kAnswer;
    if (!fates.empty()) {
      fate = fates.front();
      fates.pop_front();
    }
    asked_for_confirmation.push_back(request.confirm);
    if (fate == Fate::kNeverSend) co_return std::unexpected(SqlError{SqlErrorKind::kNotSent, {}, "no connection"});
    SqlReply reply = co_await inner_->run(std::move(request));
    if (fate == Fate::kLoseReply) co_return std::unexpected(SqlError{SqlErrorKind::kLost, {}, "the reply was lost"});
    if (fate == Fate::kFailAfterwards)
      co_return std::unexpected(SqlError{SqlErrorKind::kServer, "XX000", "the look failed"});
    if (reply && !reply->empty()) reply->front() = shown(std::move(reply->front()));
    co_return reply;
  }
  void set_session_check(SessionCheck check) override {
    check.judge = [this, judge = std::move(check.judge)](const SqlRows& rows) { return judge(shown(rows)); };
    inner_->set_session_check(std::move(check));
  }
  std::size_t parallel_requests() const override { return inner_->parallel_requests(); }
  asio::awaitable<std::expected<bool, SqlError>> lost_sessions_alive(MonotonicTime) override {
    ++questions_about_sessions;
    const auto answer = sessions_alive;
    if (auto meanwhile = std::exchange(during_question, nullptr)) {
      auto happening = meanwhile();
      co_await std::move(happening);
    }
    co_return answer;
  }
  asio::awaitable<void> close() override { return inner_->close(); }

 private:
  [[nodiscard]] SqlRows shown(SqlRows rows) const {
    constexpr std::size_t kColumnsOfCheck = 18;
    const bool is_check =
        rows.rows.size() == 1 && rows.rows[0].size() == kColumnsOfCheck && rows.rows[0][0] == "f";  // in recovery
    if (is_check && !timeline.empty()) rows.rows[0].back() = timeline;
    return rows;
  }

  std::shared_ptr<SqlExecutor> inner_;
};

class LostAnswers : public PostgresStoreTest {
 protected:
  LostAnswers() {
    register_node("node-1", 0x11);
    const auto read = fixture->wait(store.initialize(in(20s)));
    EXPECT_TRUE(read);
    executor->asked_for_confirmation.clear();
  }

  template <class T>
  StoreErrorKind error_of(StoreBatch<T> batch) {
    const auto reply = fixture->wait(std::move(batch));
    if (reply) throw std::runtime_error("it was answered");
    return reply.error().kind;
  }
  template <class T>
  bool was_confirmed(StoreBatch<T> batch) {
    executor->asked_for_confirmation.clear();
    (void)fixture->outcomes(std::move(batch));
    return executor->asked_for_confirmation.at(0);
  }
  ReleaseReply release() {
    const auto reply = fixture->wait(store.release({{duty().key, token(1)}}, in(20s)));
    if (!reply) throw std::runtime_error(reply.error().reason);
    return *reply;
  }
  static DutyRecord record_of(const Duty& one, const LockToken& with) {
    return {one.key, with, one.message_hash, signature(1)};
  }
  static Takeover takeover(const Duty& one, const LockToken& seen, TakeoverKind kind) {
    const bool is_same = kind == TakeoverKind::kSameData;
    return {kind, is_same ? one : duty({.slot = one.key.slot.value(), .hash = 0xbb}), seen,
            token(9, 0x22, is_same ? TokenKind::kTakenOver : TokenKind::kFenced)};
  }
  /// As if its node had died.
  void hold(const Duty& one, const LockToken& with) {
    claim_one(one, with);
    session.exec("update ha_signer_nodes set lease_until = now() - interval '1 second'");
  }

  std::shared_ptr<DisturbedExecutor> executor = std::make_shared<DisturbedExecutor>(std::shared_ptr<SqlExecutor>(
      LibpqExecutor::create(fixture->io.get_executor(), {.url = server.url(database), .max = 4}).value()));
  PostgresStore store{executor, fixture->clock};
};

TEST_F(LostAnswers, a_release_is_settled_only_when_the_sessions_of_lost_requests_have_ended) {
  hold(duty({.slot = 101}), token(2));
  hold(duty({.slot = 102}), token(3));
  const std::vector<std::function<StoreErrorKind()>> losing{
      [&] {
        return error_of(store.claim(node(), {{duty(), token(1)}}, in(20s)));
      },
      [&] {
        return error_of(store.claim_signed(node(), {{duty(), token(1), signature(1)}}, in(20s)));
      },
      [&] {
        return error_of(store.take_over(node("node-2"),
                                        {takeover(duty({.slot = 101}), token(2), TakeoverKind::kSameData)}, in(20s)));
      },
      [&] {
        return error_of(store.take_over(node("node-2"),
                                        {takeover(duty({.slot = 102}), token(3), TakeoverKind::kReplace)}, in(20s)));
      }};
  for (std::size_t i = 0; i < losing.size(); ++i) {
    executor->fates = {Fate::kLoseReply};
    EXPECT_EQ(losing[i](), StoreErrorKind::kInDoubt) << i;
    executor->sessions_alive = true;
    EXPECT_FALSE(release().settled) << i;
    executor->sessions_alive = std::unexpected(SqlError{SqlErrorKind::kNotSent, {}, "no connection"});
    EXPECT_FALSE(release().settled) << i;
    executor->sessions_alive = false;
    EXPECT_TRUE(release().settled) << i;
    const int asked = executor->questions_about_sessions;
    EXPECT_TRUE(release().settled) << i;
    EXPECT_EQ(executor->questions_about_sessions, asked) << "nothing was lost since";
  }
}

/// Claims whose reply is lost.
asio::awaitable<void> lose_a_claim(PostgresStore* store, DisturbedExecutor* executor, DutyClaim claim,
                                   MonotonicTime deadline) {
  executor->fates = {Fate::kLoseReply};
  auto claiming = store->claim(*NodeId::parse("node-1"), {std::move(claim)}, deadline);
  const auto reply = co_await std::move(claiming);
  EXPECT_FALSE(reply);
}

TEST_F(LostAnswers, a_loss_during_the_question_about_earlier_ones_is_asked_about_by_the_next_release) {
  executor->fates = {Fate::kLoseReply};
  ASSERT_EQ(error_of(store.claim(node(), {{duty(), token(1)}}, in(20s))), StoreErrorKind::kInDoubt);
  executor->during_question = [this] {
    return lose_a_claim(&store, executor.get(), {duty({.slot = 101}), token(2)}, in(20s));
  };
  executor->sessions_alive = false;
  EXPECT_TRUE(release().settled);
  executor->sessions_alive = true;
  EXPECT_FALSE(release().settled);
  EXPECT_EQ(executor->questions_about_sessions, 2);
}

TEST_F(LostAnswers, an_error_after_a_part_of_the_claims_is_in_doubt) {
  std::vector<DutyClaim> claims;
  for (std::uint32_t i = 1; i <= 16; ++i) claims.push_back({duty({.validator = i}), token(i)});
  SqlSession other(server.url(database));
  other.exec(
      "begin; insert into validator_duties (rollup_address, validator_address, slot, block_number, "
      "block_index_within_checkpoint, duty_type, status, message_hash, node_id, lock_token) values ('" +
      kRollup.to_string() + "', '" + address(16).to_string() +
      "', 100, 1, -1, 'ATTESTATION', 'signing', '0x12', 'x', 'y')");
  // The whole batch meets the lock, a part of it is written, and the next part is never sent.
  executor->fates = {Fate::kAnswer, Fate::kAnswer, Fate::kNeverSend};
  EXPECT_EQ(error_of(store.claim(node(), claims, in(20s))), StoreErrorKind::kInDoubt);
  EXPECT_NE(session.exec("select count(*) from validator_duties"), "0");
  executor->fates = {Fate::kNeverSend};
  EXPECT_EQ(error_of(store.claim(node(), claims, in(20s))), StoreErrorKind::kUnavailable);
  other.exec("rollback");
}

TEST_F(LostAnswers, an_error_of_the_look_after_a_claim_is_in_doubt) {
  executor->fates = {Fate::kFailAfterwards};
  EXPECT_EQ(error_of(store.claim(node(), {{duty(), token(1)}}, in(20s))), StoreErrorKind::kInDoubt);
  EXPECT_TRUE(look_one(duty().key).row);
}

TEST_F(LostAnswers, takeovers_that_went_before_the_replacements_of_their_batch_are_in_doubt_with_them) {
  hold(duty({.slot = 101}), token(2));
  hold(duty({.slot = 102}), token(3));
  const std::vector<Takeover> batch{takeover(duty({.slot = 101}), token(2), TakeoverKind::kSameData),
                                    takeover(duty({.slot = 102}), token(3), TakeoverKind::kReplace)};
  executor->fates = {Fate::kAnswer, Fate::kNeverSend};
  EXPECT_EQ(error_of(store.take_over(node("node-2"), batch, in(20s))), StoreErrorKind::kInDoubt);
  EXPECT_EQ(look_one(duty({.slot = 101}).key).row->lock_token, batch[0].token);
  executor->fates = {Fate::kNeverSend};
  EXPECT_EQ(error_of(store.take_over(node("node-2"), {batch[1]}, in(20s))), StoreErrorKind::kUnavailable);
}

class PartOfARecord : public LostAnswers {
 protected:
  PartOfARecord() {
    for (const std::uint32_t i : {1, 2}) claim_one(duty({.validator = i}), token(i));
    other.exec("begin; select from validator_duties where validator_address = '" + address(2).to_string() +
               "' for update");
  }
  StoreBatch<RowOutcome> record_both() {
    return store.record({record_of(duty({.validator = 1}), token(1)), record_of(duty({.validator = 2}), token(2))},
                        in(20s));
  }
  SqlSession other{server.url(database)};
};

TEST_F(PartOfARecord, that_is_lost_after_the_others_were_decided_is_in_doubt) {
  // One is recorded and the other is locked; both are looked at; the locked one is tried again.
  executor->fates = {Fate::kAnswer, Fate::kAnswer, Fate::kLoseReply};
  EXPECT_EQ(error_of(record_both()), StoreErrorKind::kInDoubt);
}

TEST_F(PartOfARecord, that_was_not_sent_again_is_locked_and_the_others_are_recorded) {
  executor->fates = {Fate::kAnswer, Fate::kAnswer, Fate::kNeverSend};
  EXPECT_THAT(fixture->outcomes(record_both()), ElementsAre(RowOutcome::kApplied, RowOutcome::kLocked));
}

TEST_F(PartOfARecord, that_could_not_be_looked_at_is_locked_and_the_others_are_recorded) {
  executor->fates = {Fate::kAnswer, Fate::kNeverSend};
  EXPECT_THAT(fixture->outcomes(record_both()), ElementsAre(RowOutcome::kApplied, RowOutcome::kLocked));
}

/// A pooler can change the server behind an open session, so each statement asks for itself.
TEST_F(LostAnswers, a_server_on_an_older_timeline_than_the_known_one_confirms_nothing) {
  claim_one(duty(), token(1));
  claim_one(duty({.slot = 101}), token(2));
  record_one(duty({.slot = 101}), token(2));
  claim_one(duty({.slot = 102, .hash = 0xcc}), LockToken(std::string(32, 'f')));
  executor->timeline = "00000002";
  ASSERT_TRUE(fixture->wait(store.initialize(in(20s))));
  EXPECT_THAT(fixture->outcomes(store.record({record_of(duty(), token(1))}, in(20s))),
              ElementsAre(RowOutcome::kNotMatched));
  const Duty signed_one = duty({.slot = 101});
  EXPECT_THAT(fixture->outcomes(
                  store.confirm_stored(node(), {{signed_one.key, signed_one.message_hash, signature(1)}}, in(20s))),
              ElementsAre(false));
  const auto claimed =
      fixture->outcomes(store.claim_signed(node(), {{duty({.slot = 103}), token(3), signature(1)}}, in(20s)));
  EXPECT_EQ(claimed[0].outcome, RowOutcome::kNotMatched);
  const ClaimedMessage message{.key = {kRollup, address(1), hash(0xcc), hash(0xcc)},
                               .duty_types = {DutyType::kAttestation},
                               .slot = std::nullopt,
                               .signature = signature(1)};
  const auto released = fixture->outcomes(store.release_claimed(node(), {message}, in(20s)));
  EXPECT_FALSE(std::holds_alternative<Released>(released[0]));
  EXPECT_EQ(session.exec("select slot, status from validator_duties order by slot"),
            "100|signing\n101|signed\n102|signing");
  EXPECT_EQ(session.exec("select count(*) from ha_signer_released"), "0");
}

TEST_F(LostAnswers, whatever_signing_relies_on_asks_for_a_confirmed_commit) {
  const LockToken handed_out = token(1, 0x11, TokenKind::kHandedOut);
  EXPECT_TRUE(was_confirmed(store.claim(node(), {{duty(), handed_out}}, in(20s))));
  EXPECT_FALSE(was_confirmed(store.claim(node(), {{duty({.slot = 101}), token(2)}}, in(20s)))) << "its record is";
  EXPECT_TRUE(was_confirmed(store.record({record_of(duty(), handed_out)}, in(20s))));
  EXPECT_TRUE(was_confirmed(store.confirm_stored(node(), {{duty().key, duty().message_hash, signature(1)}}, in(20s))));
  EXPECT_TRUE(was_confirmed(store.claim_signed(node(), {{duty({.slot = 102}), token(3), signature(1)}}, in(20s))));
  hold(duty({.slot = 103}), token(4));
  EXPECT_TRUE(was_confirmed(
      store.take_over(node("node-2"), {takeover(duty({.slot = 103}), token(4), TakeoverKind::kSameData)}, in(20s))));
  hold(duty({.slot = 104}), token(5));
  EXPECT_TRUE(was_confirmed(
      store.take_over(node("node-2"), {takeover(duty({.slot = 104}), token(5), TakeoverKind::kReplace)}, in(20s))));
  claim_one(duty({.slot = 105, .hash = 0xcc}), LockToken(std::string(32, 'f')));
  const ClaimedMessage message{.key = {kRollup, address(1), hash(0xcc), hash(0xcc)},
                               .duty_types = {DutyType::kAttestation},
                               .slot = std::nullopt,
                               .signature = signature(1)};
  EXPECT_TRUE(was_confirmed(store.release_claimed(node(), {message}, in(20s))));
}

}  // namespace
}  // namespace hasigner::postgres::test
