// How long each statement waits for its commit, as a trigger sees it: at least for the disk and for what `on` waits
// for, whatever the role, the database or a pooler has set.

#include "tests/support/postgres_store_fixture.hpp"

namespace hasigner::postgres::test {
namespace {

struct Level {
  std::string of_session;
  std::string expected;
};

class Durability : public PostgresStoreTest, public testing::WithParamInterface<Level> {
 protected:
  Durability() {
    session.exec(
        "create table seen (event text, level text, shows text);"
        "create function note() returns trigger language plpgsql as $$ begin "
        "insert into public.seen values (tg_table_name || ' ' || lower(tg_op), current_setting('synchronous_commit'), "
        "current_setting('client_min_messages')); return null; end $$");
    for (const std::string table :
         {"validator_duties", "ha_signer_nodes", "ha_signer_watermarks", "ha_signer_released"}) {
      session.exec("create trigger note after insert or update on " + table + " for each row execute function note()");
    }
    register_node("node-1", 0x11);
    session.exec("alter database " + database + " set synchronous_commit = " + GetParam().of_session +
                 "; alter database " + database + " set client_min_messages = error");
    fixture = std::make_unique<StoreFixture>(server.url(database));
  }

  /// Everything that was written since the last time, and how: in a word if all was written the same way.
  std::string written() {
    return session.exec(
        "with taken as (delete from seen returning *) "
        "select string_agg(distinct event || ': ' || level || ', ' || shows, '; ') from taken");
  }
  static std::string lasting(const std::string& event) { return event + ": " + GetParam().expected + ", warning"; }
  template <class T>
  void expect_written(StoreBatch<T> batch, const std::string& event) {
    written();
    (void)fixture->outcomes(std::move(batch));
    EXPECT_EQ(written(), lasting(event));
  }
  /// As if its node had died.
  void hold(const Duty& one, const LockToken& with) {
    claim_one(one, with);
    session.exec("update ha_signer_nodes set lease_until = now() - interval '1 second'");
  }
};

INSTANTIATE_TEST_SUITE_P(Levels, Durability,
                         testing::Values(Level{"off", "on"}, Level{"local", "on"}, Level{"remote_write", "on"},
                                         Level{"on", "on"}, Level{"remote_apply", "remote_apply"}),
                         [](const auto& level) { return level.param.of_session; });

TEST_P(Durability, of_records_and_their_repetitions) {
  claim_one(duty(), token(1));
  const DutyRecord one{duty().key, token(1), duty().message_hash, signature(1)};
  expect_written(fixture->store.record({one}, in(20s)), "validator_duties update");
  expect_written(fixture->store.record({one}, in(20s)), "validator_duties update");
}

TEST_P(Durability, of_what_is_claimed_and_recorded_at_once) {
  const SignedClaim one{duty(), token(1), signature(1)};
  claim_signed({one});  // the first answer tells what the database can do
  expect_written(fixture->store.claim_signed(node(), {one}, in(20s)), "validator_duties update");
  expect_written(fixture->store.claim_signed(node(), {{duty({.slot = 101}), token(2), signature(1)}}, in(20s)),
                 "validator_duties insert");
}

TEST_P(Durability, of_claims_that_are_handed_out) {
  written();
  claim({{duty(), token(1, 0x11, TokenKind::kHandedOut)}, {duty({.slot = 101}), token(2)}});
  EXPECT_NE(written().find(lasting("validator_duties update")), std::string::npos);
}

TEST_P(Durability, of_takeovers_and_replacements) {
  hold(duty(), token(1));
  expect_written(fixture->store.take_over(
                     node("node-2"),
                     {{TakeoverKind::kSameData, duty(), token(1), token(2, 0x22, TokenKind::kTakenOver)}}, in(20s)),
                 "validator_duties update");
  hold(duty({.slot = 101}), token(3));
  expect_written(fixture->store.take_over(node("node-2"),
                                          {{TakeoverKind::kReplace, duty({.slot = 101, .hash = 0xbb}), token(3),
                                            token(4, 0x22, TokenKind::kHandedOut)}},
                                          in(20s)),
                 "validator_duties update");
}

TEST_P(Durability, of_the_write_that_confirms_a_stored_signature) {
  claim_one(duty(), token(1));
  record_one(duty(), token(1));
  expect_written(fixture->store.confirm_stored(node(), {{duty().key, duty().message_hash, signature(1)}}, in(20s)),
                 "ha_signer_nodes update");
}

TEST_P(Durability, of_messages_that_are_released_on_the_claims_of_other_nodes) {
  claim_one(duty(), LockToken(std::string(32, 'f')));
  const ClaimedMessage message{.key = {kRollup, address(1), duty().message_hash, duty().message_hash},
                               .duty_types = {DutyType::kAttestation},
                               .slot = std::nullopt,
                               .signature = signature(1)};
  expect_written(fixture->store.release_claimed(node(), {message}, in(20s)), "ha_signer_released insert");
  expect_written(fixture->store.release_claimed(node(), {message}, in(20s)), "ha_signer_released update");
}

TEST_P(Durability, of_watermarks_that_are_set) {
  written();
  const auto set = fixture->wait(fixture->store.set_watermarks(kRollup, {{address(1), DutyType::kAttestation}},
                                                               {.low = Slot::from(7).value()}, in(20s)));
  ASSERT_TRUE(set) << set.error().reason;
  EXPECT_EQ(written(), lasting("ha_signer_watermarks insert"));
}

TEST_P(Durability, of_imports_of_duties_and_of_watermarks_alone) {
  claim_one(duty(), token(1));
  record_one(duty(), token(1));
  const auto exported = fixture->wait(fixture->store.export_history(in(20s)));
  ASSERT_TRUE(exported) << exported.error().reason;
  session.exec("truncate validator_duties; delete from ha_signer_watermarks");
  HistorySnapshot watermark;
  watermark.watermarks.push_back(
      {kRollup.to_string(), address(2).to_string(), "ATTESTATION", {.low = Slot::from(7).value(), .high = {}}, ""});
  const auto import = [&](const HistorySnapshot& snapshot) {
    written();
    const auto imported = fixture->wait(fixture->store.import_history(snapshot, in(20s)));
    ASSERT_TRUE(imported) << imported.error().reason;
  };
  import(*exported);
  EXPECT_EQ(written(), lasting("validator_duties insert"));
  import(watermark);
  EXPECT_EQ(written(), lasting("ha_signer_watermarks insert"));
}

}  // namespace
}  // namespace hasigner::postgres::test
