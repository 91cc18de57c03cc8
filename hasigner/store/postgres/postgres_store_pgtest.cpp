#include "hasigner/store/postgres/postgres_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hasigner/store/postgres/postgres_store_fixture.hpp"

namespace hasigner::postgres::test {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

/// On each version of the shared tables.
class EveryVersion : public PostgresStoreTest, public testing::WithParamInterface<int> {
 protected:
  EveryVersion() : PostgresStoreTest(GetParam()) {}
};
INSTANTIATE_TEST_SUITE_P(Schema, EveryVersion, testing::Values(1, 2, 3));

bool won(const ClaimOutcome& outcome, const DutyClaim& claim) {
  return outcome.view.row && outcome.view.row->lock_token == claim.token &&
         outcome.view.row->message_hash == claim.duty.message_hash;
}

TEST_P(EveryVersion, writes_a_claim_and_its_record_to_the_byte) {
  const Duty one = duty({.validator = 0xbeef, .slot = 7, .type = DutyType::kBlockProposal, .block_index = 2});
  const auto outcome = claim_one(one, token(1));
  ASSERT_TRUE(won(outcome, {one, token(1)}));
  EXPECT_EQ(outcome.view.row->status, DutyStatus::kSigning);
  EXPECT_EQ(fixture->store.schema_version(), GetParam());
  const std::string key = "0xabcd0000000000000000000000000000ffffffff|0xabcd00000000000000000000000000000000beef|7|";
  EXPECT_EQ(
      session.exec("select rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, "
                   "duty_type, status, message_hash, signature, node_id, lock_token, completed_at, "
                   "started_at between (now() at time zone 'UTC') - interval '1 minute' and (clock_timestamp() at "
                   "time zone 'UTC') from validator_duties"),
      key + "7|2|BLOCK_PROPOSAL|signing|0x" + std::string(64, 'a') + "||node-1|" + token(1).str() + "||t");

  EXPECT_EQ(record_one(one, token(1)), RecordOutcome::kConfirmed);
  EXPECT_EQ(session.exec("select status, signature, completed_at >= started_at from validator_duties"),
            "signed|" + signature(1).to_string() + "|t");
  if (GetParam() >= 2) {
    EXPECT_EQ(session.exec("select checkpoint_number from validator_duties"), "8");
  }
  if (GetParam() >= 3) {
    EXPECT_EQ(session.exec("select expires_at is null from validator_duties"), "t");
  }
}

TEST_P(EveryVersion, a_claim_sees_the_row_that_won) {
  const Duty one = duty();
  claim_one(one, token(1));
  const auto second = claim({{duty({.hash = 0xbb}), token(2)}}, "node-2").at(0);
  ASSERT_TRUE(second.view.row);
  EXPECT_EQ(second.view.row->lock_token, token(1));
  EXPECT_EQ(second.view.row->node_id, "node-1");
  EXPECT_EQ(second.view.row->message_hash, hash(0xaa));
  EXPECT_EQ(second.token, token(2));
}

TEST_P(EveryVersion, everything_works) {
  EXPECT_TRUE(enlist("node-1", 0x11, 60s));
  claim_one(duty(), token(1));
  EXPECT_EQ(look_one(duty().key).row->holder, HolderState::kAlive);
  EXPECT_EQ(seize_one({SeizureKind::kReplace, duty({.hash = 0xbb}), token(1), token(2, 0x22)}),
            SeizeOutcome::kNotMatched);
  session.exec("update ha_signer_nodes set lease_until = now() - interval '1 second'");
  EXPECT_EQ(look_one(duty().key).row->holder, HolderState::kExpired);
  EXPECT_EQ(seize_one({SeizureKind::kReplace, duty({.hash = 0xbb}), token(1), token(2, 0x22)}), SeizeOutcome::kHeld);
  EXPECT_EQ(record_one(duty(), token(1)), RecordOutcome::kNotMatched);
  EXPECT_TRUE(release_one(duty().key, token(2, 0x22)));
  for (const Removal what :
       {Removal::kAbandoned, Removal::kStuck, Removal::kOld, Removal::kExpired, Removal::kOtherRollups}) {
    EXPECT_EQ(remove(what).removed, 0u);
    const auto preview = fixture->wait(
        fixture->store.preview({.what = what, .node_id = node(), .rollup = kRollup, .max_age = 0ms}, in(20s)));
    ASSERT_TRUE(preview) << preview.error().reason;
    EXPECT_EQ(preview->rows, 0u);
  }
  claim_one(duty(), token(3));
  const auto exported = fixture->wait(fixture->store.export_history(in(20s)));
  ASSERT_TRUE(exported) << exported.error().reason;
  EXPECT_THAT(exported->duties, SizeIs(1));
  for (const auto status : {DutyStatus::kSigning, DutyStatus::kSigned}) {
    const auto listed = fixture->wait(fixture->store.duties({.status = status}, in(20s)));
    ASSERT_TRUE(listed) << listed.error().reason;
    EXPECT_THAT(*listed, SizeIs(status == DutyStatus::kSigning ? 1 : 0));
  }
  const auto imported = fixture->wait(fixture->store.import_history(*exported, in(20s)));
  ASSERT_TRUE(imported) << imported.error().reason;
  EXPECT_EQ(imported->already_there, 1u);
  const auto renewed = fixture->wait(fixture->store.renew({node(), incarnation(0x11), 2s}, in(20s)));
  EXPECT_TRUE(renewed && *renewed);
  EXPECT_TRUE(fixture->wait(fixture->store.witness(node(), in(20s))));
  EXPECT_TRUE(fixture->wait(fixture->store.retire({node(), incarnation(0x11), 2s}, in(20s))));
  const auto nodes = fixture->wait(fixture->store.nodes(in(20s)));
  ASSERT_TRUE(nodes) << nodes.error().reason;
  ASSERT_THAT(*nodes, SizeIs(1));
  EXPECT_FALSE(nodes->at(0).alive);
}

}  // namespace
}  // namespace hasigner::postgres::test
