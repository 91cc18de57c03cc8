// schema/postgres/ha_signer.up.sql as other programs meet it: triggers that fire for every client, and rights.

#include "tests/support/postgres_store_fixture.hpp"

namespace hasigner::postgres::test {
namespace {

using testing::HasSubstr;

class OwnSchema : public PostgresStoreTest {
 protected:
  void sign(std::uint64_t slot, std::uint32_t validator = 1) {
    const Duty one = duty({.validator = validator, .slot = slot});
    const LockToken with = token(static_cast<std::uint32_t>(slot));
    claim_one(one, with);
    EXPECT_EQ(record_one(one, with), RowOutcome::kApplied);
  }
  void release_message(std::uint64_t slot) {
    const Duty one = duty({.slot = slot});
    session.exec("insert into ha_signer_released values ('" + one.key.rollup.to_string() + "', '" +
                 one.key.validator.to_string() + "', " + std::to_string(slot) + ", 'ATTESTATION', -1, '" +
                 hash(1).to_string() + "', '" + hash(1).to_string() + "', null, 'serve-1', now(), now())");
  }
  std::string low_slots() {
    return session.exec("select low_slot from ha_signer_watermarks order by validator_address");
  }
  /// What the server says against a statement; an empty text when it is carried out.
  static std::string refusal(SqlSession& by, const std::string& sql) {
    try {
      by.exec(sql);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  }
  SqlSession as_role(const std::string& rights) {
    const std::string role = database + "_role";
    session.exec("create role " + role + " login; " + rights + " to " + role);
    return SqlSession(server.url(database, role));
  }
};

TEST_F(OwnSchema, a_deletion_raises_each_watermark_to_its_highest_slot_and_never_lowers_it) {
  for (const std::uint64_t slot : {100, 105, 103}) sign(slot);
  sign(90, 2);
  session.exec("delete from validator_duties where slot <> 100");
  EXPECT_EQ(low_slots(), "105\n90");
  session.exec("delete from validator_duties");
  EXPECT_EQ(low_slots(), "105\n90");
}

TEST_F(OwnSchema, a_truncated_table_leaves_the_watermarks_of_what_was_signed) {
  sign(100);
  sign(105);
  claim_one(duty({.slot = 110}), token(110));
  session.exec("truncate validator_duties");
  EXPECT_EQ(low_slots(), "105");
}

TEST_F(OwnSchema, a_released_message_that_is_deleted_or_truncated_leaves_a_watermark) {
  release_message(100);
  session.exec("delete from ha_signer_released");
  EXPECT_EQ(low_slots(), "100");
  release_message(101);
  session.exec("truncate ha_signer_released");
  EXPECT_EQ(low_slots(), "101");
}

// A truncate removes rows that such a transaction does not see, and that would leave no watermark.
TEST_F(OwnSchema, a_transaction_with_an_older_snapshot_truncates_nothing) {
  for (const std::string table : {"validator_duties", "ha_signer_released"}) {
    SqlSession other(server.url(database));
    other.exec("begin isolation level repeatable read; select 1");
    sign(100);
    release_message(100);
    EXPECT_THAT(refusal(other, "truncate " + table),
                HasSubstr("can only be truncated in a READ COMMITTED transaction"));
    other.exec("rollback");
    EXPECT_EQ(session.exec("select count(*) from " + table), "1");
    session.exec("delete from validator_duties; delete from ha_signer_released; delete from ha_signer_watermarks");
  }
}

TEST_F(OwnSchema, a_session_that_replays_changes_raises_watermarks_too) {
  sign(100);
  session.exec("set session_replication_role = replica; delete from validator_duties");
  EXPECT_EQ(low_slots(), "100");
  session.exec("set session_replication_role = origin");
  sign(101);
  session.exec("set session_replication_role = replica; truncate validator_duties");
  EXPECT_EQ(low_slots(), "101");
}

TEST_F(OwnSchema, who_may_delete_duties_needs_no_right_on_watermarks) {
  sign(100);
  SqlSession role = as_role("grant select, delete on validator_duties");
  EXPECT_EQ(refusal(role, "delete from validator_duties"), "");
  EXPECT_EQ(low_slots(), "100");
}

TEST_F(OwnSchema, a_role_that_signs_neither_sets_watermarks_nor_holds_writers_off) {
  SqlSession role = as_role("grant select, insert, update, delete on all tables in schema public");
  EXPECT_THAT(refusal(role, "select ha_signer_set_watermark('" + kRollup.to_string() + "', '" + address(1).to_string() +
                                "', 'ATTESTATION', null, null)"),
              HasSubstr("permission denied for function ha_signer_set_watermark"));
  EXPECT_THAT(refusal(role, "select ha_signer_hold_off_writers()"),
              HasSubstr("permission denied for function ha_signer_hold_off_writers"));
}

}  // namespace
}  // namespace hasigner::postgres::test
