// PgBouncer between the store and its server.

#include "tests/support/pgbouncer.hpp"
#include "tests/support/postgres_store_fixture.hpp"

namespace hasigner::postgres::test {
namespace {

using hasigner::test::PgBouncer;
using testing::HasSubstr;

class Pooler : public PostgresStoreTest {
 protected:
  /// What a store says that is opened through a pooler.
  static std::string refusal(const PgBouncer& pooler, const std::string& database) {
    StoreFixture through(pooler.url(database), {}, 4);
    const auto opened = through.wait(through.executor->connect_first(in(20s)));
    if (opened) return "";
    EXPECT_EQ(opened.error().kind, SqlErrorKind::kIncompatible);
    return opened.error().message;
  }
};

TEST_F(Pooler, that_keeps_no_sessions_is_refused_at_start) {
  for (const auto* mode : {"transaction", "statement"}) {
    for (const auto* turns : {"", "server_round_robin = 1"}) {
      PgBouncer pooler(server, mode, turns);
      EXPECT_THAT(refusal(pooler, database), HasSubstr("use pool_mode = session")) << mode << turns;
      // Sessions that others have used and left change nothing.
      SqlSession one(pooler.url(database)), other(pooler.url(database));
      one.send("select pg_sleep(0.05)");
      other.exec("select 1");
      one.finish();
      EXPECT_THAT(refusal(pooler, database), HasSubstr("use pool_mode = session")) << mode << turns;
    }
  }
}

TEST_F(Pooler, with_sessions_serves_as_the_server_does) {
  PgBouncer pooler(server, "session");
  StoreFixture through(pooler.url(database));
  const auto opened = through.wait(through.store.initialize(in(20s)));
  ASSERT_TRUE(opened) << opened.error().reason;
  const auto registration_outcome =
      through.wait(through.store.register_node({node(), incarnation(0x11), 60s}, in(20s)));
  ASSERT_TRUE(registration_outcome && registration_outcome->registered);
  for (std::uint32_t slot = 1; slot <= 20; ++slot) {
    const DutyClaim claim{duty({.slot = slot}), token(slot)};
    EXPECT_EQ(through.outcomes(through.store.claim(node(), {claim}, in(20s)))[0].view.row->lock_token, claim.token);
    const DutyRecord record{claim.duty.key, claim.token, claim.duty.message_hash, signature(1)};
    EXPECT_EQ(through.outcomes(through.store.record({record}, in(20s)))[0], RowOutcome::kApplied);
    // Everything that was prepared is gone with the pooler's connections.
    if (slot % 10 == 0) pooler.restart();
  }
  EXPECT_EQ(session.exec("select count(*) from validator_duties where status = 'signed'"), "20");
}

TEST_F(Pooler, with_a_single_session_to_give_still_serves) {
  PgBouncer pooler(server, "session", "default_pool_size = 1");
  StoreFixture through(pooler.url(database), {}, 1);
  const auto opened = through.wait(through.store.initialize(in(20s)));
  ASSERT_TRUE(opened) << opened.error().reason;
}

}  // namespace
}  // namespace hasigner::postgres::test
