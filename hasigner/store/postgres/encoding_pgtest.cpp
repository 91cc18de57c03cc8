// Databases that are not in UTF8: those of older servers are in LATIN1, those made without a locale in SQL_ASCII.

#include "hasigner/store/postgres/migrator.hpp"
#include "tests/support/postgres_store_fixture.hpp"

namespace hasigner::postgres::test {
namespace {

using testing::HasSubstr;

class Encoding : public testing::TestWithParam<const char*> {
 protected:
  Encoding() {
    server.sql("create database " + name + " template template0 locale 'C' encoding '" + GetParam() + "'");
    auto migrator = Migrator::create(server.url(name));
    const auto report = migrator->up();
    if (!report) throw std::runtime_error(report.error().message);
    fixture = std::make_unique<StoreFixture>(server.url(name));
  }
  ~Encoding() override {
    fixture.reset();
    server.sql("drop database " + name + " with (force)");
  }
  auto registered(const std::string& id, std::uint8_t of_incarnation) {
    return fixture->wait(fixture->store.register_node({node(id), incarnation(of_incarnation), 60s}, in(20s)));
  }

  PostgresServer& server = PostgresServer::shared();
  const std::string name = "encoded";
  std::unique_ptr<StoreFixture> fixture;
};

TEST_P(Encoding, keeps_duties_and_names_as_they_are) {
  const auto outcome = registered("né", 0x11);
  ASSERT_TRUE(outcome && outcome->registered);
  fixture->outcomes(fixture->store.claim(node("né"), {{duty(), token(1)}}, in(20s)));
  const DutyRecord record{duty().key, token(1), duty().message_hash, signature(1)};
  EXPECT_EQ(fixture->outcomes(fixture->store.record({record}, in(20s)))[0], RowOutcome::kApplied);
  const auto seen = fixture->outcomes(fixture->store.look({duty().key}, in(20s)));
  EXPECT_EQ(seen.at(0).row->node_id, "né");
  EXPECT_EQ(fixture
                ->outcomes(fixture->store.claim_signed(node("né"), {{duty({.slot = 101}), token(2), signature(2)}},
                                                       in(20s)))[0]
                .outcome,
            RowOutcome::kApplied);
}

TEST_P(Encoding, that_cannot_hold_a_node_id_says_so) {
  std::string long_id;
  for (int i = 0; i < 255; ++i) long_id += "🔑";
  const auto refused = registered(long_id, 0x22);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kIncompatible);
  EXPECT_THAT(refused.error().reason, HasSubstr("a database in UTF8"));
}

INSTANTIATE_TEST_SUITE_P(Databases, Encoding, testing::Values("LATIN1", "SQL_ASCII"),
                         [](const auto& encoding) { return std::string(encoding.param); });

}  // namespace
}  // namespace hasigner::postgres::test
