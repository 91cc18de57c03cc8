#include "hasigner/store/postgres/postgres_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/postgres_store_fixture.hpp"

namespace hasigner::postgres::test {
namespace {

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

  EXPECT_EQ(record_one(one, token(1)), RowOutcome::kApplied);
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
  EXPECT_TRUE(register_node("node-1", 0x11, 60s));
  claim_one(duty(), token(1));
  EXPECT_EQ(look_one(duty().key).row->holder, HolderState::kAlive);
  EXPECT_EQ(take_over_one({TakeoverKind::kReplace, duty({.hash = 0xbb}), token(1), token(2, 0x22)}),
            RowOutcome::kNotMatched);
  session.exec("update ha_signer_nodes set lease_until = now() - interval '1 second'");
  EXPECT_EQ(look_one(duty().key).row->holder, HolderState::kExpired);
  EXPECT_EQ(take_over_one({TakeoverKind::kReplace, duty({.hash = 0xbb}), token(1), token(2, 0x22)}),
            RowOutcome::kApplied);
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kNotMatched);
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
  const StoredSignature stored{duty().key, duty().message_hash, signature(1)};
  EXPECT_THAT(fixture->outcomes(fixture->store.confirm_stored(node(), {stored}, in(20s))), ElementsAre(false));
  EXPECT_TRUE(fixture->wait(fixture->store.end_lease({node(), incarnation(0x11), 2s}, in(20s))));
  const auto nodes = fixture->wait(fixture->store.nodes(in(20s)));
  ASSERT_TRUE(nodes) << nodes.error().reason;
  ASSERT_THAT(*nodes, SizeIs(1));
  EXPECT_FALSE(nodes->at(0).alive);
}

using PostgresStoreClaims = PostgresStoreTest;

TEST_F(PostgresStoreClaims, of_two_equal_duties_in_one_batch_one_wins) {
  const DutyClaim first{duty(), token(1)};
  const DutyClaim second{duty({.hash = 0xbb}), token(2)};
  const auto outcomes = claim({first, second});
  EXPECT_TRUE(won(outcomes[0], first));
  EXPECT_FALSE(won(outcomes[1], second));
  EXPECT_EQ(outcomes[1].view.row->lock_token, token(1));
}

TEST_F(PostgresStoreClaims, a_claim_repeated_with_its_token_recognises_its_row) {
  const DutyClaim one{duty(), token(1)};
  EXPECT_TRUE(won(claim({one})[0], one));
  EXPECT_TRUE(won(claim({one})[0], one));
  EXPECT_EQ(session.exec("select count(*) from validator_duties"), "1");
}

TEST_F(PostgresStoreClaims, outcomes_come_in_the_order_of_the_requests) {
  std::vector<DutyClaim> claims;
  for (std::uint32_t i = 0; i < 50; ++i)
    claims.push_back({duty({.validator = 1000 - i, .slot = 7 * i % 11}), token(i)});
  const auto outcomes = claim(claims);
  for (std::size_t i = 0; i < claims.size(); ++i) EXPECT_TRUE(won(outcomes[i], claims[i])) << i;
}

/// Nodes that take their locks in different orders wait for each other in a circle.
TEST_F(PostgresStoreClaims, rows_are_inserted_in_the_order_of_the_batch) {
  std::vector<DutyClaim> claims;
  for (std::uint32_t i = 0; i < 50; ++i) claims.push_back({duty({.validator = 100 - i}), token(i)});
  claim(claims);
  EXPECT_EQ(session.exec("select count(*) from (select validator_address > lag(validator_address) over (order by ctid) "
                         "as is_back from validator_duties) d where is_back"),
            "0");
}

TEST_F(PostgresStoreClaims, keeps_rows_for_as_long_as_it_is_told) {
  StoreFixture other(server.url(database), {.keep_duties_for = std::chrono::hours(48)});
  const auto outcomes = other.outcomes(other.store.claim(node(), {{duty(), token(1)}}, in(20s)));
  ASSERT_TRUE(outcomes[0].view.row);
  EXPECT_EQ(session.exec(
                "select expires_at - started_at between interval '47:59' and interval '48:01' from validator_duties"),
            "t");
}

TEST_F(PostgresStoreClaims, a_row_in_another_letter_case_is_the_same_duty) {
  for (const auto column : {"rollup_address", "validator_address"}) {
    session.exec("truncate validator_duties; delete from ha_signer_watermarks");
    claim_one(duty(), token(1));
    session.exec("update validator_duties set " + std::string(column) + " = '0x' || upper(substr(" + column +
                 ", 3)), message_hash = upper(message_hash), status = 'signed', signature = '0x" +
                 std::string(130, 'E') + "'");
    const auto outcome = claim_one(duty({.hash = 0xbb}), token(2));
    ASSERT_TRUE(outcome.view.alias) << column;
    EXPECT_EQ(outcome.view.alias->lock_token, token(1));
    EXPECT_EQ(outcome.view.alias->status, DutyStatus::kSigned);
    EXPECT_EQ(outcome.view.alias->message_hash, hash(0xaa));
    EXPECT_TRUE(outcome.view.alias->signature);
    EXPECT_FALSE(look_one(duty({.slot = 101}).key).alias);
    EXPECT_FALSE(look_one(duty({.validator = 2}).key).alias);
    EXPECT_FALSE(look_one(duty({.type = DutyType::kGovernanceVote}).key).alias);
  }
}

TEST_F(PostgresStoreClaims, a_foreign_block_index_is_the_same_duty_unless_it_is_a_block_proposal) {
  claim_one(duty(), token(1));
  const Duty proposal = duty({.type = DutyType::kBlockProposal, .block_index = 0});
  claim_one(proposal, token(2));
  session.exec("update validator_duties set block_index_within_checkpoint = 3");
  EXPECT_EQ(claim_one(duty(), token(3)).view.alias->lock_token, token(1));
  EXPECT_FALSE(claim_one(proposal, token(4)).view.alias);
}

TEST_F(PostgresStoreClaims, a_block_proposal_in_another_letter_case_is_the_same_only_with_its_index) {
  const Duty first = duty({.type = DutyType::kBlockProposal, .block_index = 0});
  claim_one(first, token(1));
  session.exec("update validator_duties set validator_address = replace(validator_address, 'abcd', 'aBcD')");
  EXPECT_TRUE(look_one(first.key).alias);
  EXPECT_FALSE(look_one(duty({.type = DutyType::kBlockProposal, .block_index = 1}).key).alias);
  claim_one(duty(), token(2));
  session.exec(
      "update validator_duties set validator_address = replace(validator_address, 'abcd', 'ABCD'), "
      "block_index_within_checkpoint = 5 where duty_type = 'ATTESTATION'");
  EXPECT_EQ(look_one(duty().key).alias->lock_token, token(2));
}

TEST_F(PostgresStoreClaims, of_several_aliases_a_signed_one_counts) {
  claim_one(duty(), token(1));
  session.exec("update validator_duties set block_index_within_checkpoint = 1");
  claim_one(duty(), token(2));
  session.exec(
      "update validator_duties set block_index_within_checkpoint = 2, status = 'signed' where "
      "block_index_within_checkpoint = -1");
  claim_one(duty(), token(3));
  session.exec(
      "update validator_duties set block_index_within_checkpoint = 3 where block_index_within_checkpoint = -1");
  EXPECT_EQ(look_one(duty().key).alias->lock_token, token(2));
}

TEST_F(PostgresStoreClaims, a_row_of_another_program_is_read_as_it_is) {
  claim_one(duty(), token(1));
  session.exec(
      "update validator_duties set message_hash = 'not a hash', lock_token = 'mine', node_id = 'a ''b\" \\', "
      "signature = '0x12'");
  const auto row = look_one(duty().key).row;
  ASSERT_TRUE(row);
  EXPECT_FALSE(row->message_hash);
  EXPECT_FALSE(row->signature);
  EXPECT_EQ(row->lock_token.str(), "mine");
  EXPECT_EQ(row->node_id, "a 'b\" \\");
  EXPECT_EQ(row->holder, HolderState::kUnfenced);
}

TEST_F(PostgresStoreClaims, a_node_id_may_hold_any_character) {
  const std::string name = "n'\"\\{},ö $1";
  EXPECT_EQ(claim({{duty(), token(1)}}, name)[0].view.row->node_id, name);
}

TEST_F(PostgresStoreClaims, watermarks_are_seen) {
  session.exec("select ha_signer_set_watermark('" + kRollup.to_string() + "', '" + address(1).to_string() +
               "', 'ATTESTATION', 100, 200)");
  const auto view = claim_one(duty(), token(1)).view;
  EXPECT_EQ(view.watermarks.low, Slot::from(100).value());
  EXPECT_EQ(view.watermarks.high, Slot::from(200).value());
  EXPECT_FALSE(look_one(duty({.type = DutyType::kGovernanceVote}).key).watermarks.low);
}

TEST_F(PostgresStoreClaims, an_empty_batch_needs_no_database) {
  EXPECT_THAT(claim({}), IsEmpty());
  EXPECT_THAT(look({}), IsEmpty());
  EXPECT_THAT(record({}), IsEmpty());
}

TEST_F(PostgresStoreClaims, knows_which_database_answered) {
  const auto reply = fixture->wait(fixture->store.claim(node(), {{duty(), token(1)}}, in(20s)));
  ASSERT_TRUE(reply);
  ASSERT_TRUE(fixture->store.epoch());
  EXPECT_EQ(fixture->store.epoch()->cluster_id, session.exec("select cluster_id from ha_signer_cluster"));
  EXPECT_EQ(fixture->store.epoch()->system_id, session.exec("select system_identifier from pg_control_system()"));
  EXPECT_EQ(fixture->store.epoch()->timeline, 1u);
}

class PostgresStoreRounds : public PostgresStoreTest {
 protected:
  PostgresStoreRounds() {
    EXPECT_TRUE(register_node("node-1", 0x11, 60s));
    EXPECT_TRUE(register_node("node-2", 0x22, 60s));
  }
  static NodeRegistration self(const std::string& name, std::uint8_t incarnation_of) {
    return {node(name), incarnation(incarnation_of), 60s};
  }
  StoreResult<std::uint64_t> begin(const NodeRegistration& who,
                                   JournalRounds::Why why = JournalRounds::Why::kOtherHistory) {
    return fixture->wait(fixture->store.begin_round(who, why, in(20s)));
  }
  std::vector<JournaledNode> nodes() {
    const auto found = fixture->wait(fixture->store.journaled_nodes(in(20s)));
    EXPECT_TRUE(found) << found.error().reason;
    return found.value_or(std::vector<JournaledNode>());
  }
};

TEST_F(PostgresStoreRounds, a_round_is_higher_than_any_that_was_completed) {
  EXPECT_TRUE(fixture->store.has_rounds());
  EXPECT_THAT(nodes(), IsEmpty()) << "neither keeps a journal yet";
  EXPECT_EQ(begin(self("node-1", 0x11)), 1u);
  EXPECT_TRUE(fixture->wait(
      fixture->store.tell(self("node-2", 0x22), 7, {.near = {{kRollup, *Slot::from(5)}}, .far = {}}, in(20s))));
  EXPECT_EQ(begin(self("node-1", 0x11), JournalRounds::Why::kLoss), 8u);
  EXPECT_TRUE(fixture->wait(fixture->store.tell(self("node-2", 0x22), 6, {}, in(20s))));
  const auto found = nodes();
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].node_id, "node-1");
  EXPECT_EQ(found[0].asked, 8u);
  EXPECT_EQ(found[0].lost, 8u);
  EXPECT_EQ(found[1].completed, 7u) << "it never goes back";
  EXPECT_TRUE(found[1].is_alive && found[1].keeps_journal);
  EXPECT_FALSE(found[1].heartbeat.empty());
  EXPECT_FALSE(begin(self("node-2", 0x23))) << "another incarnation is registered";
}

TEST_F(PostgresStoreRounds, what_a_node_has_reached_is_told_until_it_leaves) {
  const ReachedSlots slots{.near = {{kRollup, *Slot::from(5)}, {address(7), *Slot::from(1'234'567'890'123)}},
                           .far = {{{kRollup, address(8)}, *Slot::from(100'005)}}};
  ASSERT_TRUE(fixture->wait(fixture->store.tell(self("node-1", 0x11), 1, slots, in(20s))));
  EXPECT_EQ(nodes().at(0).slots, slots);
  session.exec("update ha_signer_nodes set incarnation = repeat('3', 16), lease_until = now()");
  EXPECT_FALSE(nodes().at(0).keeps_journal);
  EXPECT_FALSE(nodes().at(0).is_alive);
  session.exec("update ha_signer_nodes set incarnation = repeat('1', 16)");
  EXPECT_TRUE(fixture->wait(fixture->store.leave(self("node-1", 0x11), in(20s))));
  EXPECT_THAT(nodes(), IsEmpty());
}

TEST_F(PostgresStoreRounds, nodes_are_given_up_whose_leases_do_not_run) {
  for (const auto& who : {self("node-1", 0x11), self("node-2", 0x22)}) {
    ASSERT_TRUE(fixture->wait(fixture->store.tell(who, 3, {}, in(20s))));
  }
  EXPECT_TRUE(fixture->wait(fixture->store.give_up({"node-1", "node-2", "another"}, in(20s))));
  EXPECT_THAT(nodes(), SizeIs(2)) << "their leases run";
  session.exec("update ha_signer_nodes set lease_until = now() where node_id = 'node-1'");
  EXPECT_TRUE(fixture->wait(fixture->store.give_up({"node-1", "node-2"}, in(20s))));
  ASSERT_THAT(nodes(), SizeIs(1));
  EXPECT_EQ(nodes()[0].node_id, "node-2");
  EXPECT_EQ(begin(self("node-1", 0x11)), 4u) << "its rounds go on";
}

TEST_F(PostgresStoreRounds, slots_are_forbidden_and_never_allowed) {
  const auto forbid = [&](std::uint64_t slot) {
    return fixture->wait(
        fixture->store.forbid_up_to(kRollup, std::nullopt, {DutyType::kAttestation}, *Slot::from(slot), in(20s)));
  };
  EXPECT_TRUE(forbid(200));
  EXPECT_TRUE(forbid(150));
  EXPECT_EQ(look_one(duty().key).watermarks.low, Slot::from(200).value());
  EXPECT_FALSE(look_one(duty({.type = DutyType::kGovernanceVote}).key).watermarks.low);
}

class PostgresStoreSignedClaims : public PostgresStoreTest {
 protected:
  PostgresStoreSignedClaims() { EXPECT_TRUE(register_node("node-1", 0x11)); }
  static SignedClaim one(std::uint64_t slot = 100) {
    return {duty({.slot = slot}), token(static_cast<std::uint32_t>(slot)), signature(1)};
  }
  static StoreErrorKind error_of(const StoreResult<std::vector<SignedClaimOutcome>>& reply) {
    EXPECT_FALSE(reply);
    return reply ? StoreErrorKind::kInDoubt : reply.error().kind;
  }
  enum class FunctionIsMissing : std::uint8_t { kKnown, kNotYetKnown };
  /// Claim and record go on, and nothing else counts as an error.
  void expect_applied_without_the_function(StoreFixture& by, std::uint64_t slot, FunctionIsMissing known) {
    EXPECT_EQ(by.store.capabilities().signed_claims, known == FunctionIsMissing::kNotYetKnown);
    if (known == FunctionIsMissing::kNotYetKnown) {
      EXPECT_EQ(error_of(by.wait(by.store.claim_signed(node(), {one(slot)}, in(20s)))), StoreErrorKind::kUnavailable);
    }
    EXPECT_FALSE(by.store.capabilities().signed_claims);
    // An attempt that is under way is told to claim and record.
    const auto refused = by.outcomes(by.store.claim_signed(node(), {one(slot)}, in(20s)));
    EXPECT_EQ(refused.at(0).outcome, RowOutcome::kNotMatched);
    EXPECT_FALSE(refused.at(0).view.row);
    const SignedClaim claim = one(slot);
    const auto claimed = by.outcomes(by.store.claim(node(), {{claim.duty, claim.token}}, in(20s)));
    ASSERT_TRUE(claimed[0].view.row);
    EXPECT_EQ(claimed[0].view.row->lock_token, claim.token);
    const DutyRecord record{claim.duty.key, claim.token, claim.duty.message_hash, claim.signature};
    EXPECT_EQ(by.outcomes(by.store.record({record}, in(20s)))[0], RowOutcome::kApplied);
  }
  void expect_applied(StoreFixture& by, const SignedClaim& claim) {
    const auto outcomes = by.outcomes(by.store.claim_signed(node(), {claim}, in(20s)));
    EXPECT_EQ(outcomes.at(0).outcome, RowOutcome::kApplied);
  }
};

TEST_F(PostgresStoreSignedClaims, keeps_rows_for_as_long_as_it_is_told) {
  StoreFixture other(server.url(database), {.keep_duties_for = std::chrono::hours(48)});
  expect_applied(other, one());
  expect_applied(*fixture, one(101));
  EXPECT_EQ(session.exec("select expires_at - started_at from validator_duties order by slot"), "2 days\n");
}

TEST_F(PostgresStoreSignedClaims, times_are_utc_whatever_the_zone_of_the_session) {
  session.exec("alter database " + database + " set timezone = 'Asia/Tokyo'");
  StoreFixture tokyo(server.url(database));
  expect_applied(tokyo, one());
  EXPECT_EQ(
      session.exec("select abs(extract(epoch from started_at - (now() at time zone 'UTC'))) < 60 and completed_at = "
                   "started_at from validator_duties"),
      "t");
}

TEST_F(PostgresStoreSignedClaims, the_function_writes_utc_also_in_a_session_that_a_signer_has_not_set_up) {
  session.exec("set timezone = 'Asia/Tokyo'");
  EXPECT_EQ(
      session.exec("select applied from ha_signer_claim_signed('{0xaa}', '{0xbb}', '{5}', '{ATTESTATION}', '{-1}', "
                   "'{1}', '{1}', '{0xcc}', '{" +
                   token(1).str() + "}', '{0xdd}', 'node-1', null, '100', 'validator_duties'::regclass::oid, '', 3)"),
      "t");
  EXPECT_EQ(
      session.exec("select abs(extract(epoch from started_at - (now() at time zone 'UTC'))) < 60 and completed_at = "
                   "started_at from validator_duties"),
      "t");
}

TEST_F(PostgresStoreSignedClaims, a_repetition_writes_the_row_again_and_a_refused_claim_no_other) {
  expect_applied(*fixture, one());
  const std::string before = session.exec("select ctid from validator_duties");
  const SignedClaim other{duty({.hash = 0xbb}), token(2), signature(2)};
  EXPECT_EQ(claim_signed({other})[0].outcome, RowOutcome::kNotMatched);
  EXPECT_EQ(session.exec("select ctid from validator_duties"), before);
  expect_applied(*fixture, one());
  EXPECT_NE(session.exec("select ctid from validator_duties"), before);
}

TEST_F(PostgresStoreSignedClaims, a_signature_in_upper_case_is_the_same_one) {
  const SignedClaim claim{duty({.hash = 0xab}), token(1), signature(0xcd)};
  expect_applied(*fixture, claim);
  session.exec(
      "update validator_duties set signature = '0x' || upper(substr(signature, 3)), message_hash = '0x' || "
      "upper(substr(message_hash, 3))");
  expect_applied(*fixture, claim);
}

TEST_F(PostgresStoreSignedClaims, what_the_store_can_do_is_known_with_its_first_answer) {
  StoreFixture fresh(server.url(database));
  EXPECT_FALSE(fresh.store.capabilities().signed_claims);
  ASSERT_TRUE(fresh.wait(fresh.store.initialize(in(20s))));
  EXPECT_TRUE(fresh.store.capabilities().signed_claims);
  StoreFixture first_call(server.url(database));
  expect_applied(first_call, one());
}

TEST_F(PostgresStoreSignedClaims, a_database_that_lacks_the_function_serves_all_the_same) {
  session.exec("drop function ha_signer_claim_signed");
  // An open session finds out with the call, a new one before it.
  expect_applied_without_the_function(*fixture, 100, FunctionIsMissing::kNotYetKnown);
  StoreFixture fresh(server.url(database));
  ASSERT_TRUE(fresh.wait(fresh.store.initialize(in(20s))));
  expect_applied_without_the_function(fresh, 101, FunctionIsMissing::kKnown);
  // Migrated again, it is there.
  session.exec("begin;" + std::string(own_schema()) + ";commit");
  StoreFixture migrated(server.url(database));
  expect_applied(migrated, one(102));
}

TEST_F(PostgresStoreSignedClaims, running_our_migration_again_changes_nothing) {
  expect_applied(*fixture, one());
  for (int i = 0; i < 2; ++i) {
    session.exec("begin;" + std::string(own_schema()) + ";commit");
    expect_applied(*fixture, one());
    EXPECT_EQ(session.exec("select count(*) from pg_proc where proname = 'ha_signer_claim_signed'"), "1");
  }
}

TEST_F(PostgresStoreSignedClaims, a_role_needs_no_more_rights_than_for_the_other_statements) {
  const std::string role = database + "_signer";
  session.exec("create role " + role + " login; begin; set local ha_signer.grant_to = '{" + role + "}';" +
               std::string(own_schema()) + ";commit");
  StoreFixture granted(server.url(database, role));
  expect_applied(granted, one());
  session.exec("revoke execute on function ha_signer_claim_signed from " + role);
  expect_applied_without_the_function(granted, 101, FunctionIsMissing::kNotYetKnown);
  StoreFixture revoked(server.url(database, role));
  ASSERT_TRUE(revoked.wait(revoked.store.initialize(in(20s))));
  expect_applied_without_the_function(revoked, 102, FunctionIsMissing::kKnown);
  // It runs with the caller's rights: who may not write duties, may not by it.
  session.exec("grant execute on function ha_signer_claim_signed to " + role +
               "; revoke insert on validator_duties from " + role);
  StoreFixture reader(server.url(database, role));
  EXPECT_FALSE(reader.wait(reader.store.claim_signed(node(), {one(103)}, in(20s))));
  EXPECT_EQ(session.exec("select count(*) from validator_duties where slot = 103"), "0");
}

TEST_F(PostgresStoreSignedClaims, the_function_refuses_transactions_in_which_it_could_not_see_what_it_must) {
  const std::string call =
      "select * from ha_signer_claim_signed('{0xaa,0xaa}', '{0xbb,0xbb}', '{5,5}', '{ATTESTATION,ATTESTATION}', "
      "'{-1,-1}', "
      "'{1,1}', '{1,1}', '{0xcc,0xcc}', '{x,y}', '{0xdd,0xdd}', 'node-1', null, '100', "
      "'validator_duties'::regclass::oid, '00000001', 3)";
  EXPECT_THROW(session.exec("begin isolation level repeatable read; " + call), std::runtime_error);
  session.exec("rollback");
  EXPECT_THROW(session.exec("begin isolation level serializable; " + call), std::runtime_error);
  session.exec("rollback");
  EXPECT_THROW(session.exec("begin; savepoint one; " + call), std::runtime_error);
  session.exec("rollback");
  EXPECT_EQ(session.exec("select count(*) from validator_duties"), "0");
}

class PostgresStoreRecords : public PostgresStoreTest {
 protected:
  PostgresStoreRecords() { claim_one(duty(), token(1)); }
  void expect_still_signing() { EXPECT_EQ(session.exec("select status from validator_duties"), "signing"); }
  void set_watermark(const std::string& low, const std::string& high) {
    session.exec("select ha_signer_set_watermark('" + kRollup.to_string() + "', '" + address(1).to_string() +
                 "', 'ATTESTATION', " + low + ", " + high + ")");
  }
};

TEST_F(PostgresStoreRecords, needs_the_token) {
  EXPECT_EQ(record_one(duty(), token(2)), RowOutcome::kNotMatched);
  expect_still_signing();
}

TEST_F(PostgresStoreRecords, needs_the_hash) {
  EXPECT_EQ(record_one(duty({.hash = 0xbb}), token(1)), RowOutcome::kNotMatched);
  expect_still_signing();
}

TEST_F(PostgresStoreRecords, needs_the_row) {
  EXPECT_EQ(record_one(duty({.slot = 101}), token(1)), RowOutcome::kNotMatched);
}

TEST_F(PostgresStoreRecords, a_caller_without_the_hash_needs_the_token_only) {
  EXPECT_EQ(record({{duty().key, token(1), std::nullopt, signature(1)}})[0], RowOutcome::kApplied);
}

TEST_F(PostgresStoreRecords, a_hash_in_upper_case_is_the_same_hash) {
  session.exec("update validator_duties set message_hash = upper(message_hash)");
  session.exec("update validator_duties set message_hash = replace(message_hash, '0X', '0x')");
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kApplied);
}

TEST_F(PostgresStoreRecords, nothing_is_signed_at_or_below_the_low_watermark) {
  set_watermark("100", "null");
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kNotMatched);
  expect_still_signing();
  set_watermark("99", "100");
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kApplied);
}

TEST_F(PostgresStoreRecords, nothing_is_signed_above_the_high_watermark) {
  set_watermark("null", "99");
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kNotMatched);
  expect_still_signing();
}

TEST_F(PostgresStoreRecords, a_repetition_writes_the_row_again) {
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kApplied);
  const auto before = session.exec("select ctid, completed_at from validator_duties");
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kApplied);
  const auto after = session.exec("select ctid, completed_at from validator_duties");
  EXPECT_NE(before, after);
  EXPECT_EQ(before.substr(before.find('|')), after.substr(after.find('|')));
}

TEST_F(PostgresStoreRecords, a_signed_row_takes_no_other_signature) {
  EXPECT_EQ(record_one(duty(), token(1), 1), RowOutcome::kApplied);
  EXPECT_EQ(record_one(duty(), token(1), 2), RowOutcome::kNotMatched);
  EXPECT_EQ(session.exec("select signature from validator_duties"), signature(1).to_string());
}

TEST_F(PostgresStoreRecords, equal_records_in_one_batch_are_both_confirmed) {
  const DutyRecord one{duty().key, token(1), duty().message_hash, signature(1)};
  EXPECT_THAT(record({one, one, {duty().key, token(2), duty().message_hash, signature(1)}}),
              ElementsAre(RowOutcome::kApplied, RowOutcome::kApplied, RowOutcome::kNotMatched));
}

TEST_F(PostgresStoreRecords, completion_is_never_before_the_start) {
  session.exec("update validator_duties set started_at = started_at + interval '1 hour'");
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kApplied);
  EXPECT_EQ(session.exec("select completed_at = started_at from validator_duties"), "t");
}

TEST_F(PostgresStoreRecords, only_a_signing_row_under_the_token_is_released) {
  EXPECT_FALSE(release_one(duty().key, token(2)));
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kApplied);
  EXPECT_FALSE(release_one(duty().key, token(1)));
  claim_one(duty({.slot = 101}), token(3));
  EXPECT_TRUE(release_one(duty({.slot = 101}).key, token(3)));
  EXPECT_FALSE(release_one(duty({.slot = 101}).key, token(3)));
  EXPECT_EQ(session.exec("select count(*) from validator_duties"), "1");
}

class PostgresStoreTakeovers : public PostgresStoreTest {
 protected:
  PostgresStoreTakeovers() {
    register_node("node-1", 0x11);
    claim_one(duty(), token(1));
  }
  void expire() { session.exec("update ha_signer_nodes set lease_until = clock_timestamp() - interval '1 ms'"); }
  const LockToken taken = token(2, 0x22, TokenKind::kTakenOver);
  const LockToken replaced = token(3, 0x22);
};

TEST_F(PostgresStoreTakeovers, the_same_data_is_taken_over_from_every_holder) {
  session.exec("update validator_duties set started_at = started_at - interval '1 hour'");
  EXPECT_EQ(take_over_one({TakeoverKind::kSameData, duty({.hash = 0xbb}), token(1), taken}), RowOutcome::kNotMatched);
  EXPECT_EQ(take_over_one({TakeoverKind::kSameData, duty(), token(9), taken}), RowOutcome::kNotMatched);
  EXPECT_EQ(take_over_one({TakeoverKind::kSameData, duty(), token(1), taken}), RowOutcome::kApplied);
  EXPECT_EQ(take_over_one({TakeoverKind::kSameData, duty(), token(1), taken}), RowOutcome::kApplied) << "repeated";
  EXPECT_EQ(
      session.exec("select node_id, lock_token, started_at > (now() at time zone 'UTC') - interval '1 minute' from "
                   "validator_duties"),
      "node-2|" + taken.str() + "|t");
  EXPECT_EQ(look_one(duty().key).row->holder, HolderState::kUnfenced);
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kNotMatched);
  EXPECT_EQ(record_one(duty(), taken), RowOutcome::kApplied);
}

TEST_F(PostgresStoreTakeovers, other_data_replaces_only_what_a_dead_node_holds) {
  const Takeover takeover{TakeoverKind::kReplace, duty({.hash = 0xbb}), token(1), replaced};
  EXPECT_EQ(take_over_one(takeover), RowOutcome::kNotMatched);
  expire();
  EXPECT_EQ(take_over_one({TakeoverKind::kReplace, duty({.hash = 0xbb}), token(9), replaced}), RowOutcome::kNotMatched);
  EXPECT_EQ(take_over_one(takeover), RowOutcome::kApplied);
  EXPECT_EQ(take_over_one(takeover), RowOutcome::kApplied) << "repeated";
  const auto row = look_one(duty().key).row;
  EXPECT_EQ(row->message_hash, hash(0xbb));
  EXPECT_EQ(row->lock_token, replaced);
  EXPECT_EQ(row->node_id, "node-2");
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kNotMatched);
}

TEST_F(PostgresStoreTakeovers, what_an_earlier_incarnation_held_may_be_replaced) {
  expire();
  ASSERT_TRUE(register_node("node-1", 0x12));
  EXPECT_EQ(look_one(duty().key).row->holder, HolderState::kExpired);
  EXPECT_EQ(take_over_one({TakeoverKind::kReplace, duty({.hash = 0xbb}), token(1), replaced}), RowOutcome::kApplied);
}

TEST_F(PostgresStoreTakeovers, what_may_still_be_released_unfenced_is_never_replaced) {
  expire();
  for (const LockToken& held : {token(1, 0x11, TokenKind::kTakenOver), token(1, 0x11, TokenKind::kHandedOut),
                                token(1, 0x77), LockToken("00000000000000000000000000000000"), LockToken("x")}) {
    session.exec("update validator_duties set lock_token = '" + held.str() + "'");
    EXPECT_EQ(look_one(duty().key).row->holder, HolderState::kUnfenced) << held.str();
    EXPECT_EQ(take_over_one({TakeoverKind::kReplace, duty({.hash = 0xbb}), held, replaced}), RowOutcome::kNotMatched);
  }
}

TEST_F(PostgresStoreTakeovers, what_is_signed_is_not_taken_over) {
  EXPECT_EQ(record_one(duty(), token(1)), RowOutcome::kApplied);
  expire();
  EXPECT_EQ(take_over_one({TakeoverKind::kReplace, duty({.hash = 0xbb}), token(1), replaced}), RowOutcome::kNotMatched);
  EXPECT_EQ(take_over_one({TakeoverKind::kSameData, duty(), token(1), taken}), RowOutcome::kNotMatched);
}

TEST_F(PostgresStoreTakeovers, both_kinds_go_in_one_batch) {
  claim_one(duty({.slot = 99}), token(4));
  expire();
  const auto outcomes = fixture->outcomes(
      fixture->store.take_over(node("node-2"),
                               {{TakeoverKind::kSameData, duty(), token(1), taken},
                                {TakeoverKind::kReplace, duty({.slot = 99, .hash = 0xbb}), token(4), replaced},
                                {TakeoverKind::kReplace, duty({.slot = 98, .hash = 0xbb}), token(4), token(5, 0x22)}},
                               in(20s)));
  EXPECT_THAT(outcomes, ElementsAre(RowOutcome::kApplied, RowOutcome::kApplied, RowOutcome::kNotMatched));
}

using PostgresStoreRegistry = PostgresStoreTest;

TEST_F(PostgresStoreRegistry, a_node_id_is_held_while_its_lease_runs) {
  ASSERT_TRUE(register_node("node-1", 0x11));
  EXPECT_TRUE(register_node("node-1", 0x11)) << "the same incarnation again";
  const auto refused = fixture->wait(fixture->store.register_node({node(), incarnation(0x12), 2s}, in(20s)));
  ASSERT_TRUE(refused);
  EXPECT_FALSE(refused->registered);
  EXPECT_EQ(refused->holder, hex_of(incarnation(0x11)));
  EXPECT_FALSE(refused->heartbeat.empty());
  const auto renewed = fixture->wait(fixture->store.renew({node(), incarnation(0x11), 60s}, in(20s)));
  ASSERT_TRUE(renewed && *renewed);
  const auto again = fixture->wait(fixture->store.register_node({node(), incarnation(0x12), 2s}, in(20s)));
  EXPECT_NE(again->heartbeat, refused->heartbeat);
}

TEST_F(PostgresStoreRegistry, a_node_id_whose_lease_was_ended_is_free_at_once) {
  ASSERT_TRUE(register_node("node-1", 0x11));
  ASSERT_TRUE(fixture->wait(fixture->store.end_lease({node(), incarnation(0x12), 2s}, in(20s))))
      << "another's: nothing happens";
  EXPECT_FALSE(register_node("node-1", 0x12));
  ASSERT_TRUE(fixture->wait(fixture->store.end_lease({node(), incarnation(0x11), 2s}, in(20s))));
  EXPECT_TRUE(register_node("node-1", 0x12));
  EXPECT_EQ(session.exec("select incarnation, former from ha_signer_nodes"), "1212121212121212|{1111111111111111}");
}

TEST_F(PostgresStoreRegistry, only_the_registered_incarnation_is_renewed) {
  ASSERT_TRUE(register_node("node-1", 0x11, 1ms));
  const auto renewed = fixture->wait(fixture->store.renew({node(), incarnation(0x11), 1ms}, in(20s)));
  EXPECT_TRUE(*renewed) << "though its lease had run out";
  ASSERT_TRUE(hasigner::test::eventually([&] { return register_node("node-1", 0x12); }));
  const auto late = fixture->wait(fixture->store.renew({node(), incarnation(0x11), 60s}, in(20s)));
  EXPECT_FALSE(*late);
  const auto unknown = fixture->wait(fixture->store.renew({node("node-9"), incarnation(0x11), 60s}, in(20s)));
  EXPECT_FALSE(*unknown);
}

/// A crash loop may use up hundreds of incarnations before the rows of the first are old enough to be removed.
TEST_F(PostgresStoreRegistry, so_many_earlier_incarnations_are_remembered) {
  session.exec(
      "insert into ha_signer_nodes (node_id, incarnation, former, registered_at, heartbeat_at, lease_until) select "
      "'node-1', repeat('f', 16), array_agg(lpad(to_hex(i), 16, '0') order by i), now(), now(), now() from "
      "generate_series(1, 4096) i");
  ASSERT_TRUE(register_node("node-1", 0x11));
  EXPECT_EQ(session.exec("select cardinality(former), former[1], former[4096] from ha_signer_nodes"),
            "4096|0000000000000002|ffffffffffffffff");
}

TEST_F(PostgresStoreRegistry, an_incarnation_that_comes_back_is_not_an_earlier_one) {
  register_node("node-1", 0x11, 0ms);
  register_node("node-1", 0x12, 0ms);
  register_node("node-1", 0x11, 0ms);
  EXPECT_EQ(session.exec("select incarnation, former from ha_signer_nodes"), "1111111111111111|{1212121212121212}");
}

TEST_F(PostgresStoreRegistry, a_holder_that_was_seen_silent_is_replaced_though_its_lease_seems_to_run) {
  ASSERT_TRUE(register_node("node-1", 0x11));
  const auto refused = fixture->wait(fixture->store.register_node({node(), incarnation(0x12), 2s}, in(20s)));
  ASSERT_TRUE(refused && !refused->registered);
  const auto register_over = [&](const std::string& heartbeat) {
    const auto outcome =
        fixture->wait(fixture->store.register_node({node(), incarnation(0x12), 2s, heartbeat}, in(20s)));
    return outcome && outcome->registered;
  };
  EXPECT_FALSE(register_over("another heartbeat"));
  ASSERT_TRUE(fixture->wait(fixture->store.renew({node(), incarnation(0x11), 60s}, in(20s))));
  EXPECT_FALSE(register_over(refused->heartbeat)) << "it was not silent after all";
  const auto again = fixture->wait(fixture->store.register_node({node(), incarnation(0x12), 2s}, in(20s)));
  EXPECT_TRUE(register_over(again->heartbeat));
}

TEST_F(PostgresStoreRegistry, stored_signatures_are_looked_at_again_by_the_statement_that_confirms_them) {
  for (std::uint32_t slot = 1; slot <= 4; ++slot) claim_one(duty({.slot = slot}), token(slot));
  for (std::uint32_t slot = 1; slot <= 3; ++slot) record_one(duty({.slot = slot}), token(slot));
  session.exec("update validator_duties set message_hash = '0x' || upper(substr(message_hash, 3)) where slot = 1");
  const std::vector<StoredSignature> stored{
      {duty({.slot = 1}).key, hash(0xaa), signature(1)}, {duty({.slot = 2}).key, hash(0xbb), signature(1)},
      {duty({.slot = 3}).key, hash(0xaa), signature(2)}, {duty({.slot = 4}).key, hash(0xaa), signature(1)},
      {duty({.slot = 5}).key, hash(0xaa), signature(1)}, {duty({.slot = 1}).key, hash(0xaa), signature(1)}};
  const auto refused = fixture->wait(fixture->store.confirm_stored(node(), stored, in(20s)));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().reason, HasSubstr("not registered"));
  register_node("node-1", 0x11);
  EXPECT_THAT(fixture->outcomes(fixture->store.confirm_stored(node(), stored, in(20s))),
              ElementsAre(true, false, false, false, false, true));
  EXPECT_EQ(session.exec("select witnessed_at > now() - interval '1 minute' from ha_signer_nodes"), "t");
}

class PostgresStoreRemoval : public PostgresStoreTest {
 protected:
  PostgresStoreRemoval() {
    register_node("node-1", 0x10, 0ms);
    register_node("node-1", 0x11);
  }
  void age(const std::string& interval) {
    session.exec("update validator_duties set started_at = (now() at time zone 'UTC') - interval '" + interval + "'");
  }
  std::string slots() { return session.exec("select string_agg(slot::text, ',' order by slot) from validator_duties"); }
  std::size_t preview(Removal what, milliseconds max_age = 0ms) {
    const auto reply = fixture->wait(
        fixture->store.preview({.what = what, .node_id = node(), .rollup = kRollup, .max_age = max_age}, in(20s)));
    if (!reply) throw std::runtime_error(reply.error().reason);
    return reply->rows;
  }
  /// One row of each kind of holder, each at a slot of its own.
  void claim_all_kinds() {
    claim_one(duty({.slot = 1}), token(1, 0x11));
    claim_one(duty({.slot = 2}), token(2, 0x10));
    claim_one(duty({.slot = 3}), token(3, 0x11, TokenKind::kTakenOver));
    claim_one(duty({.slot = 4}), token(4, 0x11, TokenKind::kHandedOut));
    claim_one(duty({.slot = 5}), token(5, 0x77));
    claim_one(duty({.slot = 6}), LockToken("0123456789abcdef"));
    claim({{duty({.slot = 7}), token(7, 0x10)}}, "node-2");
    claim_one(duty({.slot = 8}), token(8, 0x10, TokenKind::kTakenOver));
    claim_one(duty({.slot = 9}), token(9, 0x10));
    EXPECT_EQ(record_one(duty({.slot = 9}), token(9, 0x10)), RowOutcome::kApplied);
  }
};

TEST_F(PostgresStoreRemoval, a_restarted_node_takes_away_what_its_earlier_incarnations_were_signing) {
  claim_all_kinds();
  EXPECT_EQ(preview(Removal::kAbandoned), 1u);
  EXPECT_EQ(remove(Removal::kAbandoned).removed, 1u);
  EXPECT_EQ(slots(), "1,3,4,5,6,7,8,9");
}

TEST_F(PostgresStoreRemoval, only_old_fenced_rows_of_registered_incarnations_are_stuck) {
  claim_all_kinds();
  EXPECT_EQ(remove(Removal::kStuck, 60s).removed, 0u);
  age("61 seconds");
  EXPECT_EQ(preview(Removal::kStuck, 60s), 2u);
  EXPECT_EQ(remove(Removal::kStuck, 60s).removed, 2u);
  EXPECT_EQ(slots(), "3,4,5,6,7,8,9");
}

TEST_F(PostgresStoreRemoval, a_removal_skips_locked_rows_and_keeps_to_its_limit) {
  for (std::uint32_t slot = 1; slot <= 5; ++slot) claim_one(duty({.slot = slot}), token(slot, 0x10));
  SqlSession other(server.url(database));
  other.exec("begin; select from validator_duties where slot = 2 for update");
  EXPECT_EQ(remove(Removal::kAbandoned, 0ms, 3).removed, 3u);
  EXPECT_EQ(slots(), "2,5");
  EXPECT_EQ(remove(Removal::kAbandoned).removed, 1u);
  other.exec("commit");
  EXPECT_EQ(remove(Removal::kAbandoned).removed, 1u);
}

TEST_F(PostgresStoreRemoval, retention_leaves_watermarks) {
  for (std::uint32_t slot = 1; slot <= 3; ++slot) {
    claim_one(duty({.slot = slot}), token(slot));
    record_one(duty({.slot = slot}), token(slot));
  }
  claim_one(duty({.slot = 4}), token(4));
  claim_one(duty({.slot = 5}), token(5, 0x11, TokenKind::kTakenOver));
  age("73 hours");
  claim_one(duty({.slot = 6}), token(6));
  record_one(duty({.slot = 6}), token(6));
  EXPECT_EQ(preview(Removal::kOld, std::chrono::hours(72)), 4u);
  EXPECT_EQ(remove(Removal::kOld, std::chrono::hours(72)).removed, 4u);
  EXPECT_EQ(slots(), "5,6");
  EXPECT_EQ(look_one(duty({.slot = 3}).key).watermarks.low, Slot::from(3).value());
}

TEST_F(PostgresStoreRemoval, retention_is_refused_while_nodes_that_obey_no_watermark_are_at_work) {
  claim_one(duty({.slot = 1}), token(1));
  record_one(duty({.slot = 1}), token(1));
  age("73 hours");
  for (const LockToken& foreign : {LockToken("0123456789abcdef0123456789abcdef"), LockToken("x"), token(2, 0x77)}) {
    session.exec("delete from validator_duties where slot = 2");
    claim_one(duty({.slot = 2}), foreign);
    for (const std::string began : {"0 hours", "5 hours", "47 hours", "-14 hours"}) {
      session.exec("update validator_duties set started_at = (now() at time zone 'UTC') - interval '" + began +
                   "' where slot = 2");
      for (const Removal what : {Removal::kOld, Removal::kExpired, Removal::kOtherRollups}) {
        const auto outcome = remove(what, std::chrono::hours(72));
        EXPECT_TRUE(outcome.refused_for_foreign_nodes) << foreign.str() << " " << began;
        EXPECT_EQ(outcome.removed, 0u);
      }
    }
  }
  session.exec(
      "update validator_duties set started_at = (now() at time zone 'UTC') - interval '49 hours' where slot = 2");
  EXPECT_FALSE(remove(Removal::kOld, std::chrono::hours(72)).refused_for_foreign_nodes);
  EXPECT_EQ(slots(), "2");
}

TEST_F(PostgresStoreRemoval, retention_under_way_asks_about_foreign_nodes_once) {
  for (std::uint32_t slot = 1; slot <= 4; ++slot) {
    claim_one(duty({.slot = slot}), token(slot));
    record_one(duty({.slot = slot}), token(slot));
  }
  age("73 hours");
  EXPECT_EQ(remove(Removal::kOld, std::chrono::hours(72), 2).removed, 2u);
  claim_one(duty({.slot = 9}), LockToken("x"));
  EXPECT_EQ(remove(Removal::kOld, std::chrono::hours(72), 3).removed, 2u);
  EXPECT_TRUE(remove(Removal::kOld, std::chrono::hours(72), 3).refused_for_foreign_nodes);
}

TEST_F(PostgresStoreRemoval, retention_under_way_asks_about_foreign_nodes_again_after_ten_seconds) {
  class LateClock final : public Clock {
   public:
    explicit LateClock(Clock& inner) : inner_(inner) {}
    MonotonicTime now() const override { return inner_.now() + late; }
    TimerId call_at(MonotonicTime time, std::move_only_function<void()> callback) override {
      return inner_.call_at(time - late, std::move(callback));
    }
    void cancel(TimerId id) override { inner_.cancel(id); }
    milliseconds late{0};

   private:
    Clock& inner_;
  };
  LateClock clock(fixture->clock);
  auto connected = LibpqExecutor::create(fixture->io.get_executor(), {.url = server.url(database), .max = 2});
  ASSERT_TRUE(connected);
  PostgresStore store(*connected, clock);
  const auto remove_two = [&] {
    return fixture
        ->wait(store.remove({.what = Removal::kOld,
                             .node_id = node(),
                             .rollup = kRollup,
                             .max_age = std::chrono::hours(72),
                             .limit = 2},
                            in(20s)))
        .value();
  };
  for (std::uint32_t slot = 1; slot <= 6; ++slot) {
    claim_one(duty({.slot = slot}), token(slot));
    record_one(duty({.slot = slot}), token(slot));
  }
  age("73 hours");
  EXPECT_EQ(remove_two().removed, 2u);
  claim_one(duty({.slot = 9}), LockToken("x"));
  EXPECT_EQ(remove_two().removed, 2u) << "it was asked just now";
  clock.late = std::chrono::seconds(11);
  EXPECT_TRUE(remove_two().refused_for_foreign_nodes);
  fixture->wait((*connected)->close());
}

TEST_F(PostgresStoreRemoval, what_has_expired_goes) {
  for (std::uint32_t slot = 1; slot <= 3; ++slot) {
    claim_one(duty({.slot = slot}), token(slot));
    record_one(duty({.slot = slot}), token(slot));
  }
  claim_one(duty({.slot = 4}), token(4));
  session.exec(
      "update validator_duties set expires_at = (now() at time zone 'UTC') - interval '1 second' where slot in (2, 4)");
  session.exec(
      "update validator_duties set expires_at = (now() at time zone 'UTC') + interval '1 hour' where slot = 3");
  EXPECT_EQ(preview(Removal::kExpired), 1u);
  EXPECT_EQ(remove(Removal::kExpired).removed, 1u);
  EXPECT_EQ(slots(), "1,3,4");
}

TEST_F(PostgresStoreRemoval, signed_rows_of_other_rollups_go_when_they_are_old) {
  for (std::uint32_t slot = 1; slot <= 6; ++slot) {
    claim_one(duty({.slot = slot}), token(slot));
    if (slot != 3) record_one(duty({.slot = slot}), token(slot));
  }
  session.exec("update validator_duties set rollup_address = '0x' || repeat('a', 40) where slot in (1, 3)");
  session.exec("update validator_duties set rollup_address = '0x' || repeat('f', 40) where slot in (2, 6)");
  session.exec("update validator_duties set rollup_address = '0xABCD' || substr(rollup_address, 7) where slot = 5");
  age("61 seconds");
  session.exec("update validator_duties set started_at = completed_at where slot = 6");
  EXPECT_EQ(preview(Removal::kOtherRollups, 60s), 2u);
  EXPECT_EQ(remove(Removal::kOtherRollups, 60s).removed, 2u);
  EXPECT_EQ(slots(), "3,4,5,6");
}

/// A database that one session is refused, and why.
class PostgresStoreSession : public testing::Test {
 protected:
  PostgresStoreSession()
      : server(PostgresServer::shared()), database(server.create_database()), session(server.url(database)) {}

  std::string refusal() {
    StoreFixture fixture(server.url(database));
    return refusal_of(fixture);
  }
  /// Asked until the server has answered: a busy machine may take longer than one call waits.
  static std::string refusal_of(StoreFixture& fixture) {
    std::string reason;
    EXPECT_TRUE(hasigner::test::eventually([&] {
      const auto ready = fixture.wait(fixture.store.initialize(in(300ms)));
      reason = ready ? "none" : ready.error().reason;
      return ready || ready.error().kind == StoreErrorKind::kIncompatible;
    })) << reason;
    return reason;
  }

  PostgresServer& server;
  std::string database;
  SqlSession session;
};

TEST_F(PostgresStoreSession, a_database_without_tables_is_refused) {
  EXPECT_THAT(refusal(), HasSubstr("has no table validator_duties on its search path; run: ha-signer migrate up"));
}

TEST_F(PostgresStoreSession, tables_that_the_search_path_does_not_show_are_named) {
  session.exec("create schema duties; alter database " + database + " set search_path = duties");
  SqlSession with_path(server.url(database));
  migrate(with_path);
  session.exec("alter database " + database + " reset search_path");
  EXPECT_THAT(refusal(),
              HasSubstr("not on the search path, but in schema duties; write options=-csearch_path%3Dduties"));
}

TEST_F(PostgresStoreSession, a_schema_that_the_role_may_not_use_is_named) {
  migrate(session);
  session.exec("create role " + database + "_outside login; revoke usage on schema public from public");
  StoreFixture fixture(server.url(database, database + "_outside"));
  const auto ready = fixture.wait(fixture.store.initialize(in(20s)));
  ASSERT_FALSE(ready);
  EXPECT_THAT(ready.error().reason, HasSubstr("in schema public, which this role may not use; run as its owner or a "
                                              "superuser: grant usage on schema public to ROLE"));
}

TEST_F(PostgresStoreSession, a_right_that_is_missing_at_start_is_named) {
  migrate(session);
  session.exec("create role " + database +
               "_blind login; grant select, insert, update, delete on validator_duties to " + database + "_blind");
  StoreFixture fixture(server.url(database, database + "_blind"));
  const auto ready = fixture.wait(fixture.store.initialize(in(20s)));
  ASSERT_FALSE(ready);
  EXPECT_THAT(ready.error().reason, HasSubstr("ha-signer migrate up --grant ROLE"));
}

TEST_F(PostgresStoreSession, a_dropped_table_is_not_a_database_without_tables) {
  migrate(session);
  session.exec("drop table validator_duties");
  const auto reason = refusal();
  EXPECT_THAT(reason, HasSubstr("the table validator_duties is gone: it was dropped"));
  EXPECT_THAT(reason, HasSubstr("restore the database from a backup"));
}

TEST_F(PostgresStoreSession, a_database_that_lacks_our_own_tables_is_refused) {
  session.exec(std::string(shared_migrations()[0].up));
  EXPECT_THAT(refusal(), HasSubstr("ha_signer_watermarks, the trigger ha_signer_keep_to_released, the trigger "
                                   "ha_signer_raise_watermarks, the trigger "
                                   "ha_signer_raise_watermarks_on_truncate); run: ha-signer migrate up"));
}

TEST_F(PostgresStoreSession, each_of_our_own_objects_is_needed) {
  for (const auto& [broken, named] : std::map<std::string, std::string>{
           {"drop index ha_signer_upper_case", "ha_signer_upper_case"},
           {"drop trigger ha_signer_raise_watermarks on validator_duties", "the trigger ha_signer_raise_watermarks"},
           {"alter table validator_duties disable trigger ha_signer_raise_watermarks",
            "the trigger ha_signer_raise_watermarks"},
           {"drop table ha_signer_nodes", "ha_signer_nodes"},
           {"create schema elsewhere; alter table ha_signer_watermarks set schema elsewhere", "ha_signer_watermarks"},
           {"create schema on_the_path; alter table ha_signer_watermarks set schema on_the_path; do $$ begin execute "
            "format('alter database %I set search_path = public, on_the_path', current_database()); end $$",
            "ha_signer_watermarks"},
           {"delete from ha_signer_cluster", "ha_signer_cluster is empty"},
           {"update ha_signer_schema set version = 2", "this program knows 1"},
           {"update schema_version set version = 4", "schema version 4, this program knows 1 to 3"},
           {"delete from schema_version", "schema_version is missing or empty"},
           {"delete from schema_version; insert into schema_version (version) values (-1)", "or has no version"},
           {"alter table validator_duties drop column expires_at", "no column expires_at"},
           {"alter table validator_duties set unlogged", "not a plain permanent table"},
           {"create table child () inherits (validator_duties)", "not a plain permanent table"},
           {"alter table validator_duties drop constraint validator_duties_pkey", "primary key"},
           {"alter table validator_duties drop constraint validator_duties_pkey, add primary key (validator_address, "
            "slot)",
            "primary key of validator_duties is (validator_address,slot)"},
       }) {
    const auto name = server.create_database();
    SqlSession one(server.url(name));
    migrate(one);
    one.exec(broken);
    database = name;
    EXPECT_THAT(refusal(), HasSubstr(named)) << broken;
  }
}

TEST_F(PostgresStoreSession, the_tables_of_the_4_0_0_nightly_are_named) {
  migrate(session, 1);
  session.exec("alter table validator_duties drop column rollup_address");
  EXPECT_THAT(refusal(), HasSubstr("4.0.0 nightly"));
}

TEST_F(PostgresStoreSession, two_tables_of_that_name_on_the_path_are_refused) {
  migrate(session);
  session.exec("create schema other; create table other.validator_duties (like public.validator_duties including all)");
  EXPECT_EQ(refusal(), "none");
  session.exec("alter database " + database + " set search_path = public, other");
  EXPECT_THAT(refusal(), HasSubstr("in the schemas other, public"));
}

TEST_F(PostgresStoreSession, another_schema_on_the_path_serves) {
  session.exec("create schema signing; alter database " + database + " set search_path = nowhere, signing");
  SqlSession with_path(server.url(database));
  migrate(with_path);
  EXPECT_EQ(refusal(), "none");
}

TEST_F(PostgresStoreSession, rows_hidden_by_row_security_are_noticed) {
  migrate(session);
  session.exec("create role " + database +
               "_guest login; grant select, insert, update, delete on validator_duties to " + database +
               "_guest; grant select on all tables in schema public to " + database +
               "_guest; grant select, insert, update on "
               "ha_signer_nodes to " +
               database + "_guest");
  StoreFixture guest(server.url(database, database + "_guest"));
  EXPECT_TRUE(guest.wait(guest.store.initialize(in(5s))));
  session.exec("alter table validator_duties enable row level security");
  StoreFixture other(server.url(database, database + "_guest"));
  EXPECT_THAT(refusal_of(other), HasSubstr("row security"));
}

TEST_F(PostgresStoreSession, another_cluster_than_at_start_is_refused) {
  migrate(session);
  StoreFixture fixture(server.url(database));
  ASSERT_TRUE(fixture.wait(fixture.store.initialize(in(5s))));
  session.exec("update ha_signer_cluster set cluster_id = repeat('e', 32)");
  session.exec(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> "
      "pg_backend_pid()");
  std::string reason;
  EXPECT_TRUE(hasigner::test::eventually([&] {
    const auto looked = fixture.wait(fixture.store.look({duty().key}, in(500ms)));
    EXPECT_FALSE(looked);
    if (looked) return true;
    reason = looked.error().reason;
    return looked.error().kind == StoreErrorKind::kIncompatible;
  })) << "the first look may still meet the old session's end, but not every one";
  EXPECT_THAT(reason, HasSubstr("another database answers than at start"));
}

TEST_F(PostgresStoreSession, a_migration_under_open_sessions_is_noticed) {
  migrate(session, 3);
  StoreFixture fixture(server.url(database), {}, 1);
  const auto claim = [&](std::uint32_t number) {
    return fixture.outcomes(fixture.store.claim(node(), {{duty({.slot = number}), token(number)}}, in(5s)))
        .at(0)
        .view.row.has_value();
  };
  EXPECT_TRUE(claim(1));
  session.exec(std::string(shared_migrations()[2].down));
  EXPECT_TRUE(claim(2));
  EXPECT_EQ(fixture.store.schema_version(), 2);
  session.exec(std::string(shared_migrations()[1].down));
  EXPECT_TRUE(claim(3));
  EXPECT_EQ(fixture.store.schema_version(), 1);
  session.exec(std::string(shared_migrations()[1].up) + ";" + std::string(shared_migrations()[2].up));
  EXPECT_TRUE(claim(4));
  session.exec(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> "
      "pg_backend_pid()");
  // A claim on the session that is just ending is in doubt, and asked again.
  EXPECT_TRUE(hasigner::test::eventually([&] {
    const auto again = fixture.wait(fixture.store.claim(node(), {{duty({.slot = 5}), token(5)}}, in(5s)));
    return again.has_value();
  }));
  EXPECT_EQ(fixture.store.schema_version(), 3);
}

TEST_F(PostgresStoreSession, a_missing_right_is_named) {
  migrate(session);
  session.exec("create role " + database + "_reader login; grant select on all tables in schema public to " + database +
               "_reader");
  StoreFixture fixture(server.url(database, database + "_reader"));
  const auto claimed = fixture.wait(fixture.store.claim(node(), {{duty(), token(1)}}, in(5s)));
  ASSERT_FALSE(claimed);
  EXPECT_EQ(claimed.error().kind, StoreErrorKind::kIncompatible);
  EXPECT_THAT(
      claimed.error().reason,
      HasSubstr(
          "permission denied for table validator_duties; run as the owner of the tables: ha-signer migrate up --grant "
          "ROLE"));
}

class PostgresStoreHistory : public PostgresStoreTest {
 protected:
  std::vector<std::string> slots_of(DutyFilter filter) {
    const auto reply = fixture->wait(fixture->store.duties(std::move(filter), in(20s)));
    if (!reply) throw std::runtime_error(reply.error().reason);
    std::vector<std::string> slots;
    for (const auto& entry : *reply) slots.push_back(entry.slot);
    return slots;
  }
  HistorySnapshot exported() {
    auto reply = fixture->wait(fixture->store.export_history(in(20s)));
    if (!reply) throw std::runtime_error(reply.error().reason);
    return std::move(*reply);
  }
  ImportOutcome import(HistorySnapshot snapshot) {
    auto reply = fixture->wait(fixture->store.import_history(std::move(snapshot), in(20s)));
    if (!reply) throw std::runtime_error(reply.error().reason);
    return std::move(*reply);
  }
  void empty() { session.exec("truncate validator_duties; delete from ha_signer_watermarks"); }
  std::string sessions_that_wait_for_a_lock() {
    return session.exec(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()");
  }
};

TEST_F(PostgresStoreHistory, duties_come_newest_first_and_as_filtered) {
  for (std::uint32_t i = 1; i <= 6; ++i) claim_one(duty({.validator = 1 + i % 2, .slot = i}), token(i));
  claim({{duty({.validator = 3, .slot = 4, .type = DutyType::kGovernanceVote}), token(7)}}, "node-2");
  record_one(duty({.validator = 2, .slot = 5}), token(5));
  session.exec("update validator_duties set validator_address = replace(validator_address, 'ab', 'AB') where slot = 6");
  const auto slot = [](std::uint64_t value) { return Slot::from(value).value(); };

  EXPECT_THAT(slots_of({}), ElementsAre("6", "5", "4", "4", "3", "2", "1"));
  EXPECT_THAT(slots_of({.limit = 2}), ElementsAre("6", "5"));
  EXPECT_THAT(slots_of({.rollup = kRollup, .validator = address(1)}), ElementsAre("6", "4", "2"));
  EXPECT_THAT(slots_of({.rollup = address(9)}), IsEmpty());
  EXPECT_THAT(slots_of({.from_slot = slot(2), .to_slot = slot(3)}), ElementsAre("3", "2"));
  EXPECT_THAT(slots_of({.duty_type = DutyType::kGovernanceVote}), ElementsAre("4"));
  EXPECT_THAT(slots_of({.status = DutyStatus::kSigned}), ElementsAre("5"));
  EXPECT_THAT(slots_of({.from_slot = slot(3), .status = DutyStatus::kSigning}), ElementsAre("6", "4", "4", "3"));
  EXPECT_THAT(slots_of({.validator = address(1), .status = DutyStatus::kSigning, .limit = 2}), ElementsAre("6", "4"));
  EXPECT_THAT(slots_of({.node_id = "node-2"}), ElementsAre("4"));
  EXPECT_THAT(slots_of({.status = DutyStatus::kSigning, .node_id = "node-2"}), ElementsAre("4"));
  EXPECT_THAT(slots_of({.node_id = "node-3"}), IsEmpty());
}

TEST_F(PostgresStoreHistory, what_is_exported_can_be_imported) {
  register_node("node-1", 0x11);
  claim({{duty({.slot = 1}), token(1)}, {duty({.slot = 2}), token(2)}, {duty({.slot = 3}), token(3)}}, "n'\"\\{},ö");
  record_one(duty({.slot = 1}), token(1));
  record_one(duty({.slot = 3}), token(3));
  session.exec("delete from validator_duties where slot = 1");
  session.exec(
      "update validator_duties set message_hash = 'not, a \"hash\\', lock_token = '{}', validator_address = "
      "replace(validator_address, 'ab', 'AB'), expires_at = '2030-01-02 03:04:05.678901' where slot = 3");
  const auto dump = [&] { return session.exec("select * from validator_duties order by slot"); };
  const auto rows = dump();
  const auto snapshot = exported();
  ASSERT_THAT(snapshot.duties, SizeIs(2));
  ASSERT_THAT(snapshot.watermarks, SizeIs(1));

  EXPECT_EQ(import(snapshot).already_there, 2u);
  empty();
  const auto outcome = import(snapshot);
  EXPECT_EQ(outcome.inserted, 2u);
  EXPECT_THAT(outcome.conflicts, IsEmpty());
  EXPECT_EQ(dump(), rows);
  EXPECT_EQ(session.exec("select low_slot, high_slot from ha_signer_watermarks"), "1|");
}

TEST_F(PostgresStoreHistory, an_import_with_a_conflict_imports_nothing) {
  claim_one(duty({.slot = 1}), token(1));
  claim_one(duty({.slot = 2}), token(2));
  auto snapshot = exported();
  snapshot.watermarks.push_back({.rollup = kRollup.to_string(),
                                 .validator = address(1).to_string(),
                                 .duty_type = "ATTESTATION",
                                 .watermarks = {.low = Slot::from(5).value(), .high = {}},
                                 .updated_at = {}});
  const std::string upper_validator = ", validator_address = replace(validator_address, 'ab', 'AB')";
  const std::string upper_rollup = ", rollup_address = replace(rollup_address, 'ab', 'AB')";
  const std::string index = ", block_index_within_checkpoint = 3";
  for (const std::string& there : std::vector<std::string>{"", index, upper_validator, upper_rollup + index}) {
    empty();
    claim_one(duty({.slot = 2}), token(2));
    session.exec("update validator_duties set message_hash = '0x12'" + there);
    const auto outcome = import(snapshot);
    EXPECT_THAT(outcome.conflicts, ElementsAre(HasSubstr("for slot 2 is there with message hash 0x12"))) << there;
    EXPECT_EQ(outcome.inserted, 0u);
    EXPECT_EQ(session.exec("select count(*) from validator_duties"), "1");
    EXPECT_EQ(session.exec("select count(*) from ha_signer_watermarks"), "0");
  }
}

TEST_F(PostgresStoreHistory, what_cannot_be_a_row_or_contradicts_itself_is_reported) {
  claim_one(duty({.slot = 1}), token(1));
  auto snapshot = exported();
  snapshot.duties.push_back(snapshot.duties[0]);
  empty();
  EXPECT_EQ(import(snapshot).already_there, 1u) << "the same duty twice";
  empty();
  snapshot.duties[1].message_hash = "0x12";
  EXPECT_THAT(import(snapshot).conflicts, ElementsAre(HasSubstr("stands twice")));
  snapshot.duties[1].slot = "x";
  EXPECT_THAT(import(snapshot).conflicts, ElementsAre(HasSubstr("slot")));
  EXPECT_EQ(session.exec("select count(*) from validator_duties"), "0");
}

TEST_F(PostgresStoreHistory, what_was_signed_elsewhere_is_signed) {
  claim_one(duty(), token(1));
  record_one(duty(), token(1));
  const auto snapshot = exported();
  empty();
  claim_one(duty(), token(2));
  EXPECT_EQ(import(snapshot).inserted, 1u);
  EXPECT_EQ(session.exec("select status, lock_token from validator_duties"), "signed|" + token(1).str());
  EXPECT_EQ(record_one(duty(), token(2)), RowOutcome::kNotMatched);
}

TEST_F(PostgresStoreHistory, watermarks_are_only_imported_where_they_protect_more) {
  const auto with = [](std::optional<std::uint64_t> low, std::optional<std::uint64_t> high) {
    HistorySnapshot snapshot;
    snapshot.watermarks.push_back(
        {.rollup = kRollup.to_string(), .validator = address(1).to_string(), .duty_type = "ATTESTATION"});
    if (low) snapshot.watermarks[0].watermarks.low = Slot::from(*low).value();
    if (high) snapshot.watermarks[0].watermarks.high = Slot::from(*high).value();
    return snapshot;
  };
  const auto bounds = [&] { return session.exec("select low_slot, high_slot from ha_signer_watermarks"); };
  import(with(5, std::nullopt));
  EXPECT_EQ(bounds(), "5|");
  import(with(4, 100));
  EXPECT_EQ(bounds(), "5|100");
  import(with(6, 101));
  EXPECT_EQ(bounds(), "6|100");
  import(with(std::nullopt, 99));
  EXPECT_EQ(bounds(), "6|99");
}

TEST_F(PostgresStoreHistory, an_import_waits_for_an_attempt_that_comes_in_between) {
  claim_one(duty(), token(1));
  const auto snapshot = exported();
  empty();
  SqlSession other(server.url(database));
  other.exec("begin");
  other.exec(
      "insert into validator_duties (rollup_address, validator_address, slot, block_number, "
      "block_index_within_checkpoint, duty_type, status, message_hash, node_id, lock_token) values ('" +
      kRollup.to_string() + "', '" + address(1).to_string() +
      "', 100, 1, -1, 'ATTESTATION', 'signing', '0x12', 'x', 'y')");
  auto importing = fixture->start(fixture->store.import_history(snapshot, in(20s)));
  ASSERT_TRUE(fixture->work_until([&] { return sessions_that_wait_for_a_lock() == "1"; }));
  other.exec("commit");
  const auto outcome = fixture->wait(std::move(importing));
  ASSERT_TRUE(outcome) << outcome.error().reason;
  EXPECT_THAT(outcome->conflicts, SizeIs(1));
}

TEST_F(PostgresStoreHistory, an_import_brings_a_duty_in_whose_row_was_deleted_in_between) {
  claim_one(duty(), token(1));
  record_one(duty(), token(1));
  const auto snapshot = exported();
  empty();
  claim_one(duty(), token(2));
  SqlSession other(server.url(database));
  other.exec("begin");
  other.exec("delete from validator_duties");
  auto importing = fixture->start(fixture->store.import_history(snapshot, in(20s)));
  ASSERT_TRUE(fixture->work_until([&] { return sessions_that_wait_for_a_lock() == "1"; }));
  other.exec("commit");
  const auto outcome = fixture->wait(std::move(importing));
  ASSERT_TRUE(outcome) << outcome.error().reason;
  EXPECT_EQ(outcome->inserted, 1u);
  EXPECT_EQ(session.exec("select status, lock_token from validator_duties"), "signed|" + token(1).str());
}

TEST_F(PostgresStoreHistory, an_import_raises_watermarks_when_the_attempts_in_flight_have_ended) {
  HistorySnapshot only_watermarks;
  only_watermarks.watermarks.push_back(
      {kRollup.to_string(), address(1).to_string(), "ATTESTATION", {.low = Slot::from(7).value(), .high = {}}, ""});
  SqlSession attempt(server.url(database));
  attempt.exec("begin; update validator_duties set slot = slot");
  const auto refused = fixture->wait(fixture->store.import_history(only_watermarks, in(3s)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kUnavailable);
  EXPECT_EQ(session.exec("select count(*) from ha_signer_watermarks"), "0");
  auto importing = fixture->start(fixture->store.import_history(only_watermarks, in(20s)));
  ASSERT_TRUE(
      fixture->work_until([&] { return session.exec("select count(*) from pg_locks where not granted") == "1"; }));
  // Who wants to write now waits behind it, and sees the watermark then.
  SqlSession later(server.url(database));
  EXPECT_NE(
      later.exec("set lock_timeout = 50; do $$ begin update validator_duties set slot = slot; raise 'not held off'; "
                 "exception when lock_not_available then end $$; select 'held off'"),
      "");
  EXPECT_EQ(session.exec("select count(*) from ha_signer_watermarks"), "0");
  attempt.exec("commit");
  ASSERT_TRUE(fixture->wait(std::move(importing)));
  EXPECT_EQ(session.exec("select low_slot from ha_signer_watermarks"), "7");
}

TEST_F(PostgresStoreHistory, watermarks_are_set_when_the_attempts_in_flight_have_ended) {
  SqlSession attempt(server.url(database));
  attempt.exec("begin; update validator_duties set slot = slot");
  const Watermarks wanted{.low = Slot::from(7).value(), .high = Slot::from(9).value()};
  const WatermarkChange change{.low = wanted.low, .high = wanted.high};
  const auto refused =
      fixture->wait(fixture->store.set_watermarks(kRollup, {{address(1), DutyType::kAttestation}}, change, in(3s)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, StoreErrorKind::kUnavailable);
  EXPECT_THAT(refused.error().reason, HasSubstr("kept validator_duties locked"));
  auto setting =
      fixture->start(fixture->store.set_watermarks(kRollup, {{address(1), DutyType::kAttestation}}, change, in(20s)));
  ASSERT_TRUE(
      fixture->work_until([&] { return session.exec("select count(*) from pg_locks where not granted") == "1"; }));
  attempt.exec("commit");
  ASSERT_TRUE(fixture->wait(std::move(setting)));
  const auto entries = fixture->wait(fixture->store.watermarks(in(20s)));
  ASSERT_TRUE(entries);
  ASSERT_THAT(*entries, SizeIs(1));
  EXPECT_EQ(entries->at(0).watermarks, wanted);
  EXPECT_EQ(entries->at(0).validator, address(1).to_string());
}

}  // namespace
}  // namespace hasigner::postgres::test
