// What happens to a database under an open store: tables dropped, triggers switched off, a former primary that comes
// back.

#include <functional>

#include "hasigner/store/postgres/session_check.hpp"
#include "tests/support/postgres_store_fixture.hpp"

namespace hasigner::postgres::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class TablesMadeAgain : public PostgresStoreTest {
 protected:
  void drop_and_make_again() {
    session.exec("drop table validator_duties; drop table schema_version");
    migrate(session);
  }
};

TEST_F(TablesMadeAgain, nothing_is_confirmed_in_other_tables_than_those_of_the_start) {
  fixture =
      std::make_unique<StoreFixture>(PoolConfig{.url = server.url(database), .check_holds = std::chrono::hours(1)});
  ASSERT_TRUE(register_node("node-1", 0x11));
  claim_one(duty(), token(1));
  drop_and_make_again();
  // The open session does not know yet: it claims, but neither records nor hands out.
  const Duty other = duty({.hash = 0xbb});
  EXPECT_EQ(claim_one(other, token(2)).view.row->lock_token, token(2));
  EXPECT_EQ(record_one(other, token(2)), RowOutcome::kNotMatched);
  session.exec("update validator_duties set status = 'signed', signature = '" + signature(1).to_string() + "'");
  EXPECT_THAT(fixture->outcomes(
                  fixture->store.confirm_stored(node(), {{other.key, other.message_hash, signature(1)}}, in(20s))),
              ElementsAre(false));
}

TEST_F(TablesMadeAgain, nothing_is_claimed_and_recorded_at_once_in_other_tables_than_those_of_the_start) {
  fixture =
      std::make_unique<StoreFixture>(PoolConfig{.url = server.url(database), .check_holds = std::chrono::hours(1)});
  ASSERT_TRUE(register_node("node-1", 0x11));
  const SignedClaim before{duty(), token(1), signature(1)}, after{duty({.slot = 101}), token(2), signature(2)};
  ASSERT_EQ(claim_signed({before})[0].outcome, RowOutcome::kApplied);
  drop_and_make_again();
  for (const auto& outcome : claim_signed({before, after})) {
    EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
    EXPECT_FALSE(outcome.view.row);
  }
  EXPECT_EQ(session.exec("select count(*) from validator_duties"), "0");
  EXPECT_EQ(session.exec("select count(*) from ha_signer_watermarks"), "0");
}

TEST_F(TablesMadeAgain, open_sessions_notice_it_when_they_are_checked_again_before_a_claim) {
  fixture = std::make_unique<StoreFixture>(PoolConfig{.url = server.url(database), .check_holds = 0ms});
  claim_one(duty(), token(1));
  const std::string before = session.exec("select 'validator_duties'::regclass::oid");
  drop_and_make_again();
  const std::string after = session.exec("select 'validator_duties'::regclass::oid");
  const auto refused = fixture->wait(fixture->store.claim(node(), {{duty(), token(2)}}, in(2s)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kIncompatible);
  EXPECT_THAT(refused.error().reason, HasSubstr("its oid is " + after + " and was " + before));
  EXPECT_EQ(session.exec("select count(*) from validator_duties"), "0");
  StoreFixture restarted(server.url(database));
  EXPECT_TRUE(restarted.wait(restarted.store.initialize(in(20s)))) << "a restart is the operator's consent";
}

TEST_F(PostgresStoreTest, a_database_without_a_trigger_is_refused) {
  for (const std::string trigger :
       {"ha_signer_raise_watermarks", "ha_signer_raise_watermarks_on_truncate", "ha_signer_keep_to_released"}) {
    for (const std::string how : {"disable trigger ", "enable replica trigger "}) {
      session.exec("alter table validator_duties " + how + trigger);
      StoreFixture fresh(server.url(database));
      const auto refused = fresh.wait(fresh.store.initialize(in(3s)));
      ASSERT_FALSE(refused) << how << trigger;
      EXPECT_EQ(refused.error().kind, StoreErrorKind::kIncompatible);
      EXPECT_THAT(refused.error().reason, HasSubstr("(the trigger " + trigger + ")"));
      session.exec("alter table validator_duties enable always trigger " + trigger);
    }
  }
}

/// A managed server that refuses functions as Amazon Aurora does: some of the same name stand before them on the path.
class ManagedServer : public PostgresStoreTest {
 protected:
  ManagedServer() {
    session.exec(
        "create schema managed;"
        "create function managed.pg_current_wal_lsn() returns pg_lsn language plpgsql as $$ begin raise exception "
        "'wal_level must be set to logical' using errcode = '55000'; end $$;"
        "create function managed.pg_control_system(out system_identifier bigint) language plpgsql as $$ begin raise "
        "exception 'Function pg_control_system() is currently not supported for Aurora' using errcode = '0A000'; end "
        "$$");
  }
  std::string managed() { return server.url(database) + "?options=-csearch_path%3Dmanaged,pg_catalog,public"; }
  static std::string refusal(StoreFixture& of) {
    const auto began = std::chrono::steady_clock::now();
    const auto connected = of.wait(of.executor->connect_first(in(20s)));
    EXPECT_LT(std::chrono::steady_clock::now() - began, 10s) << "what waiting cannot mend is not waited for";
    if (connected) return "";
    EXPECT_EQ(connected.error().kind, SqlErrorKind::kIncompatible);
    return connected.error().message;
  }
};

TEST_F(ManagedServer, that_does_not_tell_its_timeline_is_refused_at_once) {
  StoreFixture fresh(managed());
  EXPECT_THAT(refusal(fresh), AllOf(HasSubstr("does not tell its timeline"), HasSubstr("not supported for Aurora"),
                                    HasSubstr("set storage_replicates")));
}

TEST_F(ManagedServer, is_used_without_its_timeline_where_storage_replicates) {
  fixture = std::make_unique<StoreFixture>(
      managed(), PostgresStoreOptions{.without_timeline = WithoutTimeline::kStorageReplicates});
  ASSERT_EQ(refusal(*fixture), "");
  ASSERT_TRUE(register_node("node-1", 0x11));
  EXPECT_EQ(fixture->store.epoch()->timeline, 0u);
  claim_one(duty(), token(1));
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kApplied);
  EXPECT_THAT(fixture->outcomes(
                  fixture->store.confirm_stored(node(), {{duty().key, duty().message_hash, signature(1)}}, in(20s))),
              ElementsAre(true));
  EXPECT_EQ(claim_signed({{duty({.slot = 101}), token(2), signature(2)}})[0].outcome, RowOutcome::kApplied);
  const auto replication = fixture->wait(fixture->store.replication(in(20s)));
  ASSERT_TRUE(replication && *replication);
  EXPECT_TRUE((*replication)->by_storage);
  EXPECT_FALSE((*replication)->connected);
}

TEST_F(ManagedServer, confirms_nothing_in_other_tables_where_storage_replicates) {
  fixture =
      std::make_unique<StoreFixture>(PoolConfig{.url = managed(), .check_holds = std::chrono::hours(1)},
                                     PostgresStoreOptions{.without_timeline = WithoutTimeline::kStorageReplicates});
  ASSERT_TRUE(register_node("node-1", 0x11));
  session.exec("drop table validator_duties; drop table schema_version");
  migrate(session);
  claim_one(duty(), token(1));
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kNotMatched);
}

/// The setting takes no guard from a server that tells its timeline.
TEST_F(ManagedServer, that_tells_its_timeline_is_asked_for_it_where_storage_replicates) {
  fixture = std::make_unique<StoreFixture>(
      server.url(database), PostgresStoreOptions{.without_timeline = WithoutTimeline::kStorageReplicates});
  ASSERT_EQ(refusal(*fixture), "");
  EXPECT_EQ(fixture->store.epoch()->timeline, 1u);
}

TEST_F(ManagedServer, that_has_taken_a_right_away_is_refused_with_the_statement_that_gives_it_back) {
  const std::string role = "limited_" + database;
  session.exec("create role " + role + " login; begin; set local ha_signer.grant_to = '{" + role + "}';" +
               std::string(own_schema()) + ";commit");
  const std::string all = "pg_control_system(), pg_current_wal_lsn(), pg_walfile_name(pg_lsn)";
  for (const std::string function : {"pg_walfile_name(pg_lsn)", "pg_current_wal_lsn()", "pg_control_system()"}) {
    session.exec("revoke execute on function " + function + " from public");
    for (const auto without : {WithoutTimeline::kRefused, WithoutTimeline::kStorageReplicates}) {
      StoreFixture fresh(server.url(database, role), PostgresStoreOptions{.without_timeline = without});
      EXPECT_THAT(refusal(fresh), HasSubstr("grant execute on function " + all)) << function;
    }
    session.exec("grant execute on function " + all + " to " + role);
    StoreFixture granted(server.url(database, role));
    EXPECT_EQ(refusal(granted), "") << "as its sentence says";
    session.exec("revoke execute on function " + all + " from " + role + "; grant execute on function " + function +
                 " to public");
  }
}

TEST_F(ManagedServer, that_lacks_what_the_rest_of_the_check_needs_is_refused_at_once) {
  const std::string role = "stranger_" + database;
  session.exec("create role " + role + " login");
  StoreFixture fresh(server.url(database, role));
  EXPECT_THAT(refusal(fresh), AllOf(HasSubstr("permission denied for table"), Not(HasSubstr("Besides"))));
}

TEST_F(ManagedServer, that_refuses_for_two_reasons_is_told_to_refuse_for_both) {
  const std::string role = "both_" + database;
  session.exec("create role " + role + " login; grant usage on schema managed to public");
  const std::string url = server.url(database, role) + "?options=-csearch_path%3Dmanaged,pg_catalog,public";
  StoreFixture fresh(url);
  EXPECT_THAT(refusal(fresh), AllOf(HasSubstr("permission denied for table"), HasSubstr("does not tell its timeline"),
                                    HasSubstr("not supported for Aurora")));
  StoreFixture replicated(url, PostgresStoreOptions{.without_timeline = WithoutTimeline::kStorageReplicates});
  EXPECT_THAT(refusal(replicated), AllOf(HasSubstr("permission denied for table"), Not(HasSubstr("timeline"))));
}

/// A transaction with one snapshot stands for a check during which others commit.
class ChecksDuringMigrations : public testing::Test {
 protected:
  ChecksDuringMigrations() : session(server.url()), other(server.url()) {
    session.exec("set search_path = public, more");
  }

  std::string check() { return session.exec(sql_texts(kNewestSchemaVersion).session_check); }
  void expect_one_moment(const std::function<void()>& change) {
    session.exec("begin isolation level repeatable read");
    const std::string before = check();
    change();
    EXPECT_EQ(check(), before);
    session.exec("commit");
    EXPECT_NE(check(), before) << "the change is none that the check would see";
  }
  static std::string run_all(std::string_view script) { return "begin;" + std::string(script) + ";commit"; }

  PostgresServer server;
  SqlSession session;
  SqlSession other;
};

TEST_F(ChecksDuringMigrations, a_check_sees_all_of_a_migration_or_nothing) {
  for (const Migration& migration : shared_migrations()) {
    SCOPED_TRACE(migration.name);
    expect_one_moment([&] { other.exec(run_all(migration.up)); });
  }
  expect_one_moment([&] { other.exec(run_all(own_schema())); });
  expect_one_moment([&] { other.exec("create schema more; create table more.validator_duties (x integer)"); });
}

/// A primary that fails over, asynchronously, to its standby.
class FormerPrimary : public testing::Test {
 protected:
  FormerPrimary() {
    SqlSession session(primary.url());
    migrate(session);
    const auto address = [](const PostgresServer& server) { return "127.0.0.1:" + std::to_string(server.port()); };
    fixture = std::make_unique<StoreFixture>("postgresql://postgres@" + address(primary) + "," + address(standby) +
                                             "/postgres?connect_timeout=2");
  }
  StoreResult<std::vector<ClaimOutcome>> claim(std::uint64_t slot) {
    return fixture->wait(
        fixture->store.claim(node(), {{duty({.slot = slot}), token(static_cast<std::uint32_t>(slot))}}, in(3s)));
  }
  /// Until sessions that are just ending have ended.
  void claim_until_it_works(std::uint64_t slot) {
    EXPECT_TRUE(hasigner::test::eventually([&] { return claim(slot).has_value(); }));
  }
  void fail_over() {
    EXPECT_TRUE(hasigner::test::eventually([&] {
      return primary.sql("select count(*) from pg_stat_replication where replay_lsn = pg_current_wal_lsn()") == "1";
    }));
    primary.kill();
    standby.promote();
  }

  PostgresServer primary;
  PostgresServer standby{primary, "standby"};
  std::unique_ptr<StoreFixture> fixture;
};

TEST_F(FormerPrimary, that_comes_back_is_refused_by_a_node_that_has_worked_on_the_new_one) {
  ASSERT_TRUE(claim(1));
  fail_over();
  claim_until_it_works(2);
  standby.kill();
  primary.start();
  std::string reason;
  EXPECT_TRUE(hasigner::test::eventually([&] {
    const auto refused = claim(3);
    if (refused) return false;
    reason = refused.error().reason;
    return reason.find("timeline") != std::string::npos;
  }));
  EXPECT_THAT(reason, HasSubstr("on timeline 1, but this node has already worked on timeline 2"));
  EXPECT_EQ(primary.sql("select count(*) from validator_duties where slot = 3"), "0");
}

TEST_F(FormerPrimary, what_was_asked_before_a_failover_is_not_carried_out_after_it) {
  ASSERT_TRUE(claim(1));
  const auto before = fixture->store.epoch();
  fail_over();
  // Asked of the history of the former primary, so it is told so and decides anew.
  StoreResult<std::vector<ClaimOutcome>> told;
  EXPECT_TRUE(hasigner::test::eventually([&] {
    told = claim(2);
    return *fixture->store.epoch() != *before;
  }));
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().kind, StoreErrorKind::kUnavailable);
  EXPECT_THAT(told.error().reason, HasSubstr("ask again"));
  EXPECT_EQ(standby.sql("select count(*) from validator_duties where slot = 2"), "0");
  ASSERT_TRUE(claim(2));
  EXPECT_EQ(standby.sql("select count(*) from validator_duties where slot = 2"), "1");
}

/// A pooler can change the server behind an open session, so the record statement asks for itself.
TEST_F(FormerPrimary, applies_nothing_for_a_store_that_knows_a_newer_timeline) {
  ASSERT_TRUE(claim(1));
  const Duty one = duty({.slot = 1});
  const std::string oid = primary.sql("select 'validator_duties'::regclass::oid");
  const std::string released_oid = primary.sql("select 'ha_signer_released'::regclass::oid");
  const auto record_on = [&](const std::string& timeline) {
    SqlRequest request{.priority = SqlPriority::kRecord, .confirm = true, .deadline = in(10s)};
    request.statements.push_back(
        {sql_texts(kNewestSchemaVersion).record,
         {"{" + one.key.rollup.to_string() + "}", "{" + one.key.validator.to_string() + "}", "{1}", "{ATTESTATION}",
          "{-1}", "{" + token(1).str() + "}", "{" + one.message_hash.to_string() + "}",
          "{" + signature(1).to_string() + "}", oid, timeline, released_oid}});
    const auto reply = fixture->wait(fixture->executor->run(std::move(request)));
    EXPECT_TRUE(reply) << reply.error().message;
    return reply && reply->at(0).rows.size() == 1;
  };
  EXPECT_FALSE(record_on("00000002"));
  EXPECT_TRUE(record_on("00000001"));
}

}  // namespace
}  // namespace hasigner::postgres::test
