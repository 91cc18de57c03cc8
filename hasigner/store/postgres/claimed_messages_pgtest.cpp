#include "tests/support/postgres_store_fixture.hpp"

namespace hasigner::postgres::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

const std::vector<DutyType> kMessageTypes{DutyType::kBlockProposal, DutyType::kCheckpointProposal,
                                          DutyType::kAttestation, DutyType::kAttestationsAndSigners};

class ClaimedMessagesTest : public PostgresStoreTest {
 protected:
  explicit ClaimedMessagesTest(int version = kNewestSchemaVersion) : PostgresStoreTest(version) {}

  /// A row as the published package writes it.
  static std::string foreign_row(const Duty& of, const std::string& status = "signing") {
    return "insert into validator_duties (rollup_address, validator_address, slot, block_number, "
           "block_index_within_checkpoint, duty_type, status, message_hash, node_id, lock_token) values ('" +
           of.key.rollup.to_string() + "', '" + of.key.validator.to_string() + "', " + of.key.slot.to_string() +
           ", 1, " + std::to_string(of.key.block_index) + ", '" + std::string(to_string(of.key.duty_type)) + "', '" +
           status + "', '" + of.message_hash.to_string() + "', 'aztec-1', '" + std::string(32, 'f') + "')";
  }
  void foreign_claim(const Duty& of) { session.exec(foreign_row(of)); }
  /// A row that stands although another message of its duty was released: as an attempt of ours leaves it for a moment.
  void claim_unasked(const Duty& of) {
    session.exec("begin; set local ha_signer.asks_released = 'true'; " + foreign_row(of) + "; commit");
  }
  std::string error_of(const std::string& sql) {
    try {
      session.exec(sql);
      return "";
    } catch (const std::exception& error) {
      return error.what();
    }
  }
  void delete_row(const Duty& of) {
    session.exec("delete from validator_duties where slot = " + of.key.slot.to_string() + " and status = 'signing'");
  }

  static ClaimedMessage message(const Duty& of, std::optional<std::uint8_t> fill = 1) {
    return {.key = {of.key.rollup, of.key.validator, of.message_hash, of.message_hash},
            .duty_types = kMessageTypes,
            .slot = std::nullopt,
            .signature = fill ? std::optional(signature(*fill)) : std::nullopt};
  }
  static std::vector<ClaimedOutcome> release(StoreFixture& by, std::vector<ClaimedMessage> messages) {
    return by.outcomes(by.store.release_claimed(node("serve-1"), std::move(messages), in(20s)));
  }
  ClaimedOutcome release_one(ClaimedMessage one) { return release(*fixture, {std::move(one)}).at(0); }
  bool is_released(const ClaimedMessage& one) { return std::holds_alternative<Released>(release_one(one)); }
  bool is_not_claimed(const ClaimedMessage& one) { return std::holds_alternative<NotClaimed>(release_one(one)); }
  bool is_refused(const ClaimedMessage& one) { return std::holds_alternative<SlashingProtection>(release_one(one)); }
};

class ClaimedMessagesInEveryVersion : public ClaimedMessagesTest, public testing::WithParamInterface<int> {
 protected:
  ClaimedMessagesInEveryVersion() : ClaimedMessagesTest(GetParam()) {}
};

INSTANTIATE_TEST_SUITE_P(Versions, ClaimedMessagesInEveryVersion, testing::Values(1, 2, 3));

TEST_P(ClaimedMessagesInEveryVersion, what_a_node_has_claimed_is_released_once_and_again_the_same) {
  EXPECT_TRUE(is_not_claimed(message(duty())));
  foreign_claim(duty());
  for (const std::uint8_t fill : {1, 2}) {
    const auto outcome = release_one(message(duty(), fill));
    ASSERT_TRUE(std::holds_alternative<Released>(outcome));
    EXPECT_EQ(std::get<Released>(outcome).signature, signature(1)) << "the first one stands";
  }
  EXPECT_EQ(session.exec("select slot, duty_type, block_index, message_hash, node_id from ha_signer_released"),
            "100|ATTESTATION|-1|" + hash(0xaa).to_string() + "|serve-1");
}

TEST_F(ClaimedMessagesTest, a_second_message_is_refused_whatever_became_of_the_row) {
  foreign_claim(duty());
  EXPECT_TRUE(is_released(message(duty())));
  delete_row(duty());
  EXPECT_TRUE(is_not_claimed(message(duty()))) << "the request outlives its row";
  const Duty other = duty({.hash = 0xbb});
  claim_unasked(other);
  const auto outcome = release_one(message(other));
  ASSERT_TRUE(std::holds_alternative<SlashingProtection>(outcome));
  EXPECT_EQ(std::get<SlashingProtection>(outcome).existing_hash, hash(0xaa).to_string());
  EXPECT_EQ(std::get<SlashingProtection>(outcome).signed_by, "serve-1");
  EXPECT_EQ(std::get<SlashingProtection>(outcome).duty, duty().key);
  delete_row(other);
  foreign_claim(duty());
  EXPECT_TRUE(is_released(message(duty()))) << "the same message may be asked for again";
}

TEST_F(ClaimedMessagesTest, only_a_row_signing_of_this_validator_rollup_type_and_slot_counts) {
  foreign_claim(duty());
  auto wrong = message(duty());
  wrong.key.validator = address(2);
  EXPECT_TRUE(is_not_claimed(wrong));
  wrong = message(duty());
  wrong.key.rollup = address(3);
  EXPECT_TRUE(is_not_claimed(wrong));
  wrong = message(duty());
  wrong.duty_types = {DutyType::kCheckpointProposal, DutyType::kGovernanceVote};
  EXPECT_TRUE(is_not_claimed(wrong));
  wrong = message(duty());
  wrong.slot = Slot::from(101).value();
  EXPECT_TRUE(is_not_claimed(wrong));
  wrong.slot = Slot::from(100).value();
  EXPECT_TRUE(is_released(wrong));
  session.exec("update validator_duties set status = 'signed', signature = '0x' || repeat('01', 65)");
  EXPECT_TRUE(is_not_claimed(message(duty())));
}

// The collation keeps the planner off every other index, and the lookup works on the text as published nodes write it.
TEST_F(ClaimedMessagesTest, rows_in_upper_case_or_under_a_foreign_block_index_count_for_nothing) {
  foreign_claim(duty());
  session.exec("update validator_duties set validator_address = '0x' || upper(substr(validator_address, 3))");
  EXPECT_TRUE(is_not_claimed(message(duty())));
  session.exec("delete from validator_duties");
  Duty indexed = duty();
  indexed.key.block_index = 0;
  foreign_claim(indexed);
  EXPECT_TRUE(is_not_claimed(message(indexed)));
  session.exec("delete from validator_duties");
  foreign_claim(duty({.type = DutyType::kBlockProposal, .block_index = -1}));
  EXPECT_TRUE(is_not_claimed(message(duty())));
}

TEST_F(ClaimedMessagesTest, other_data_under_another_letter_case_or_block_index_refuses) {
  for (const bool upper_case : {true, false}) {
    session.exec("delete from validator_duties");
    Duty other = duty({.hash = 0xbb});
    if (!upper_case) other.key.block_index = 0;
    foreign_claim(other);
    if (upper_case)
      session.exec("update validator_duties set validator_address = '0x' || upper(substr(validator_address, 3))");
    foreign_claim(duty());
    EXPECT_TRUE(is_refused(message(duty()))) << upper_case;
  }
  EXPECT_EQ(session.exec("select count(*) from ha_signer_released"), "0");
}

TEST_F(ClaimedMessagesTest, watermarks_hold) {
  foreign_claim(duty());
  session.exec("select ha_signer_set_watermark('" + kRollup.to_string() + "', '" + address(1).to_string() +
               "', 'ATTESTATION', 100, null)");
  const auto low = release_one(message(duty()));
  ASSERT_TRUE(std::holds_alternative<OutsideWatermark>(low));
  EXPECT_EQ(std::get<OutsideWatermark>(low).bound, OutsideWatermark::Bound::kLow);
  session.exec("select ha_signer_set_watermark('" + kRollup.to_string() + "', '" + address(1).to_string() +
               "', 'ATTESTATION', 50, 99)");
  const auto high = release_one(message(duty()));
  ASSERT_TRUE(std::holds_alternative<OutsideWatermark>(high));
  EXPECT_EQ(std::get<OutsideWatermark>(high).bound, OutsideWatermark::Bound::kHigh);
}

TEST_F(ClaimedMessagesTest, watermarks_of_every_validator_hold_also_when_they_are_raised_meanwhile) {
  const auto forbid =
      "select ha_signer_set_watermark('" + kRollup.to_string() + "', 'every', 'ATTESTATION', 100, null)";
  foreign_claim(duty());
  session.exec(forbid);
  const auto low = release_one(message(duty()));
  ASSERT_TRUE(std::holds_alternative<OutsideWatermark>(low));
  EXPECT_EQ(std::get<OutsideWatermark>(low).bound, OutsideWatermark::Bound::kLow);
  // The trigger asks by a later snapshot than the statement.
  EXPECT_THAT(error_of("insert into ha_signer_released values ('" + kRollup.to_string() + "', '" +
                       address(1).to_string() + "', 100, 'ATTESTATION', -1, '" + hash(0xaa).to_string() + "', '" +
                       hash(0xaa).to_string() + "', null, 'node-1', now(), now())"),
              HasSubstr("a watermark has been raised meanwhile"));
}

// A message does not say its slot, so a node may claim it twice. It then belongs to both duties.
TEST_F(ClaimedMessagesTest, a_message_claimed_for_several_duties_is_the_one_of_all_of_them_or_of_none) {
  for (const std::uint64_t slot : {100, 101}) foreign_claim(duty({.slot = slot}));
  EXPECT_TRUE(is_released(message(duty())));
  EXPECT_EQ(session.exec("select count(*) from ha_signer_released"), "2");
  session.exec("delete from validator_duties");
  for (const std::uint64_t slot : {101, 102}) claim_unasked(duty({.slot = slot, .hash = 0xbb}));
  EXPECT_TRUE(is_refused(message(duty({.hash = 0xbb}))));
}

TEST_F(ClaimedMessagesTest, a_message_that_one_of_its_duties_refuses_is_written_for_none) {
  for (const std::uint64_t slot : {100, 101}) foreign_claim(duty({.slot = slot}));
  session.exec("select ha_signer_set_watermark('" + kRollup.to_string() + "', '" + address(1).to_string() +
               "', 'ATTESTATION', 100, null)");
  EXPECT_TRUE(std::holds_alternative<OutsideWatermark>(release_one(message(duty()))));
  EXPECT_EQ(session.exec("select count(*) from ha_signer_released"), "0");
}

TEST_F(ClaimedMessagesTest, an_import_of_other_data_for_a_released_duty_is_a_conflict) {
  foreign_claim(duty({.hash = 0xbb}));
  const auto other = fixture->wait(fixture->store.export_history(in(20s)));
  ASSERT_TRUE(other) << other.error().reason;
  session.exec("delete from validator_duties");
  foreign_claim(duty());
  EXPECT_TRUE(is_released(message(duty())));
  session.exec("delete from validator_duties");
  const auto imported = fixture->wait(fixture->store.import_history(*other, in(20s)));
  ASSERT_TRUE(imported) << imported.error().reason;
  EXPECT_THAT(imported->conflicts, testing::ElementsAre(testing::HasSubstr(hash(0xaa).to_string())));
  EXPECT_EQ(session.exec("select count(*) from validator_duties"), "0");
}

TEST_F(ClaimedMessagesTest, another_message_leaves_no_signature_in_a_reservation) {
  foreign_claim(duty());
  ASSERT_TRUE(is_released(message(duty(), std::nullopt)));
  delete_row(duty());
  const Duty other = duty({.hash = 0xbb});
  claim_unasked(other);
  EXPECT_TRUE(is_refused(message(other, 2)));
  EXPECT_EQ(session.exec("select signature is null from ha_signer_released"), "t");
  delete_row(other);
  foreign_claim(duty());
  EXPECT_EQ(std::get<Released>(release_one(message(duty()))).signature, signature(1));
}

TEST_F(ClaimedMessagesTest, a_message_is_reserved_before_a_remote_signer_is_asked) {
  foreign_claim(duty());
  const auto reserved = release_one(message(duty(), std::nullopt));
  ASSERT_TRUE(std::holds_alternative<Released>(reserved));
  EXPECT_FALSE(std::get<Released>(reserved).signature);
  for (const std::uint8_t fill : {1, 2}) {
    const auto outcome = release_one(message(duty(), fill));
    EXPECT_EQ(std::get<Released>(outcome).signature, signature(1));
  }
}

// eth_sign and typed data of the same 32 bytes are two messages.
TEST_F(ClaimedMessagesTest, the_same_hash_signed_in_another_way_is_another_message) {
  foreign_claim(duty());
  auto prefixed = message(duty());
  prefixed.key.digest = hash(0xcc);
  const auto outcomes = release(*fixture, {prefixed, message(duty())});
  EXPECT_TRUE(std::holds_alternative<Released>(outcomes[0]));
  EXPECT_FALSE(std::holds_alternative<Released>(outcomes[1]));
  EXPECT_TRUE(is_refused(message(duty())));
  EXPECT_TRUE(is_released(prefixed));
}

TEST_F(ClaimedMessagesTest, of_two_services_the_one_that_writes_first_decides) {
  foreign_claim(duty());
  SqlSession first(server.url(database));
  first.exec(
      "begin; insert into ha_signer_released select rollup_address, validator_address, slot, duty_type, -1, '0xother', "
      "'0xother', null, 'serve-2', now(), now() from validator_duties");
  auto second = fixture->start(fixture->store.release_claimed(node("serve-1"), {message(duty())}, in(20s)));
  ASSERT_TRUE(
      fixture->work_until([&] { return session.exec("select count(*) from pg_locks where not granted") != "0"; }));
  first.exec("commit");
  const auto outcome = fixture->wait(std::move(second));
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(std::holds_alternative<ClaimLocked>(outcome->at(0)));
  EXPECT_TRUE(is_refused(message(duty())));
}

TEST_F(ClaimedMessagesTest, a_row_that_is_just_being_deleted_is_not_signed_for) {
  foreign_claim(duty());
  SqlSession deleting(server.url(database));
  deleting.exec("begin; delete from validator_duties");
  EXPECT_TRUE(std::holds_alternative<ClaimLocked>(release_one(message(duty()))));
  deleting.exec("rollback");
  EXPECT_TRUE(is_released(message(duty())));
}

// The row stays until the release has committed, so what is claimed afterwards sees what was released.
TEST_F(ClaimedMessagesTest, a_deletion_waits_for_the_release) {
  foreign_claim(duty());
  SqlSession holding(server.url(database));
  holding.exec(
      "begin; insert into ha_signer_released select rollup_address, validator_address, slot, duty_type, -1, "
      "message_hash, message_hash, null, 'serve-2', now(), now() from validator_duties");
  auto release = fixture->start(fixture->store.release_claimed(node("serve-1"), {message(duty())}, in(20s)));
  const auto waits = [&] { return session.exec("select count(*) from pg_locks where not granted") != "0"; };
  ASSERT_TRUE(fixture->work_until(waits));
  session.exec("set lock_timeout = '50ms'");
  EXPECT_ANY_THROW(session.exec("delete from validator_duties"));
  holding.exec("rollback");
  const auto outcome = fixture->wait(std::move(release));
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(std::holds_alternative<Released>(outcome->at(0)));
}

TEST_F(ClaimedMessagesTest, attempts_of_this_program_sign_nothing_else) {
  ASSERT_TRUE(register_node("node-1", 0x11));
  foreign_claim(duty());
  EXPECT_TRUE(is_released(message(duty())));
  delete_row(duty());
  const Duty other = duty({.hash = 0xbb});
  const auto claimed = claim_signed({{other, token(1), signature(2)}}).at(0);
  EXPECT_EQ(claimed.outcome, RowOutcome::kNotMatched);
  ASSERT_TRUE(claimed.view.released);
  EXPECT_EQ(claimed.view.released->message_hash, hash(0xaa));
  EXPECT_EQ(claimed.view.released->node_id, "serve-1");
  EXPECT_FALSE(claimed.view.row);

  const auto view = claim_one(other, token(2)).view;
  EXPECT_TRUE(view.released);
  EXPECT_TRUE(view.row) << "the attempt takes it back";
  EXPECT_EQ(record_one(other, token(2)), RowOutcome::kNotMatched);
  delete_row(other);
  EXPECT_EQ(claim_signed({{duty(), token(3), signature(2)}}).at(0).outcome, RowOutcome::kApplied);
}

// A row of an attempt whose lease has run out may get other data. Only the record finds what was released meanwhile.
TEST_F(ClaimedMessagesTest, a_replacement_of_a_row_that_was_signed_for_is_not_recorded) {
  ASSERT_TRUE(register_node("node-1", 0x11, 60s));
  claim_one(duty(), token(1));
  EXPECT_TRUE(is_released(message(duty())));
  session.exec("update ha_signer_nodes set lease_until = now() - interval '1 second'");
  const Duty other = duty({.hash = 0xbb});
  EXPECT_EQ(take_over_one({TakeoverKind::kReplace, other, token(1), token(2, 0x22)}), RowOutcome::kApplied);
  EXPECT_EQ(record_one(other, token(2, 0x22)), RowOutcome::kNotMatched);
}

// Programs that do not ask what was released: older ones of this project, and published nodes.
TEST_P(ClaimedMessagesInEveryVersion, who_does_not_ask_cannot_give_the_duty_another_message) {
  foreign_claim(duty());
  EXPECT_TRUE(is_released(message(duty())));
  session.exec("update validator_duties set status = 'signed', signature = '" + signature(1).to_string() + "'");
  session.exec("delete from validator_duties; delete from ha_signer_watermarks");
  const Duty other = duty({.hash = 0xbb});
  for (const std::string status : {"signing", "signed"}) {
    const auto error = error_of(foreign_row(other, status));
    EXPECT_THAT(error, HasSubstr("a signature of another message has been released for ATTESTATION of validator " +
                                 address(1).to_string() + " at slot 100"));
    EXPECT_THAT(error, HasSubstr("Released: " + hash(0xaa).to_string() + ", by ha-signer node serve-1"));
  }
  Duty indexed = other;
  indexed.key.block_index = 0;
  EXPECT_THAT(error_of(foreign_row(indexed)), HasSubstr("another message")) << "the same duty";
  std::string upper = foreign_row(other);
  upper.replace(upper.find("0xab"), 4, "0xAB");
  EXPECT_THAT(error_of(upper), HasSubstr("another message")) << "the same validator";
  foreign_claim(duty());
  foreign_claim(duty({.slot = 101, .hash = 0xbb}));
  const std::string of_duty = " where slot = 100";
  EXPECT_THAT(error_of("update validator_duties set message_hash = '" + hash(0xbb).to_string() + "'" + of_duty),
              HasSubstr("another message"))
      << "a replacement";
  session.exec("delete from validator_duties");
  claim_unasked(other);
  EXPECT_THAT(error_of("update validator_duties set lock_token = '" + std::string(32, 'e') + "'" + of_duty),
              HasSubstr("another message"))
      << "a takeover";
  EXPECT_THAT(error_of("update validator_duties set status = 'signed', signature = '0x' || repeat('02', 65)" + of_duty),
              HasSubstr("another message"))
      << "a record";
}

TEST_F(ClaimedMessagesTest, who_does_not_ask_records_a_prefixed_message_only_with_the_released_signature) {
  foreign_claim(duty());
  auto prefixed = message(duty());
  prefixed.key.digest = hash(0xcc);
  EXPECT_TRUE(is_released(prefixed));
  const auto record = [&](std::uint8_t fill) {
    return error_of("update validator_duties set status = 'signed', signature = '" + signature(fill).to_string() + "'");
  };
  EXPECT_THAT(record(2), HasSubstr("another message"));
  EXPECT_EQ(record(1), "");
}

// Its snapshot is older than the release; the trigger's is not.
TEST_F(ClaimedMessagesTest, an_insert_that_began_before_the_release_fails_too) {
  foreign_claim(duty());
  session.exec("select pg_advisory_lock(4711)");
  SqlSession late(server.url(database));
  std::string insert = foreign_row(duty({.hash = 0xbb}));
  insert.replace(insert.find(") values ("), std::string(") values (").size(), ") select ");
  insert.back() = ' ';
  auto inserted = std::async(std::launch::async, [&]() -> std::string {
    try {
      late.exec(insert + "from (select pg_advisory_lock(4711) offset 0) l");
      return "";
    } catch (const std::exception& error) {
      return error.what();
    }
  });
  ASSERT_TRUE(
      fixture->work_until([&] { return session.exec("select count(*) from pg_locks where not granted") != "0"; }));
  EXPECT_TRUE(is_released(message(duty())));
  delete_row(duty());
  session.exec("select pg_advisory_unlock(4711)");
  EXPECT_THAT(inserted.get(), HasSubstr("another message"));
}

TEST_F(ClaimedMessagesTest, what_is_refused_for_one_duty_of_a_batch_does_not_refuse_the_others) {
  ASSERT_TRUE(register_node("node-1", 0x11));
  foreign_claim(duty());
  EXPECT_TRUE(is_released(message(duty())));
  delete_row(duty());
  const Duty refused = duty({.hash = 0xbb}), other = duty({.slot = 101, .hash = 0xbb});
  const auto claimed = claim({{refused, token(1)}, {other, token(2)}});
  EXPECT_TRUE(claimed.at(0).view.released);
  EXPECT_FALSE(claimed.at(1).view.released);
  EXPECT_EQ(record_one(refused, token(1)), RowOutcome::kNotMatched);
  EXPECT_EQ(record_one(other, token(2)), RowOutcome::kApplied);
}

TEST_F(ClaimedMessagesTest, an_attempt_with_the_released_hash_is_recorded_only_with_the_released_signature) {
  ASSERT_TRUE(register_node("node-1", 0x11));
  foreign_claim(duty());
  auto prefixed = message(duty(), 2);
  prefixed.key.digest = hash(0xcc);
  EXPECT_TRUE(is_released(prefixed));
  delete_row(duty());
  for (const std::uint8_t fill : {0xaa, 0xcc}) {
    const Duty attempt = duty({.hash = fill});
    const auto outcome = claim_signed({{attempt, token(fill), signature(3)}}).at(0);
    EXPECT_EQ(outcome.outcome, RowOutcome::kNotMatched);
    ASSERT_TRUE(outcome.view.released);
    EXPECT_EQ(outcome.view.released->digest, hash(0xcc));
    EXPECT_EQ(outcome.view.released->signature, signature(2));
    claim_one(attempt, token(fill));
    EXPECT_EQ(record_one(attempt, token(fill), 3), RowOutcome::kNotMatched);
    EXPECT_EQ(record_one(attempt, token(fill), 2), RowOutcome::kApplied);
    const auto confirmed = [&](std::uint8_t signature_fill) -> bool {
      return fixture->outcomes(fixture->store.confirm_stored(
          node("node-1"), {{attempt.key, attempt.message_hash, signature(signature_fill)}}, in(20s)))[0];
    };
    EXPECT_TRUE(confirmed(2));
    session.exec("set ha_signer.asks_released = 'true'; update validator_duties set signature = '" +
                 signature(3).to_string() + "'; reset ha_signer.asks_released");
    EXPECT_FALSE(confirmed(3));
    session.exec("delete from validator_duties; delete from ha_signer_watermarks");
    EXPECT_EQ(claim_signed({{attempt, token(fill + 100U), signature(2)}}).at(0).outcome, RowOutcome::kApplied);
    session.exec("delete from validator_duties; delete from ha_signer_watermarks");
  }
}

TEST_F(ClaimedMessagesTest, nothing_is_signed_once_the_table_was_dropped_and_made_again) {
  ASSERT_TRUE(register_node("node-1", 0x11));
  foreign_claim(duty());
  EXPECT_TRUE(is_released(message(duty())));
  claim_one(duty({.slot = 101}), token(1));
  session.exec("drop table ha_signer_released; begin;" + std::string(own_schema()) + ";commit");
  EXPECT_FALSE(is_released(message(duty())));
  EXPECT_EQ(session.exec("select count(*) from ha_signer_released"), "0");
  EXPECT_EQ(record_one(duty({.slot = 101}), token(1)), RowOutcome::kNotMatched);
  EXPECT_EQ(claim_signed({{duty({.slot = 102}), token(2), signature(2)}}).at(0).outcome, RowOutcome::kNotMatched);
  session.exec("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = '" +
               database + "'");
  std::optional<StoreError> refused;
  const auto asked_in_a_new_session = [&] {
    const auto claimed = fixture->wait(fixture->store.claim(node(), {{duty({.slot = 103}), token(3)}}, in(2s)));
    if (!claimed) refused = claimed.error();
    return refused && refused->kind == StoreErrorKind::kIncompatible;
  };
  ASSERT_TRUE(fixture->work_until(asked_in_a_new_session));
  EXPECT_THAT(refused->reason, HasSubstr("ha_signer_released was dropped and made again"));
}

TEST_F(ClaimedMessagesTest, nothing_is_forgotten_while_published_nodes_sign_since_they_obey_no_watermark) {
  foreign_claim(duty());
  EXPECT_TRUE(is_released(message(duty())));
  delete_row(duty());
  foreign_claim(duty({.slot = 101}));
  session.exec("update ha_signer_released set released_at = now() - interval '2 hours'");
  EXPECT_TRUE(remove(Removal::kReleased, 1h).refused_for_foreign_nodes);
  EXPECT_EQ(session.exec("select count(*) from ha_signer_released"), "1");
}

TEST_F(ClaimedMessagesTest, what_is_forgotten_raises_the_low_watermark) {
  const auto low = [&] { return session.exec("select max(low_slot) from ha_signer_watermarks"); };
  for (const std::uint64_t slot : {100, 101, 102}) {
    foreign_claim(duty({.slot = slot}));
    EXPECT_TRUE(is_released(message(duty({.slot = slot}))));
    delete_row(duty({.slot = slot}));
  }
  session.exec("update ha_signer_released set released_at = now() - interval '2 hours' where slot < 102");
  EXPECT_EQ(low(), "");
  EXPECT_EQ(remove(Removal::kReleased, 1h, 1).removed, 1u);
  EXPECT_EQ(low(), "100");
  EXPECT_EQ(remove(Removal::kReleased, 1h).removed, 1u);
  EXPECT_EQ(low(), "101");
  EXPECT_EQ(session.exec("select count(*) from ha_signer_released"), "1");
  foreign_claim(duty({.slot = 101, .hash = 0xbb}));
  EXPECT_TRUE(std::holds_alternative<OutsideWatermark>(release_one(message(duty({.slot = 101, .hash = 0xbb})))));
  session.exec("truncate ha_signer_released");
  EXPECT_EQ(low(), "102");
}

// The insert waits for the deletion, and so comes later than the watermark that it raised.
TEST_F(ClaimedMessagesTest, what_is_forgotten_while_another_message_waits_still_refuses_it) {
  foreign_claim(duty());
  EXPECT_TRUE(is_released(message(duty())));
  delete_row(duty());
  const Duty other = duty({.hash = 0xbb});
  claim_unasked(other);
  SqlSession forgetting(server.url(database));
  forgetting.exec("begin; delete from ha_signer_released");
  auto release = fixture->start(fixture->store.release_claimed(node("serve-1"), {message(other)}, in(20s)));
  ASSERT_TRUE(
      fixture->work_until([&] { return session.exec("select count(*) from pg_locks where not granted") != "0"; }));
  forgetting.exec("commit");
  const auto outcome = fixture->wait(std::move(release));
  ASSERT_TRUE(outcome);
  EXPECT_FALSE(std::holds_alternative<Released>(outcome->at(0)));
  EXPECT_TRUE(std::holds_alternative<OutsideWatermark>(release_one(message(other))));
  EXPECT_EQ(session.exec("select count(*) from ha_signer_released"), "0");
}

TEST_F(ClaimedMessagesTest, an_export_has_what_was_released_also_where_no_row_is_left) {
  for (const std::uint64_t slot : {100, 101, 102}) {
    foreign_claim(duty({.slot = slot}));
    EXPECT_TRUE(
        is_released(message(duty({.slot = slot}), slot == 102 ? std::nullopt : std::optional<std::uint8_t>(1))));
  }
  session.exec("delete from validator_duties where slot > 100");
  claim_unasked(duty({.slot = 101, .hash = 0xbb}));
  const auto exported = fixture->wait(fixture->store.export_history(in(20s)));
  ASSERT_TRUE(exported) << exported.error().reason;
  std::vector<std::string> found;
  for (const auto& entry : exported->duties)
    found.push_back(entry.slot + " " + entry.status + " " + entry.message_hash);
  EXPECT_THAT(found, testing::UnorderedElementsAre("100 signing " + hash(0xaa).to_string(),
                                                   "101 signed " + hash(0xaa).to_string(),
                                                   "102 signing " + hash(0xaa).to_string()));
}

TEST_F(ClaimedMessagesTest, a_table_that_was_made_anew_releases_nothing) {
  foreign_claim(duty());
  EXPECT_TRUE(is_released(message(duty())));
  session.exec(
      "create table anew (like validator_duties including all); insert into anew select * from validator_duties; "
      "drop table validator_duties; alter table anew rename to validator_duties; begin;" +
      std::string(own_schema()) + ";commit");
  EXPECT_FALSE(is_released(message(duty())));
}

TEST_F(ClaimedMessagesTest, setting_a_watermark_waits_for_a_release) {
  foreign_claim(duty());
  SqlSession setting(server.url(database));
  setting.exec("begin");
  setting.exec("select ha_signer_set_watermark('" + kRollup.to_string() + "', '" + address(1).to_string() +
               "', 'ATTESTATION', 100, null)");
  auto release = fixture->start(fixture->store.release_claimed(node("serve-1"), {message(duty())}, in(20s)));
  ASSERT_TRUE(
      fixture->work_until([&] { return session.exec("select count(*) from pg_locks where not granted") != "0"; }));
  setting.exec("commit");
  const auto outcome = fixture->wait(std::move(release));
  ASSERT_TRUE(outcome);
  EXPECT_FALSE(std::holds_alternative<Released>(outcome->at(0)));
  EXPECT_TRUE(std::holds_alternative<OutsideWatermark>(release_one(message(duty()))));
}

TEST_F(ClaimedMessagesTest, a_stored_signature_is_not_confirmed_beside_another_message_that_was_released) {
  claim_one(duty(), token(1));
  register_node("node-1", 0x11);
  record_one(duty(), token(1));
  const auto confirm = [&]() -> bool {
    return fixture
        ->outcomes(fixture->store.confirm_stored(node(), {{duty().key, duty().message_hash, signature(1)}}, in(20s)))
        .at(0);
  };
  EXPECT_TRUE(confirm());
  session.exec("insert into ha_signer_released values ('" + kRollup.to_string() + "', '" + address(1).to_string() +
               "', 100, 'ATTESTATION', -1, '" + hash(0xbb).to_string() + "', '" + hash(0xbb).to_string() +
               "', null, 'serve-1', now(), now())");
  EXPECT_FALSE(confirm());
}

TEST_F(ClaimedMessagesTest, a_thousand_duties_are_one_statement) {
  std::vector<ClaimedMessage> messages;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    foreign_claim(duty({.validator = i}));
    messages.push_back(message(duty({.validator = i})));
  }
  for (const auto& outcome : release(*fixture, messages)) EXPECT_TRUE(std::holds_alternative<Released>(outcome));
}

TEST_P(ClaimedMessagesInEveryVersion, what_there_is_about_a_message_is_found_however_it_is_written) {
  const auto about = [&](ClaimedMessage one) {
    std::vector<std::string> found;
    const auto reply = fixture->wait(fixture->store.about_message(std::move(one), in(20s)));
    if (!reply) throw std::runtime_error(reply.error().reason);
    for (const auto& duty : *reply) {
      const auto* const what = duty.what == FoundDuty::What::kRow        ? "row"
                               : duty.what == FoundDuty::What::kReleased ? "released"
                                                                         : "instead";
      found.push_back(what + (" " + duty.slot + " " + duty.duty_type + " " + duty.status + " " + duty.node_id));
    }
    return found;
  };
  EXPECT_THAT(about(message(duty())), IsEmpty());
  foreign_claim(duty({.slot = 99, .hash = 0xbb}));
  EXPECT_THAT(about(message(duty())), ElementsAre("instead 99 ATTESTATION signing aztec-1"));
  auto of_slot = message(duty());
  of_slot.slot = Slot::from(100).value();
  EXPECT_THAT(about(of_slot), IsEmpty()) << "nothing stands at its slot";
  foreign_claim(duty());
  EXPECT_TRUE(is_released(message(duty())));
  EXPECT_THAT(about(message(duty())),
              ElementsAre("row 100 ATTESTATION signing aztec-1", "released 100 ATTESTATION released serve-1",
                          "instead 99 ATTESTATION signing aztec-1"));
  for (const auto& change : std::vector<std::string>{
           "validator_address = '0x' || upper(substr(validator_address, 3))",
           "rollup_address = '0x' || repeat('7', 40)", "rollup_address = '0x' || repeat('A', 40)",
           "duty_type = 'CHECKPOINT_PROPOSAL'", "status = 'signed', signature = '" + signature(1).to_string() + "'"}) {
    session.exec("begin; update validator_duties set " + change + " where slot = 100");
    session.exec("commit");
    EXPECT_THAT(about(message(duty())), Contains(StartsWith("row 100"))) << change;
    session.exec("delete from validator_duties where slot = 100; delete from ha_signer_watermarks");
    foreign_claim(duty());
  }
}

TEST(OlderDatabase, without_the_table_is_refused_with_the_command_that_adds_it) {
  auto& server = PostgresServer::shared();
  const auto database = server.create_database();
  SqlSession session(server.url(database));
  migrate(session);
  session.exec("drop table ha_signer_released");
  StoreFixture fixture(server.url(database));
  const auto opened = fixture.wait(fixture.store.initialize(in(20s)));
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().reason, HasSubstr("ha_signer_released"));
  EXPECT_THAT(opened.error().reason, HasSubstr("ha-signer migrate up"));
}

}  // namespace
}  // namespace hasigner::postgres::test
