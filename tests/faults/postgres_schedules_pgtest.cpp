// What sessions on one database can do to each other, built step by step with real ones, and what the store makes of
// it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <csignal>
#include <set>
#include <thread>

#include "tests/support/postgres_store_fixture.hpp"
#include "tests/support/tcp_proxy.hpp"

namespace hasigner::postgres::test {
namespace {

using hasigner::test::eventually;
using hasigner::test::TcpProxy;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kOneWaitsForALock =
    "select count(*) = 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";

std::string values_of(const Duty& one, const LockToken& with) {
  return "('" + one.key.rollup.to_string() + "', '" + one.key.validator.to_string() + "', " + one.key.slot.to_string() +
         ", 1, " + std::to_string(one.key.block_index) + ", '" + std::string(to_string(one.key.duty_type)) +
         "', 'signing', '" + one.message_hash.to_string() + "', 'other', '" + with.str() + "')";
}
constexpr std::string_view kInsert =
    "insert into validator_duties (rollup_address, validator_address, slot, block_number, "
    "block_index_within_checkpoint, "
    "duty_type, status, message_hash, node_id, lock_token) values ";

std::vector<DutyClaim> thousand_claims(std::uint64_t slot) {
  std::vector<DutyClaim> claims;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    claims.push_back({duty({.validator = i, .slot = slot}), token(static_cast<std::uint32_t>(slot * 1000) + i)});
  }
  return claims;
}

bool is_locked(const ClaimOutcome& outcome) {
  return outcome.outcome == RowOutcome::kLocked;
}

bool won(const ClaimOutcome& outcome, const DutyClaim& claim) {
  return outcome.view.row && outcome.view.row->lock_token == claim.token;
}

class PostgresSchedules : public PostgresStoreTest {
 protected:
  bool one_waits_for_a_lock() { return session.exec(std::string(kOneWaitsForALock)) == "t"; }
  /// Lets the store work until its sessions have begun some statements: it met the lock, and tries again.
  bool store_tries_again() {
    constexpr std::size_t kStatements = 6;  // more than it takes to open a session, and to try once
    std::set<std::string> begun;
    return fixture->work_until([&] {
      begun.insert(
          session.exec("select string_agg(pid || ' ' || query_start, ', ' order by pid) from pg_stat_activity "
                       "where datname = current_database() and pid not in (pg_backend_pid(), " +
                       std::to_string(other.process_id()) + ")"));
      return begun.size() > kStatements;
    });
  }
  std::chrono::milliseconds since(MonotonicTime begin) {
    return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
  }
  SqlSession other{server.url(database)};
};

// A claim and a deletion.

TEST_F(PostgresSchedules, a_deletion_that_commits_while_a_claim_waits_is_seen_by_its_look) {
  claim_one(duty(), token(1));
  record_one(duty(), token(1));
  other.exec("begin; delete from validator_duties");
  auto claiming = fixture->start(fixture->store.claim(node(), {{duty({.hash = 0xbb}), token(2)}}, in(20s)));
  ASSERT_TRUE(fixture->work_until([&] { return one_waits_for_a_lock(); }));
  other.exec("commit");
  const auto reply = fixture->wait(std::move(claiming));
  ASSERT_TRUE(reply) << reply.error().reason;
  const DutyView& view = (*reply)[0].view;
  ASSERT_TRUE(view.row) << "the deletion made room for the row";
  EXPECT_EQ(view.row->lock_token, token(2));
  EXPECT_FALSE(view.watermarks.allow(duty().key.slot)) << "but the look, which came later, sees what the deletion left";
  EXPECT_EQ(record_one(duty({.hash = 0xbb}), token(2)), RowOutcome::kNotMatched) << "and the record repeats it";
}

TEST_F(PostgresSchedules, a_deletion_that_is_rolled_back_leaves_the_row_to_its_holder) {
  claim_one(duty(), token(1));
  record_one(duty(), token(1));
  other.exec("begin; delete from validator_duties");
  auto claiming = fixture->start(fixture->store.claim(node(), {{duty({.hash = 0xbb}), token(2)}}, in(20s)));
  ASSERT_TRUE(fixture->work_until([&] { return one_waits_for_a_lock(); }));
  other.exec("rollback");
  const auto reply = fixture->wait(std::move(claiming));
  ASSERT_TRUE(reply);
  EXPECT_EQ((*reply)[0].view.row->lock_token, token(1));
}

// A claim that records at once, and a deletion.

class SignedClaimSchedules : public PostgresSchedules {
 protected:
  SignedClaimSchedules() {
    EXPECT_TRUE(register_node("node-1", 0x11));
    EXPECT_TRUE(register_node("node-2", 0x22));
  }
  static SignedClaim one(std::uint32_t number, DutyOptions options = {}, std::uint8_t of = 0x11) {
    return {duty(options), token(number, of), signature(1)};
  }
  auto start(std::vector<SignedClaim> claims, const std::string& name = "node-1") {
    return fixture->start(fixture->store.claim_signed(node(name), std::move(claims), in(20s)));
  }
};

TEST_F(SignedClaimSchedules, a_deletion_that_commits_while_the_insert_waits_refuses_it) {
  ASSERT_EQ(claim_signed({one(1)})[0].outcome, RowOutcome::kApplied);
  other.exec("begin; delete from validator_duties");
  auto claiming = start({one(2, {.hash = 0xbb})});
  ASSERT_TRUE(fixture->work_until([&] { return one_waits_for_a_lock(); }));
  other.exec("commit");
  const auto reply = fixture->wait(std::move(claiming));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_EQ((*reply)[0].outcome, RowOutcome::kNotMatched);
  EXPECT_FALSE((*reply)[0].view.row);
  EXPECT_EQ((*reply)[0].view.watermarks.low, duty().key.slot) << "which the deletion left while the insert waited";
  EXPECT_EQ(session.exec("select count(*) from validator_duties"), "0");
  EXPECT_EQ(session.exec("select low_slot from ha_signer_watermarks"), "100");
}

TEST_F(SignedClaimSchedules, a_watermark_that_is_set_while_the_insert_waits_refuses_it) {
  other.exec("begin; select ha_signer_set_watermark('" + kRollup.to_string() + "', '" +
             duty().key.validator.to_string() + "', 'ATTESTATION', 100, null)");
  auto claiming = start({one(1), one(2, {.slot = 101})});
  ASSERT_TRUE(fixture->work_until([&] { return one_waits_for_a_lock(); }));
  other.exec("commit");
  const auto reply = fixture->wait(std::move(claiming));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_EQ((*reply)[0].outcome, RowOutcome::kNotMatched);
  EXPECT_EQ((*reply)[1].outcome, RowOutcome::kApplied);
}

TEST_F(SignedClaimSchedules, a_deletion_that_is_rolled_back_leaves_the_row_to_who_signed_it) {
  ASSERT_EQ(claim_signed({one(1)})[0].outcome, RowOutcome::kApplied);
  other.exec("begin; delete from validator_duties");
  auto claiming = start({one(2, {.hash = 0xbb})});
  ASSERT_TRUE(fixture->work_until([&] { return one_waits_for_a_lock(); }));
  other.exec("rollback");
  const auto reply = fixture->wait(std::move(claiming));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_EQ((*reply)[0].outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE((*reply)[0].view.row);
  EXPECT_EQ((*reply)[0].view.row->lock_token, token(1));
}

TEST_F(SignedClaimSchedules, a_repetition_waits_for_a_deletion_of_its_row_and_is_refused) {
  const SignedClaim mine = one(1);
  ASSERT_EQ(claim_signed({mine})[0].outcome, RowOutcome::kApplied);
  other.exec("begin; delete from validator_duties");
  auto again = start({mine});
  ASSERT_TRUE(fixture->work_until([&] { return one_waits_for_a_lock(); }));
  other.exec("commit");
  const auto reply = fixture->wait(std::move(again));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_EQ((*reply)[0].outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(session.exec("select count(*) from validator_duties"), "0");
}

TEST_F(SignedClaimSchedules, a_repetition_waits_for_a_change_of_its_row_and_is_applied) {
  const SignedClaim mine = one(1);
  ASSERT_EQ(claim_signed({mine})[0].outcome, RowOutcome::kApplied);
  other.exec("begin; update validator_duties set error_message = 'seen'");
  auto again = start({mine, one(2, {.slot = 101})});
  ASSERT_TRUE(fixture->work_until([&] { return one_waits_for_a_lock(); }));
  other.exec("commit");
  const auto reply = fixture->wait(std::move(again));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_EQ((*reply)[0].outcome, RowOutcome::kApplied);
  EXPECT_EQ((*reply)[1].outcome, RowOutcome::kApplied);
  EXPECT_EQ(session.exec("select error_message from validator_duties where slot = 100"), "seen");
}

/// Such a row was written by another transaction, so the commit of the repetition waits for nothing of it.
TEST_F(SignedClaimSchedules,
       a_row_of_an_earlier_try_that_appears_behind_the_repetitions_insert_is_not_confirmed_by_it) {
  const SignedClaim mine = one(1);
  other.exec(std::string(kInsert) + values_of(duty(), LockToken("x")));
  other.exec("begin; lock table ha_signer_watermarks in access exclusive mode");
  auto again = start({mine});
  ASSERT_TRUE(fixture->work_until([&] { return one_waits_for_a_lock(); }));
  other.exec("delete from validator_duties");
  other.exec(std::string(kInsert) + values_of(mine.duty, mine.token));
  other.exec("update validator_duties set node_id = 'node-1', status = 'signed', completed_at = now(), signature = '" +
             mine.signature.to_string() + "'");
  other.exec("commit");
  const auto reply = fixture->wait(std::move(again));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_EQ((*reply)[0].outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE((*reply)[0].view.row);
  EXPECT_EQ((*reply)[0].view.row->lock_token, mine.token);
  EXPECT_EQ(claim_signed({mine})[0].outcome, RowOutcome::kApplied) << "the next repetition writes it again";
}

TEST_F(SignedClaimSchedules, one_locked_row_holds_up_none_of_a_thousand) {
  std::vector<SignedClaim> claims;
  for (std::uint32_t i = 0; i < 1000; ++i) claims.push_back(one(i, {.validator = i}));
  other.exec("begin");
  other.exec(std::string(kInsert) + values_of(claims[500].duty, LockToken("x")));
  const auto begin = std::chrono::steady_clock::now();
  const auto outcomes = claim_signed(claims);
  EXPECT_LT(since(begin), 2s);
  for (std::size_t i = 0; i < claims.size(); ++i) {
    EXPECT_EQ(outcomes[i].outcome, i == 500 ? RowOutcome::kLocked : RowOutcome::kApplied) << i;
  }
  other.exec("rollback");
  for (const auto& outcome : claim_signed(claims)) EXPECT_EQ(outcome.outcome, RowOutcome::kApplied);
}

TEST_F(SignedClaimSchedules, an_attempt_that_waits_for_a_row_that_is_taken_back_gets_the_duty) {
  // The first node's lease ends while its insert waits, so its row must not stand; a claim of another node waits for
  // it.
  other.exec("begin");
  other.exec(std::string(kInsert) + values_of(duty({.slot = 101}), LockToken("x")));
  StoreFixture second(server.url(database));
  ASSERT_TRUE(second.wait(second.store.initialize(in(20s))));
  auto first = start({one(1), one(2, {.slot = 101})});
  ASSERT_TRUE(fixture->work_until([&] { return one_waits_for_a_lock(); }));
  const DutyClaim theirs{duty({.hash = 0xbb}), token(3, 0x22)};
  auto waiting = second.start(second.store.claim(node("node-2"), {theirs}, in(20s)));
  ASSERT_TRUE(second.work_until([&] {
    return session.exec(
               "select count(*) = 2 from pg_stat_activity where wait_event_type = 'Lock' and datname = "
               "current_database()") == "t";
  }));
  session.exec("update ha_signer_nodes set lease_until = now() where node_id = 'node-1'");
  other.exec("rollback");
  const auto refused = fixture->wait(std::move(first));
  ASSERT_TRUE(refused) << refused.error().reason;
  for (const auto& outcome : *refused) EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
  const auto claimed = second.wait(std::move(waiting));
  ASSERT_TRUE(claimed) << claimed.error().reason;
  EXPECT_TRUE(won((*claimed)[0], theirs));
  EXPECT_EQ(session.exec("select count(*) from ha_signer_watermarks"), "0");
}

TEST_F(SignedClaimSchedules, a_lost_reply_is_in_doubt_and_repeated_with_the_same_token) {
  TcpProxy proxy(server.port());
  StoreFixture lossy("postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + database);
  ASSERT_TRUE(lossy.wait(lossy.store.initialize(in(5s))));
  session.exec(
      "create function slow_insert() returns trigger language plpgsql as $$ begin perform "
      "pg_advisory_xact_lock_shared(1); return new; end $$; create trigger slow_insert before insert on "
      "validator_duties "
      "for each row execute function slow_insert()");
  session.exec("alter function slow_insert() set lock_timeout = 0");
  session.exec("select pg_advisory_lock(1)");
  const SignedClaim mine = one(1);
  auto claiming = lossy.start(lossy.store.claim_signed(node(), {mine}, in(20s)));
  ASSERT_TRUE(lossy.work_until([&] { return one_waits_for_a_lock(); }));
  proxy.cut();
  const auto lost = lossy.wait(std::move(claiming));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, StoreErrorKind::kInDoubt);
  session.exec("select pg_advisory_unlock(1)");
  ASSERT_TRUE(eventually([&] { return session.exec("select count(*) from validator_duties") == "1"; }));
  session.exec("drop trigger slow_insert on validator_duties");
  EXPECT_EQ(claim_signed({mine})[0].outcome, RowOutcome::kApplied);
}

// One locked row in a batch of a thousand.

TEST_F(PostgresSchedules, one_locked_row_holds_up_none_of_a_thousand_claims) {
  const auto claims = thousand_claims(100);
  other.exec("begin");
  other.exec(std::string(kInsert) + values_of(claims[500].duty, LockToken("x")));
  const auto begin = std::chrono::steady_clock::now();
  const auto outcomes = claim(claims);
  EXPECT_LT(since(begin), 1500ms);
  for (std::size_t i = 0; i < claims.size(); ++i) {
    EXPECT_EQ(is_locked(outcomes[i]), i == 500) << i;
    EXPECT_EQ(won(outcomes[i], claims[i]), i != 500) << i;
  }
  other.exec("rollback");
  EXPECT_TRUE(won(claim({claims[500]})[0], claims[500]));
}

TEST_F(PostgresSchedules, a_row_that_is_being_changed_holds_up_none_of_a_thousand_claims) {
  auto claims = thousand_claims(100);
  claim({claims[0]}, "node-2");
  other.exec("begin; update validator_duties set node_id = 'x'");
  const auto outcomes = claim(claims);
  EXPECT_TRUE(is_locked(outcomes[0]));
  EXPECT_TRUE(std::all_of(outcomes.begin() + 1, outcomes.end(),
                          [](const ClaimOutcome& outcome) { return !is_locked(outcome); }));
  other.exec("commit");
}

TEST_F(PostgresSchedules, a_thousand_locked_rows_are_given_back_in_bounded_time) {
  auto claims = thousand_claims(100);
  claim(claims, "node-2");
  other.exec("begin; delete from validator_duties");
  const auto begin = std::chrono::steady_clock::now();
  const auto outcomes = claim(claims);
  EXPECT_LT(since(begin), 3s);
  EXPECT_TRUE(std::ranges::all_of(outcomes, is_locked));
  other.exec("commit");
}

class ThousandHeld : public PostgresSchedules {
 protected:
  ThousandHeld() : claims(thousand_claims(100)) {
    claim(claims);
    for (const auto& one : claims) records.push_back({one.duty.key, one.token, one.duty.message_hash, signature(1)});
    other.exec("begin; select from validator_duties where validator_address = '" +
               claims[500].duty.key.validator.to_string() + "' for update");
  }
  std::vector<DutyClaim> claims;
  std::vector<DutyRecord> records;
};

TEST_F(ThousandHeld, one_locked_row_holds_up_none_of_a_thousand_records) {
  const auto begin = std::chrono::steady_clock::now();
  const auto outcomes = record(records);
  EXPECT_LT(since(begin), 1s);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    EXPECT_EQ(outcomes[i], i == 500 ? RowOutcome::kLocked : RowOutcome::kApplied) << i;
  }
  EXPECT_EQ(session.exec("select count(*) from validator_duties where status = 'signed'"), "999");
  other.exec("commit");
  EXPECT_THAT(record(records), Each(RowOutcome::kApplied));
}

TEST_F(ThousandHeld, a_lone_record_waits_a_while_for_its_row) {
  auto recording = fixture->start(fixture->store.record({records[500]}, in(20s)));
  ASSERT_TRUE(store_tries_again());
  other.exec("commit");
  const auto reply = fixture->wait(std::move(recording));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_EQ((*reply)[0], RowOutcome::kApplied);
}

TEST_F(ThousandHeld, a_lone_record_does_not_wait_without_end) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(record({records[500]})[0], RowOutcome::kLocked);
  EXPECT_LT(since(begin), 2s);
}

TEST_F(ThousandHeld, one_locked_row_holds_up_none_of_a_thousand_takeovers) {
  std::vector<Takeover> takeovers;
  for (const auto& one : claims) {
    takeovers.push_back({TakeoverKind::kSameData, one.duty, one.token, LockToken("2" + one.token.str().substr(1))});
  }
  const auto outcomes = fixture->outcomes(fixture->store.take_over(node("node-2"), takeovers, in(20s)));
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    EXPECT_EQ(outcomes[i], i == 500 ? RowOutcome::kLocked : RowOutcome::kApplied) << i;
  }
}

TEST_F(ThousandHeld, one_locked_row_holds_up_none_of_a_thousand_releases) {
  std::vector<DutyRelease> releases;
  for (const auto& one : claims) releases.push_back({one.duty.key, one.token});
  const auto reply = fixture->wait(fixture->store.release(releases, in(20s)));
  ASSERT_TRUE(reply) << reply.error().reason;
  ASSERT_EQ(reply->outcomes.size(), 1000u);
  for (std::size_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(reply->outcomes[i], i == 500 ? RowOutcome::kLocked : RowOutcome::kApplied) << i;
  }
  auto releasing = fixture->start(fixture->store.release({releases[500]}, in(20s)));
  ASSERT_TRUE(store_tries_again());
  other.exec("commit");
  const auto late = fixture->wait(std::move(releasing));
  ASSERT_TRUE(late);
  EXPECT_EQ(late->outcomes[0], RowOutcome::kApplied);
}

// A row that changes between a statement's snapshot and its lock.

/// Two records, and a function lower() before the system's on the search path, which waits when the statement comes to
/// the first: so another session can change the second row while the statement is at work.
class ChangedAfterSnapshot : public PostgresSchedules {
 protected:
  ChangedAfterSnapshot() {
    claim({{duty({.slot = 1}), token(1)}, {duty({.slot = 2}), token(2)}});
    session.exec("update validator_duties set message_hash = '0x' || repeat('A', 64) where slot = 1");
    session.exec(
        "create schema slow; create function slow.lower(value varchar) returns text language plpgsql as $$ begin "
        "if value = '0x' || repeat('A', 64) then perform pg_advisory_xact_lock_shared(1); end if; "
        "return pg_catalog.lower(value); end $$");
    session.exec("alter database " + database + " set search_path = slow, pg_catalog, public");
  }

  std::vector<RowOutcome> record_while_the_second_row_changes(const std::string& change) {
    StoreFixture slow(server.url(database));
    session.exec("select pg_advisory_lock(1)");
    const std::vector<DutyRecord> records{{duty({.slot = 1}).key, token(1), hash(0xaa), signature(1)},
                                          {duty({.slot = 2}).key, token(2), hash(0xaa), signature(1)}};
    auto recording = slow.start(slow.store.record(records, in(20s)));
    EXPECT_TRUE(slow.work_until([&] { return one_waits_for_a_lock(); }));
    other.exec("update validator_duties set " + change + " where slot = 2");
    session.exec("select pg_advisory_unlock(1)");
    const auto reply = slow.wait(std::move(recording));
    if (!reply) throw std::runtime_error(reply.error().reason);
    return *reply;
  }
};

TEST_F(ChangedAfterSnapshot, a_row_is_not_mistaken_for_one_that_does_not_match) {
  EXPECT_THAT(record_while_the_second_row_changes("node_id = 'changed'"), Each(RowOutcome::kApplied));
  EXPECT_EQ(session.exec("select string_agg(status || ' ' || node_id, ', ' order by slot) from validator_duties"),
            "signed node-1, signed changed");
}

TEST_F(ChangedAfterSnapshot, a_row_that_was_taken_over_is_not_recorded) {
  EXPECT_THAT(record_while_the_second_row_changes("lock_token = 'x'"),
              ElementsAre(RowOutcome::kApplied, RowOutcome::kNotMatched));
}

// Two nodes, one database.

TEST_F(PostgresSchedules, two_nodes_that_claim_and_record_the_same_duties_do_not_deadlock) {
  auto second_executor = *LibpqExecutor::create(fixture->io.get_executor(), {.url = server.url(database), .max = 4});
  PostgresStore second(second_executor, fixture->clock);
  for (std::uint64_t slot = 1; slot <= 5; ++slot) {
    const auto first_claims = thousand_claims(slot);
    auto second_claims = first_claims;
    for (auto& one : second_claims) one.token = LockToken("2" + one.token.str().substr(1));
    std::ranges::reverse(second_claims);
    auto ours = fixture->start(fixture->store.claim(node("node-1"), first_claims, in(20s)));
    auto theirs = fixture->start(second.claim(node("node-2"), second_claims, in(20s)));
    const auto one = fixture->wait(std::move(ours));
    const auto two = fixture->wait(std::move(theirs));
    ASSERT_TRUE(one && two);
    std::size_t winners = 0;
    std::vector<DutyRecord> first_records, second_records;
    for (std::size_t i = 0; i < 1000; ++i) {
      winners += won((*one)[i], first_claims[i]) + won((*two)[i], second_claims[i]);
      first_records.push_back({first_claims[i].duty.key, first_claims[i].token, hash(0xaa), signature(1)});
      second_records.push_back({second_claims[i].duty.key, second_claims[i].token, hash(0xaa), signature(2)});
    }
    EXPECT_EQ(winners, 1000u);
    auto recorded = fixture->start(fixture->store.record(first_records, in(20s)));
    auto also_recorded = fixture->start(second.record(second_records, in(20s)));
    const auto one_recorded = fixture->wait(std::move(recorded));
    const auto two_recorded = fixture->wait(std::move(also_recorded));
    ASSERT_TRUE(one_recorded && two_recorded);
    const auto confirmed = std::ranges::count(*one_recorded, RowOutcome::kApplied) +
                           std::ranges::count(*two_recorded, RowOutcome::kApplied);
    EXPECT_EQ(confirmed, 1000);
  }
  EXPECT_EQ(session.exec("select deadlocks from pg_stat_database where datname = current_database()"), "0");
  fixture->wait(second.close());
}

// A client that stopped in the middle.

/// Sends a statement and asks for its answer, but never ends its transaction.
class StoppedClient {
 public:
  StoppedClient(const std::string& url, const std::string& statement)
      : connection_(PQconnectdb(url.c_str()), PQfinish) {
    if (PQstatus(connection_.get()) != CONNECTION_OK || PQenterPipelineMode(connection_.get()) != 1 ||
        PQsendQueryParams(connection_.get(), statement.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) != 1 ||
        PQsendFlushRequest(connection_.get()) != 1 || PQflush(connection_.get()) != 0) {
      throw std::runtime_error(PQerrorMessage(connection_.get()));
    }
    // Its answer shows that the row is locked now.
    std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQgetResult(connection_.get()), PQclear);
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) throw std::runtime_error(PQresultErrorMessage(result.get()));
  }
  void die() { connection_.reset(); }

 private:
  std::unique_ptr<PGconn, void (*)(PGconn*)> connection_;
};

/// Longer than the time-outs of the stopped client's session.
void nothing_frees_it_for(milliseconds time) {
  std::this_thread::sleep_for(time);
}

TEST_F(PostgresSchedules, a_stopped_client_with_half_a_pipeline_holds_up_its_row_only) {
  const auto claims = thousand_claims(100);
  claim(claims);
  StoppedClient stopped(
      server.url(database) + "?options=-c%20statement_timeout%3D200%20-c%20idle_in_transaction_session_timeout%3D200",
      "update validator_duties set node_id = node_id where validator_address = '" +
          claims[7].duty.key.validator.to_string() + "'");
  nothing_frees_it_for(600ms);
  std::vector<DutyRecord> records;
  for (const auto& one : claims) records.push_back({one.duty.key, one.token, one.duty.message_hash, signature(1)});
  const auto outcomes = record(records);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    EXPECT_EQ(outcomes[i], i == 7 ? RowOutcome::kLocked : RowOutcome::kApplied)
        << i << ": no time-out has freed the row";
  }
  auto again = claims;
  for (auto& one : again) one.token = LockToken("2" + one.token.str().substr(1));
  const auto claimed = claim(again, "node-2");
  for (std::size_t i = 0; i < claimed.size(); ++i) EXPECT_EQ(is_locked(claimed[i]), i == 7) << i;
  stopped.die();
  EXPECT_TRUE(eventually([&] { return record({records[7]})[0] == RowOutcome::kApplied; }));
}

// A claim whose answer is lost while it is still at work.

TEST_F(PostgresSchedules, a_release_is_not_settled_while_the_session_of_a_lost_claim_lives) {
  TcpProxy proxy(server.port());
  StoreFixture lossy("postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + database);
  ASSERT_TRUE(lossy.wait(lossy.store.initialize(in(5s))));
  session.exec(
      "create function slow_insert() returns trigger language plpgsql as $$ begin perform "
      "pg_advisory_xact_lock_shared(1); "
      "return new; end $$; create trigger slow_insert before insert on validator_duties for each row execute function "
      "slow_insert()");
  session.exec("alter function slow_insert() set lock_timeout = 0");
  session.exec("select pg_advisory_lock(1)");
  auto claiming = lossy.start(lossy.store.claim(node(), {{duty(), token(1)}}, in(20s)));
  ASSERT_TRUE(lossy.work_until([&] { return one_waits_for_a_lock(); }));
  proxy.cut();
  const auto lost = lossy.wait(std::move(claiming));
  ASSERT_FALSE(lost) << "the cut claim was answered: " << (is_locked(lost->at(0)) ? "locked" : "not locked");
  EXPECT_EQ(lost.error().kind, StoreErrorKind::kInDoubt);
  const auto release = [&] {
    const auto reply = lossy.wait(lossy.store.release({{duty().key, token(1)}}, in(20s)));
    if (!reply) throw std::runtime_error(reply.error().reason);
    return *reply;
  };
  const auto early = release();
  EXPECT_NE(early.outcomes[0], RowOutcome::kApplied);
  EXPECT_FALSE(early.settled);
  session.exec("select pg_advisory_unlock(1)");
  ReleaseReply late;
  bool released = false;
  EXPECT_TRUE(eventually([&] {
    late = release();
    released = released || late.outcomes[0] == RowOutcome::kApplied;
    return late.settled;
  }));
  EXPECT_TRUE(released) << "the lost claim's row";
  EXPECT_EQ(session.exec("select count(*) from validator_duties"), "0");
  EXPECT_TRUE(release().settled);
}

// Sessions in other time zones, in a pool that sets up nothing.

/// Runs each statement in the one session that it is given: no settings, no prepared statements, no check.
class BareExecutor final : public SqlExecutor {
 public:
  explicit BareExecutor(const std::string& url) : connection_(PQconnectdb(url.c_str()), PQfinish) {
    if (PQstatus(connection_.get()) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection_.get()));
  }

  asio::awaitable<SqlReply> run(SqlRequest request) override {
    std::vector<SqlRows> all;
    for (const auto& statement : request.statements) {
      std::vector<const char*> values;
      for (const auto& parameter : statement.parameters) values.push_back(parameter ? parameter->c_str() : nullptr);
      const std::string text(statement.text);
      const std::unique_ptr<PGresult, void (*)(PGresult*)> result(
          PQexecParams(connection_.get(), text.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                       nullptr, nullptr, 0),
          PQclear);
      const auto status = PQresultStatus(result.get());
      if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        co_return std::unexpected(SqlError{SqlErrorKind::kServer, PQresultErrorField(result.get(), PG_DIAG_SQLSTATE),
                                           PQresultErrorMessage(result.get())});
      }
      all.push_back(rows_of(result.get()));
    }
    co_return all;
  }
  void set_session_check(SessionCheck) override {}
  std::size_t parallel_requests() const override { return 1; }
  asio::awaitable<std::expected<bool, SqlError>> lost_sessions_alive(MonotonicTime) override { co_return false; }
  asio::awaitable<void> close() override { co_return; }

 private:
  static SqlRows rows_of(PGresult* result) {
    SqlRows rows;
    rows.affected = std::strtoull(PQcmdTuples(result), nullptr, 10);
    for (int i = 0; i < PQntuples(result); ++i) {
      auto& row = rows.rows.emplace_back();
      for (int column = 0; column < PQnfields(result); ++column) {
        row.emplace_back(PQgetisnull(result, i, column) ? std::nullopt
                                                        : std::optional<std::string>(PQgetvalue(result, i, column)));
      }
    }
    return rows;
  }

  std::unique_ptr<PGconn, void (*)(PGconn*)> connection_;
};

class TimeZones : public PostgresSchedules {
 protected:
  struct Site {
    Site(TimeZones& test, const std::string& zone, const std::string& name, std::uint8_t life)
        : executor(std::make_shared<BareExecutor>(test.server.url(test.database) + "?options=-c%20timezone%3D" + zone +
                                                  "%20-c%20datestyle%3DSQL,DMY")),
          store(executor, test.fixture->clock),
          node_id(node(name)),
          token(test::token(1, life)) {
      const auto registered = test.fixture->wait(store.register_node({node_id, incarnation(life), 60s}, in(20s)));
      EXPECT_TRUE(registered && registered->registered);
    }
    std::shared_ptr<BareExecutor> executor;
    PostgresStore store;
    NodeId node_id;
    LockToken token;
  };
  std::size_t remove_at(Site& site, Removal what, milliseconds age) {
    const auto outcome = fixture->wait(
        site.store.remove({.what = what, .node_id = site.node_id, .rollup = kRollup, .max_age = age}, in(20s)));
    if (!outcome) throw std::runtime_error(outcome.error().reason);
    EXPECT_FALSE(outcome->refused_for_foreign_nodes);
    return outcome->removed;
  }

  Site tokyo{*this, "Asia/Tokyo", "tokyo", 0x21};
  Site los_angeles{*this, "America/Los_Angeles", "los-angeles", 0x22};
};

TEST_F(TimeZones, rows_are_written_in_utc_and_age_by_the_servers_clock) {
  std::uint64_t slot = 1;
  for (Site* site : {&tokyo, &los_angeles}) {
    for (int i = 0; i < 2; ++i, ++slot) {
      const Duty one = duty({.slot = slot});
      const auto claimed = fixture->wait(site->store.claim(site->node_id, {{one, site->token}}, in(20s)));
      ASSERT_TRUE(claimed) << claimed.error().reason;
      if (i == 0) continue;
      const auto recorded =
          fixture->wait(site->store.record({{one.key, site->token, one.message_hash, signature(1)}}, in(20s)));
      ASSERT_TRUE(recorded) << recorded.error().reason;
      EXPECT_EQ((*recorded)[0], RowOutcome::kApplied);
    }
  }
  EXPECT_EQ(
      session.exec(
          "select count(*) from validator_duties where started_at between (now() at time zone 'UTC') - interval '1 "
          "minute' "
          "and (now() at time zone 'UTC') and coalesce(completed_at, started_at) between started_at and (now() at time "
          "zone 'UTC')"),
      "4");
  for (Site* site : {&tokyo, &los_angeles}) {
    EXPECT_EQ(remove_at(*site, Removal::kStuck, 144s), 0u) << "nothing is stuck yet";
    EXPECT_EQ(remove_at(*site, Removal::kOld, 1h), 0u) << "nothing is old yet";
  }
  session.exec("update validator_duties set started_at = started_at - interval '145 seconds' where status = 'signing'");
  session.exec("update validator_duties set started_at = started_at - interval '61 minutes' where status = 'signed'");
  EXPECT_EQ(remove_at(tokyo, Removal::kStuck, 144s), 1u);
  EXPECT_EQ(remove_at(los_angeles, Removal::kStuck, 144s), 1u);
  EXPECT_EQ(remove_at(los_angeles, Removal::kOld, 1h), 2u);
}

TEST_F(TimeZones, an_export_says_the_same_times_everywhere) {
  claim_one(duty(), token(1));
  record_one(duty(), token(1));
  const auto there = fixture->wait(tokyo.store.export_history(in(20s)));
  const auto here = fixture->wait(los_angeles.store.export_history(in(20s)));
  ASSERT_TRUE(there && here);
  EXPECT_EQ(there->duties.at(0).started_at, here->duties.at(0).started_at);
  EXPECT_EQ(there->duties.at(0).completed_at, here->duties.at(0).completed_at);
  session.exec("truncate validator_duties; delete from ha_signer_watermarks");
  const auto imported = fixture->wait(tokyo.store.import_history(*there, in(20s)));
  ASSERT_TRUE(imported) << imported.error().reason;
  const auto back = fixture->wait(los_angeles.store.export_history(in(20s)));
  EXPECT_EQ(back->duties.at(0).started_at, here->duties.at(0).started_at);
  const auto nodes = fixture->wait(tokyo.store.nodes(in(20s)));
  const auto same_nodes = fixture->wait(los_angeles.store.nodes(in(20s)));
  EXPECT_EQ(nodes->at(0).heartbeat_at, same_nodes->at(0).heartbeat_at);
}

// A server that loses its power.

class PowerCut : public testing::Test {
 protected:
  PowerCut() {
    SqlSession session(server.url());
    migrate(session);
    fixture = std::make_unique<StoreFixture>(server.url());
  }

  /// Ends the server before the log of whatever waits for nothing has reached the disk.
  void cut_the_power() {
    server.kill();
    server.start();
    // What is asked before the store has met the server that was started anew is asked again.
    ASSERT_TRUE(fixture->wait(fixture->store.look({duty().key}, in(20s))));
  }
  /// From now on only a commit that waits writes the log.
  void stop_the_log_writer() {
    std::string process;
    // A server that has just started may not show it yet.
    ASSERT_TRUE(hasigner::test::eventually([&] {
      process = server.sql("select pid from pg_stat_activity where backend_type = 'walwriter'");
      return !process.empty();
    }));
    ASSERT_EQ(::kill(std::stoi(process), SIGSTOP), 0);
  }
  bool claims(const DutyClaim& claim) {
    const auto outcomes = fixture->outcomes(fixture->store.claim(node(), {claim}, in(20s)));
    return won(outcomes.at(0), claim);
  }
  RowOutcome record(const DutyClaim& claim) {
    return fixture
        ->outcomes(
            fixture->store.record({{claim.duty.key, claim.token, claim.duty.message_hash, signature(1)}}, in(20s)))
        .at(0);
  }
  std::string rows() { return server.sql("select slot, status, lock_token from validator_duties order by slot"); }

  PostgresServer server;
  std::unique_ptr<StoreFixture> fixture;
};

TEST_F(PowerCut, a_claim_that_is_lost_with_the_log_is_matched_by_no_record) {
  const DutyClaim lost{duty(), token(1)};
  stop_the_log_writer();
  ASSERT_TRUE(claims(lost));
  cut_the_power();
  ASSERT_EQ(rows(), "") << "the claim waited for the disk after all";
  const DutyClaim other{duty({.hash = 0xbb}), token(2)};
  ASSERT_TRUE(claims(other));
  EXPECT_EQ(record(lost), RowOutcome::kNotMatched);
  EXPECT_EQ(record(other), RowOutcome::kApplied);
  EXPECT_EQ(record(lost), RowOutcome::kNotMatched);
}

TEST_F(PowerCut, what_was_recorded_is_there_afterwards_and_what_was_handed_out_is_too) {
  const DutyClaim recorded{duty(), token(1)};
  const DutyClaim handed_out{duty({.slot = 101}), token(2, 0x11, TokenKind::kHandedOut)};
  stop_the_log_writer();
  ASSERT_TRUE(claims(recorded));
  ASSERT_EQ(record(recorded), RowOutcome::kApplied);
  ASSERT_TRUE(claims(handed_out));
  cut_the_power();
  EXPECT_EQ(rows(), "100|signed|" + recorded.token.str() + "\n101|signing|" + handed_out.token.str());
}

/// The role's commits wait for no disk, whatever signing needs.
class PowerCutOfARoleThatWaitsForNothing : public PowerCut {
 protected:
  PowerCutOfARoleThatWaitsForNothing() {
    server.sql("create role signer login superuser; alter role signer set synchronous_commit = off");
    fixture = std::make_unique<StoreFixture>(server.url("postgres", "signer"));
  }

  /// Makes rows that are on the disk, held by a node whose lease has run out.
  void hold_and_die(const std::vector<DutyClaim>& held) {
    const auto registered = fixture->wait(fixture->store.register_node({node(), incarnation(0x11), 60s}, in(20s)));
    ASSERT_TRUE(registered && registered->registered);
    for (const DutyClaim& one : held) ASSERT_TRUE(claims(one));
    server.sql("update ha_signer_nodes set lease_until = now() - interval '1 second'");
    server.sql("checkpoint");
  }
  void take_over(const std::vector<Takeover>& takeovers) {
    EXPECT_THAT(fixture->outcomes(fixture->store.take_over(node("node-2"), takeovers, in(20s))),
                Each(RowOutcome::kApplied));
  }
  static DutyClaim fenced(std::uint64_t slot) {
    return {duty({.slot = slot}), token(static_cast<std::uint32_t>(slot))};
  }
  static DutyClaim handed_out(std::uint64_t slot) {
    return {duty({.slot = slot}), token(static_cast<std::uint32_t>(slot), 0x11, TokenKind::kHandedOut)};
  }
  static Takeover takeover_of(const DutyClaim& held, TakeoverKind kind, TokenKind token_kind) {
    Takeover takeover{kind, held.duty, held.token,
                      token(static_cast<std::uint32_t>(held.duty.key.slot.value()), 0x22, token_kind)};
    if (kind == TakeoverKind::kReplace) takeover.duty.message_hash = hash(0xbb);
    return takeover;
  }
  std::string row_of(std::uint64_t slot) {
    return server.sql("select message_hash, lock_token from validator_duties where slot = " + std::to_string(slot));
  }
  static std::string row_of(const Takeover& takeover) {
    return takeover.duty.message_hash.to_string() + "|" + takeover.token.str();
  }
};

TEST_F(PowerCutOfARoleThatWaitsForNothing, takes_back_fenced_claims_but_none_that_was_handed_out) {
  stop_the_log_writer();
  ASSERT_TRUE(claims(handed_out(101)));
  const auto outcomes = fixture->outcomes(fixture->store.claim(node(), {fenced(102), fenced(103)}, in(20s)));
  ASSERT_TRUE(won(outcomes[0], fenced(102)) && won(outcomes[1], fenced(103)));
  cut_the_power();
  EXPECT_EQ(rows(), "101|signing|" + handed_out(101).token.str());
}

TEST_F(PowerCutOfARoleThatWaitsForNothing, takes_back_no_claim_of_a_batch_in_which_one_was_handed_out) {
  stop_the_log_writer();
  const std::vector<DutyClaim> batch{fenced(101), handed_out(102), fenced(103)};
  const auto outcomes = fixture->outcomes(fixture->store.claim(node(), batch, in(20s)));
  for (std::size_t i = 0; i < batch.size(); ++i) ASSERT_TRUE(won(outcomes[i], batch[i])) << i;
  cut_the_power();
  EXPECT_EQ(server.sql("select string_agg(lock_token, ',' order by slot) from validator_duties"),
            batch[0].token.str() + "," + batch[1].token.str() + "," + batch[2].token.str());
}

TEST_F(PowerCutOfARoleThatWaitsForNothing, takes_back_nothing_that_was_claimed_and_recorded_at_once) {
  hold_and_die({});
  server.sql("update ha_signer_nodes set lease_until = now() + interval '1 hour'");
  stop_the_log_writer();
  const std::vector<SignedClaim> batch{{fenced(101).duty, fenced(101).token, signature(1)},
                                       {fenced(102).duty, fenced(102).token, signature(1)}};
  for (const auto& outcome : fixture->outcomes(fixture->store.claim_signed(node(), batch, in(20s)))) {
    ASSERT_EQ(outcome.outcome, RowOutcome::kApplied);
  }
  cut_the_power();
  EXPECT_EQ(rows(), "101|signed|" + batch[0].token.str() + "\n102|signed|" + batch[1].token.str());
}

TEST_F(PowerCutOfARoleThatWaitsForNothing, takes_back_no_takeover_of_the_same_data) {
  hold_and_die({handed_out(101)});
  const Takeover takeover = takeover_of(handed_out(101), TakeoverKind::kSameData, TokenKind::kTakenOver);
  stop_the_log_writer();
  take_over({takeover});
  cut_the_power();
  EXPECT_EQ(row_of(101), row_of(takeover));
}

TEST_F(PowerCutOfARoleThatWaitsForNothing, takes_back_no_replacement) {
  hold_and_die({fenced(101)});
  const Takeover replacement = takeover_of(fenced(101), TakeoverKind::kReplace, TokenKind::kHandedOut);
  stop_the_log_writer();
  take_over({replacement});
  cut_the_power();
  EXPECT_EQ(row_of(101), row_of(replacement));
}

TEST_F(PowerCutOfARoleThatWaitsForNothing, takes_back_no_takeover_of_a_mixed_batch) {
  hold_and_die({fenced(101), fenced(102), fenced(103), fenced(104)});
  const std::vector<Takeover> batch{takeover_of(fenced(101), TakeoverKind::kReplace, TokenKind::kFenced),
                                    takeover_of(fenced(102), TakeoverKind::kSameData, TokenKind::kTakenOver),
                                    takeover_of(fenced(103), TakeoverKind::kReplace, TokenKind::kHandedOut),
                                    takeover_of(fenced(104), TakeoverKind::kSameData, TokenKind::kTakenOver)};
  stop_the_log_writer();
  take_over(batch);
  cut_the_power();
  for (std::uint64_t i = 0; i < batch.size(); ++i) EXPECT_EQ(row_of(101 + i), row_of(batch[i])) << i;
}

// A primary whose commits wait for a standby.

class SynchronousReplication : public testing::Test {
 protected:
  SynchronousReplication() {
    primary.sql("create role signer login superuser");
    primary.sql("alter role signer set synchronous_commit = off");
    primary.set_synchronous_standby("standby");
    SqlSession session(primary.url());
    migrate(session);
    fixture = std::make_unique<StoreFixture>(primary.url("postgres", "signer"));
    const auto registration_outcome =
        fixture->wait(fixture->store.register_node({node(), incarnation(0x11), 60s}, in(20s)));
    EXPECT_TRUE(registration_outcome && registration_outcome->registered);
    const auto claimed = fixture->outcomes(fixture->store.claim(node(), {one}, in(20s)));
    EXPECT_TRUE(won(claimed[0], one));
  }
  ~SynchronousReplication() override {
    standby.thaw();
    primary.set_synchronous_standby("");
  }

  std::future<StoreResult<std::vector<RowOutcome>>> start_record(milliseconds time = 20s) {
    return fixture->start(
        fixture->store.record({{one.duty.key, one.token, one.duty.message_hash, signature(1)}}, in(time)));
  }
  bool waits_for_the_standby() {
    return fixture->work_until(
        [&] { return primary.sql("select count(*) from pg_stat_activity where wait_event = 'SyncRep'") == "1"; });
  }
  /// As a pooler may hand on a session that another client has silenced: of a cancelled wait then only a statement that
  /// asks for warnings hears.
  void hide_warnings() {
    fixture = std::make_unique<StoreFixture>(primary.url("postgres", "signer"), PostgresStoreOptions{}, 1);
    SqlRequest silence{.statements = {{"set client_min_messages = error", {}}}, .deadline = in(20s)};
    ASSERT_TRUE(fixture->wait(fixture->executor->run(std::move(silence))));
  }
  template <class T>
  void expect_no_answer_yet(std::future<T>& waiting) {
    (void)fixture->work_until([end = in(300ms)] { return std::chrono::steady_clock::now() > end; });
    EXPECT_NE(waiting.wait_for(0s), std::future_status::ready);
  }
  std::string status() { return primary.sql("select status from validator_duties"); }

  const DutyClaim one{duty(), token(1)};
  PostgresServer primary;
  PostgresServer standby{primary, "standby"};
  std::unique_ptr<StoreFixture> fixture;
};

TEST_F(SynchronousReplication, a_record_waits_for_the_standby_though_the_role_would_not) {
  standby.freeze();
  const auto claimed = fixture->outcomes(fixture->store.claim(node(), {{duty({.slot = 101}), token(2)}}, in(20s)));
  EXPECT_TRUE(claimed[0].view.row) << "claims do as the role says";
  auto recording = start_record();
  ASSERT_TRUE(waits_for_the_standby());
  expect_no_answer_yet(recording);
  EXPECT_EQ(status(), "signing\nsigning") << "no session sees it yet";
  standby.thaw();
  const auto reply = fixture->wait(std::move(recording));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_EQ((*reply)[0], RowOutcome::kApplied);
  EXPECT_EQ(primary.sql("select setting from pg_settings where name = 'synchronous_commit'"), "on");
}

/// The record waits for the log up to its own commit, and so for the claim's. A handed out token guards no record.
TEST_F(SynchronousReplication, a_claim_waits_for_no_standby_unless_its_token_is_handed_out) {
  StoreFixture attentive(primary.url());
  standby.freeze();
  const DutyClaim fenced{duty({.slot = 101}), token(2)};
  const auto claimed = attentive.outcomes(attentive.store.claim(node(), {fenced}, in(20s)));
  EXPECT_TRUE(won(claimed[0], fenced));
  EXPECT_EQ(primary.sql("select count(*) from pg_stat_activity where wait_event = 'SyncRep'"), "0");
  const DutyClaim handed_out{duty({.slot = 102}), token(3, 0x11, TokenKind::kHandedOut)};
  auto claiming = attentive.start(attentive.store.claim(node(), {handed_out}, in(20s)));
  ASSERT_TRUE(attentive.work_until(
      [&] { return primary.sql("select count(*) from pg_stat_activity where wait_event = 'SyncRep'") == "1"; }));
  standby.thaw();
  const auto reply = attentive.wait(std::move(claiming));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_TRUE(won((*reply)[0], handed_out));
}

TEST_F(SynchronousReplication, a_repeated_claim_that_was_handed_out_waits_for_the_standby_again) {
  hide_warnings();
  const DutyClaim handed_out{duty({.slot = 101}), token(2, 0x11, TokenKind::kHandedOut)};
  const DutyClaim fenced{duty({.slot = 102}), token(3)};
  const auto start_claim = [&] { return fixture->start(fixture->store.claim(node(), {handed_out, fenced}, in(20s))); };
  standby.freeze();
  auto claiming = start_claim();
  ASSERT_TRUE(waits_for_the_standby());
  primary.sql("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
  const auto cancelled = fixture->wait(std::move(claiming));
  ASSERT_FALSE(cancelled) << "a commit whose wait was cancelled confirms nothing";
  EXPECT_EQ(cancelled.error().kind, StoreErrorKind::kInDoubt);

  auto again = start_claim();
  ASSERT_TRUE(waits_for_the_standby());
  expect_no_answer_yet(again);
  standby.thaw();
  const auto reply = fixture->wait(std::move(again));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_TRUE(won((*reply)[0], handed_out) && !is_locked((*reply)[0]));
  EXPECT_TRUE(won((*reply)[1], fenced) && !is_locked((*reply)[1]));
}

TEST_F(SynchronousReplication, a_repeated_claim_that_records_at_once_waits_for_the_standby_again) {
  hide_warnings();
  const SignedClaim claim{duty({.slot = 101}), token(2), signature(1)};
  const auto start = [&] { return fixture->start(fixture->store.claim_signed(node(), {claim}, in(20s))); };
  standby.freeze();
  auto claiming = start();
  ASSERT_TRUE(waits_for_the_standby());
  expect_no_answer_yet(claiming);
  primary.sql("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
  const auto cancelled = fixture->wait(std::move(claiming));
  ASSERT_FALSE(cancelled) << "a commit whose wait was cancelled confirms nothing";
  EXPECT_EQ(cancelled.error().kind, StoreErrorKind::kInDoubt);

  auto again = start();
  ASSERT_TRUE(waits_for_the_standby());
  expect_no_answer_yet(again);
  standby.thaw();
  const auto reply = fixture->wait(std::move(again));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_EQ((*reply)[0].outcome, RowOutcome::kApplied);
}

TEST_F(SynchronousReplication, a_repeated_takeover_waits_for_the_standby_again) {
  hide_warnings();
  const Takeover takeover{TakeoverKind::kSameData, one.duty, one.token, token(2, 0x22, TokenKind::kTakenOver)};
  primary.sql("update ha_signer_nodes set lease_until = now() - interval '1 second'");
  for (const TakeoverKind kind : {TakeoverKind::kSameData, TakeoverKind::kReplace}) {
    Takeover each = takeover;
    if (kind == TakeoverKind::kReplace) {
      primary.sql("update validator_duties set lock_token = '" + one.token.str() + "', node_id = 'node-1'");
      each = {kind, duty({.hash = 0xbb}), one.token, token(3, 0x22, TokenKind::kHandedOut)};
    }
    const auto start = [&] { return fixture->start(fixture->store.take_over(node("node-2"), {each}, in(20s))); };
    standby.freeze();
    auto taking_over = start();
    ASSERT_TRUE(waits_for_the_standby());
    primary.sql("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
    const auto cancelled = fixture->wait(std::move(taking_over));
    ASSERT_FALSE(cancelled);
    EXPECT_EQ(cancelled.error().kind, StoreErrorKind::kInDoubt);
    auto again = start();
    ASSERT_TRUE(waits_for_the_standby());
    expect_no_answer_yet(again);
    standby.thaw();
    const auto reply = fixture->wait(std::move(again));
    ASSERT_TRUE(reply) << reply.error().reason;
    EXPECT_THAT(*reply, ElementsAre(RowOutcome::kApplied));
  }
}

/// As when a person holds the row: a claim that could not be written again is asked again and not taken for won.
TEST_F(SynchronousReplication, a_repeated_claim_whose_row_is_locked_is_not_won) {
  const DutyClaim handed_out{duty({.slot = 101}), token(2, 0x11, TokenKind::kHandedOut)};
  const auto claim_it = [&] { return fixture->outcomes(fixture->store.claim(node(), {handed_out}, in(20s))).at(0); };
  EXPECT_FALSE(is_locked(claim_it()));
  SqlSession person(primary.url());
  person.exec("begin; select from validator_duties where slot = 101 for update");
  EXPECT_TRUE(is_locked(claim_it()));
  person.exec("commit");
  const ClaimOutcome outcome = claim_it();
  EXPECT_TRUE(won(outcome, handed_out) && !is_locked(outcome));
}

TEST_F(SynchronousReplication, a_repeated_record_waits_for_the_standby_again) {
  standby.freeze();
  auto recording = start_record();
  ASSERT_TRUE(waits_for_the_standby());
  primary.sql("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
  const auto cancelled = fixture->wait(std::move(recording));
  ASSERT_FALSE(cancelled) << "a commit whose wait was cancelled confirms nothing";
  EXPECT_EQ(cancelled.error().kind, StoreErrorKind::kInDoubt);
  EXPECT_EQ(status(), "signed") << "though every session sees it";

  auto again = start_record();
  ASSERT_TRUE(waits_for_the_standby());
  expect_no_answer_yet(again);
  standby.thaw();
  const auto reply = fixture->wait(std::move(again));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_EQ((*reply)[0], RowOutcome::kApplied);
}

TEST_F(SynchronousReplication, a_record_that_got_no_answer_in_time_is_in_doubt_and_locked_until_the_standby_answers) {
  standby.freeze();
  auto recording = start_record(500ms);
  const auto lost = fixture->wait(std::move(recording));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, StoreErrorKind::kInDoubt);
  const auto meanwhile = fixture->wait(start_record());
  ASSERT_TRUE(meanwhile) << meanwhile.error().reason;
  EXPECT_EQ((*meanwhile)[0], RowOutcome::kLocked) << "and not as if nothing had matched";
  standby.thaw();
  EXPECT_TRUE(eventually([&] {
    const auto reply = fixture->wait(start_record());
    return reply && (*reply)[0] == RowOutcome::kApplied;
  }));
}

TEST_F(SynchronousReplication, a_trigger_that_warns_leaves_nothing_in_doubt_but_a_cancelled_wait_does_beside_it) {
  primary.sql(
      "create function audit() returns trigger language plpgsql as 'begin raise warning ''%'', new.slot; return new; "
      "end'");
  primary.sql("create trigger audit after insert or update on validator_duties for each row execute function audit()");
  standby.freeze();
  auto recording = start_record();
  ASSERT_TRUE(waits_for_the_standby());
  primary.sql("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
  const auto cancelled = fixture->wait(std::move(recording));
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().kind, StoreErrorKind::kInDoubt);
  EXPECT_THAT(cancelled.error().reason, HasSubstr("canceling wait for synchronous replication"));
  EXPECT_THAT(cancelled.error().reason, HasSubstr("[SyncRepWaitForLSN]"));
  standby.thaw();
  const auto reply = fixture->wait(start_record());
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_EQ((*reply)[0], RowOutcome::kApplied);
  const DutyClaim next{duty({.slot = 101}), token(2)};
  EXPECT_TRUE(won(fixture->outcomes(fixture->store.claim(node(), {next}, in(20s)))[0], next));
}

/// As a pooler may hand on a session that another client has silenced.
TEST_F(SynchronousReplication, a_cancelled_wait_is_noticed_in_a_session_that_hides_warnings) {
  StoreFixture quiet(primary.url("postgres", "signer"), {}, 1);
  SqlRequest silence{.statements = {{"set client_min_messages = error", {}}},
                     .priority = SqlPriority::kBackground,
                     .deadline = in(20s)};
  ASSERT_TRUE(quiet.wait(quiet.executor->run(std::move(silence))));
  standby.freeze();
  auto recording =
      quiet.start(quiet.store.record({{one.duty.key, one.token, one.duty.message_hash, signature(1)}}, in(20s)));
  ASSERT_TRUE(quiet.work_until(
      [&] { return primary.sql("select count(*) from pg_stat_activity where wait_event = 'SyncRep'") == "1"; }));
  primary.sql("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
  const auto cancelled = quiet.wait(std::move(recording));
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().kind, StoreErrorKind::kInDoubt);
}

TEST_F(SynchronousReplication, a_signature_that_is_only_here_is_not_handed_out) {
  standby.freeze();
  auto recording = start_record();
  ASSERT_TRUE(waits_for_the_standby());
  primary.sql("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
  ASSERT_FALSE(fixture->wait(std::move(recording)));
  auto handing_out = fixture->start(
      fixture->store.confirm_stored(node(), {{one.duty.key, one.duty.message_hash, signature(1)}}, in(20s)));
  ASSERT_TRUE(waits_for_the_standby());
  expect_no_answer_yet(handing_out);
  standby.thaw();
  const auto reply = fixture->wait(std::move(handing_out));
  ASSERT_TRUE(reply) << reply.error().reason;
  EXPECT_THAT(*reply, ElementsAre(true));
}

TEST_F(SynchronousReplication, people_see_how_many_standbys_a_commit_waits_for_and_how_many_are_there) {
  const auto seen = [](StoreFixture& by) {
    const auto reply = by.wait(by.store.replication(in(20s)));
    EXPECT_TRUE(reply && *reply);
    return reply ? reply->value_or(Replication{}) : Replication{};
  };
  auto found = seen(*fixture);
  EXPECT_EQ(found.synchronous_standbys, "standby");
  EXPECT_EQ(found.needed, 1u);
  EXPECT_EQ(found.connected, 1u);
  for (const auto& [names, needed] : std::vector<std::pair<std::string, std::size_t>>{{"ANY 2 (standby, elsewhere)", 2},
                                                                                      {"first 3 (a, b, c)", 3},
                                                                                      {"2 (standby, b)", 2},
                                                                                      {"a, b, c", 1},
                                                                                      {"", 0}}) {
    primary.set("synchronous_standby_names", names);
    EXPECT_TRUE(eventually([&] { return seen(*fixture).synchronous_standbys == names; })) << names;
    EXPECT_EQ(seen(*fixture).needed, needed) << names;
  }
  // Who connects is for members of pg_read_all_stats to know.
  primary.sql("create role plain login; grant pg_read_all_stats to plain");
  primary.sql("grant select, insert, update, delete on all tables in schema public to plain");
  StoreFixture plain(primary.url("postgres", "plain"));
  primary.set("synchronous_standby_names", "ANY 1 (standby, elsewhere)");
  EXPECT_TRUE(eventually([&] { return seen(plain).connected == 1u; }));
  standby.kill();
  EXPECT_TRUE(eventually([&] { return seen(plain).connected == 0u; }));
  primary.set_synchronous_standby("");
  primary.sql("revoke pg_read_all_stats from plain");
  EXPECT_EQ(seen(plain).connected, std::nullopt);
}

TEST_F(SynchronousReplication, a_standby_is_refused_until_it_is_promoted_and_then_has_an_epoch_of_its_own) {
  ASSERT_TRUE(fixture->wait(fixture->store.look({one.duty.key}, in(20s))));
  const auto before = fixture->store.epoch();
  ASSERT_TRUE(before);
  PostgresStore bare(std::make_shared<BareExecutor>(standby.url()), fixture->clock);
  const auto refused = fixture->wait(bare.initialize(in(20s)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kIncompatible);
  EXPECT_THAT(refused.error().reason, HasSubstr("the server is a standby in recovery"));
  primary.kill();
  standby.promote();
  StoreFixture at_standby(standby.url());
  const auto answered = at_standby.wait(at_standby.store.look({one.duty.key}, in(20s)));
  ASSERT_TRUE(answered) << answered.error().reason;
  const auto after = at_standby.store.epoch();
  EXPECT_EQ(after->cluster_id, before->cluster_id);
  EXPECT_EQ(after->system_id, before->system_id);
  EXPECT_GT(after->timeline, before->timeline);
  primary.start();
}

}  // namespace
}  // namespace hasigner::postgres::test
