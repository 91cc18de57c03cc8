#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <charconv>
#include <filesystem>
#include <fstream>

#include "tests/support/postgres_store_fixture.hpp"

namespace hasigner::postgres::test {
namespace {

using testing::HasSubstr;
using testing::Not;

struct NamedText {
  std::string_view name;
  std::string SqlTexts::*text;
};

/// What attempts wait for. The shape of these alone keeps them on their path, in sessions without settings of ours too.
constexpr NamedText kProtocol[] = {
    {"claim", &SqlTexts::claim},
    {"claim_signed", &SqlTexts::claim_signed},
    {"look", &SqlTexts::look},
    {"take_over", &SqlTexts::take_over},
    {"replace", &SqlTexts::replace},
    {"record", &SqlTexts::record},
    {"release", &SqlTexts::release},
    {"would_take_over", &SqlTexts::would_take_over},
    {"would_replace", &SqlTexts::would_replace},
    {"would_record", &SqlTexts::would_record},
    {"would_release", &SqlTexts::would_release},
    {"confirm_stored", &SqlTexts::confirm_stored},
    {"release_claimed", &SqlTexts::release_claimed},
};

/// Everything else that asks for rows of validator_duties, but the export, which wants them all.
constexpr NamedText kBackground[] = {
    {"remove_abandoned", &SqlTexts::remove_abandoned},
    {"remove_stuck", &SqlTexts::remove_stuck},
    {"remove_old", &SqlTexts::remove_old},
    {"remove_expired", &SqlTexts::remove_expired},
    {"remove_other_rollups", &SqlTexts::remove_other_rollups},
    {"foreign_rows", &SqlTexts::foreign_rows},
    {"count_abandoned", &SqlTexts::count_abandoned},
    {"count_stuck", &SqlTexts::count_stuck},
    {"count_old", &SqlTexts::count_old},
    {"count_expired", &SqlTexts::count_expired},
    {"count_other_rollups", &SqlTexts::count_other_rollups},
    {"duties", &SqlTexts::duties},
    {"duties_being_signed", &SqlTexts::duties_being_signed},
    {"import_conflicts", &SqlTexts::import_conflicts},
    {"import_history", &SqlTexts::import_history},
};

/// A parameter of a type as EXPLAIN EXECUTE takes it; arrays have a thousand elements.
std::string parameter_of_type(const std::string& type) {
  std::string element = type.starts_with("text") ? "x" : type.starts_with("timestamp") ? "2026-01-01" : "1";
  if (!type.ends_with("[]")) return "'" + element + "'";
  std::string array = "'{" + element;
  for (int i = 1; i < 1000; ++i) array += "," + element;
  return array + "}'";
}

constexpr std::array kForms = {BatchForm::kMany, BatchForm::kOne};

class Explain : public PostgresStoreTest {
 protected:
  void fill(int validators, int slots) {
    session.exec("alter table validator_duties set (autovacuum_enabled = off)");
    session.exec(
        "insert into validator_duties (rollup_address, validator_address, slot, block_number, "
        "block_index_within_checkpoint, duty_type, status, message_hash, signature, node_id, lock_token, started_at, "
        "completed_at, expires_at) select '0x' || repeat('ab', 20), '0x' || lpad(to_hex(v), 40, '0'), s, 1, -1, "
        "'ATTESTATION', case when s = " +
        std::to_string(slots) +
        " and v % 10 = 0 then 'signing' else 'signed' end, '0x' || repeat(md5(s || ' ' || v), 2), '0x' || repeat('ef', "
        "65), 'node-' || v % 3, repeat('0', 18) || lpad(to_hex(v), 14, '0'), now() - (" +
        std::to_string(slots) +
        " - s) * interval '72 seconds', now(), now() + interval '30 days' from generate_series(1, " +
        std::to_string(slots) + ") s, generate_series(1, " + std::to_string(validators) + ") v");
  }

  /// The plan of a statement in a session with these settings.
  std::string plan(const std::string& settings, const std::string& text) {
    SqlSession one(server.url(database));
    if (!settings.empty()) one.exec(settings);
    one.exec("prepare statement as " + text);
    std::string types = one.exec("select unnest(parameter_types) from pg_prepared_statements");
    std::string parameters;
    for (std::size_t begin = 0; begin < types.size();) {
      const std::size_t end = std::min(types.find('\n', begin), types.size());
      parameters += (parameters.empty() ? "(" : ", ") + parameter_of_type(types.substr(begin, end - begin));
      begin = end + 1;
    }
    return one.exec("explain execute statement" + (parameters.empty() ? "" : parameters + ")"));
  }

  void expect_no_plan_reads_the_whole_table() {
    for (const auto& [name, text] : kProtocol) {
      for (const auto& settings : {ours, generic, custom}) {
        for (const auto form : kForms) expect_by_index(name, settings, sql_texts(3, form).*text);
      }
    }
    for (const auto& [name, text] : kBackground) expect_by_index(name, ours, sql_texts(3).*text);
    for (const auto& settings : {ours, generic, custom}) expect_claim_signed_by_index(settings);
  }

  /// The plans of all statements within ha_signer_claim_signed(), as the server's log shows them: of one that is
  /// applied, its repetition, and one beside each that is refused.
  std::string plans_within_claim_signed(const std::string& settings) {
    session.exec(
        "insert into ha_signer_nodes (node_id, incarnation, registered_at, heartbeat_at, lease_until) values "
        "('node-1', "
        "repeat('1', 16), now(), now(), now() + interval '1 hour') on conflict do nothing");
    SqlSession one(server.url(database));
    one.exec(
        "load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on; set "
        "auto_explain.log_level = 'log'");
    if (!settings.empty()) one.exec(settings);
    const std::string slot = std::to_string(++last_slot_);
    const auto log = server.folder() / "server.log";
    const auto before = static_cast<std::streamoff>(std::filesystem::file_size(log));
    for (int i = 0; i < 2; ++i) {
      one.exec(
          "select * from ha_signer_claim_signed(array_fill('0x' || repeat('ab', 20), '{2}'), array['0x' || lpad('1', "
          "40, "
          "'0'), '0x' || lpad('2', 40, '0')], array_fill(" +
          slot +
          "::bigint, '{2}'), '{ATTESTATION,ATTESTATION}', '{-1,-1}', '{1,1}', '{1,1}', '{0xaa,0xaa}', "
          "array[repeat('1', "
          "32), repeat('2', 32)], '{0xbb,0xbb}', 'node-1', 1, '1000', 'validator_duties'::regclass::oid, '00000001', "
          "3)");
    }
    std::ifstream written(log);
    written.seekg(before);
    return {std::istreambuf_iterator<char>(written), std::istreambuf_iterator<char>()};
  }

  void expect_claim_signed_by_index(const std::string& settings) {
    const std::string shown = plans_within_claim_signed(settings);
    // Insert, lock, write again, ask, turn back, delete, look: where one is missing, its plan was not seen.
    for (const auto statement :
         {"on conflict do nothing", "for update", "set signature = v.signature", "from beside_key b",
          "set status = 'signing'", "delete from validator_duties v", "d.slot, d.duty_type, false"}) {
      EXPECT_THAT(shown, HasSubstr(statement));
    }
    EXPECT_THAT(shown, HasSubstr("Index Scan using validator_duties_pkey on validator_duties d")) << settings;
    EXPECT_THAT(shown, HasSubstr("ha_signer_upper_case")) << settings;
    EXPECT_THAT(shown, HasSubstr("ha_signer_foreign_index")) << settings;
    EXPECT_THAT(shown, HasSubstr("Tid Scan on validator_duties v")) << settings;
    EXPECT_THAT(shown, HasSubstr("Tid Scan on validator_duties d")) << settings;
    EXPECT_THAT(shown, Not(HasSubstr("Seq Scan on validator_duties"))) << settings << "\n" << shown;
    EXPECT_THAT(shown, Not(HasSubstr("idx_validator_duties"))) << settings << "\n" << shown;
  }

  void expect_by_index(std::string_view name, const std::string& settings, const std::string& text) {
    const std::string shown = plan(settings, text);
    EXPECT_THAT(shown, Not(HasSubstr("Seq Scan on validator_duties"))) << name << "\n" << settings << "\n" << shown;
  }

  /// As the executor sets its sessions up.
  const std::string ours =
      "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set enable_bitmapscan = off; "
      "set "
      "jit = off; set plan_cache_mode = force_generic_plan";
  /// As a session without settings of ours is, such as one of a pool in another language.
  const std::string generic = "set plan_cache_mode = force_generic_plan";
  const std::string custom = "set plan_cache_mode = force_custom_plan";

 private:
  int last_slot_ = 1'000'000;
};

TEST_F(Explain, no_statement_reads_the_whole_of_an_empty_table) {
  expect_no_plan_reads_the_whole_table();
}

/// There the planner knows that the table is empty, and only a session that is set up keeps it from reading all of it.
/// The plan may be kept while the table grows.
TEST_F(Explain, no_statement_of_ours_reads_the_whole_of_a_table_that_was_vacuumed_empty) {
  session.exec("vacuum analyze validator_duties");
  for (const auto& [name, text] : kProtocol) {
    for (const auto form : kForms) expect_by_index(name, ours, sql_texts(3, form).*text);
  }
  for (const auto& [name, text] : kBackground) expect_by_index(name, ours, sql_texts(3).*text);
  expect_claim_signed_by_index(ours);
}

TEST_F(Explain, no_statement_reads_the_whole_of_a_table_just_filled) {
  fill(1000, 100);
  expect_no_plan_reads_the_whole_table();
}

TEST_F(Explain, no_statement_reads_the_whole_of_a_large_table_with_statistics) {
  fill(1000, 100);
  session.exec("vacuum analyze validator_duties");
  expect_no_plan_reads_the_whole_table();
}

/// Statistics may say that nearly everything is signed when much is being signed: going by the status is a trap then.
TEST_F(Explain, no_statement_about_given_duties_goes_through_everything_that_is_being_signed) {
  fill(1000, 100);
  session.exec("update validator_duties set status = 'signed'");
  session.exec("vacuum analyze validator_duties");
  for (const auto& settings : {ours, generic, custom}) {
    for (const auto change : {&SqlTexts::record, &SqlTexts::take_over, &SqlTexts::replace, &SqlTexts::release}) {
      for (const auto form : kForms) {
        const std::string shown = plan(settings, sql_texts(3, form).*change);
        EXPECT_THAT(shown, HasSubstr("Index Scan using validator_duties_pkey on validator_duties d"));
        EXPECT_THAT(shown, HasSubstr("Tid Scan on validator_duties v"));
        EXPECT_THAT(shown, Not(HasSubstr("idx_validator_duties_status"))) << shown;
      }
    }
    expect_claim_signed_by_index(settings);
  }
}

/// A message does not say its slot, so the primary key does not lead to its row.
TEST_F(Explain, a_claimed_message_is_found_by_validator_and_hash) {
  fill(1000, 100);
  for (const std::string status : {"signed", "signing"}) {
    session.exec("update validator_duties set status = '" + status + "'");
    session.exec("vacuum analyze validator_duties");
    for (const auto& settings : {ours, generic, custom}) {
      for (const auto form : kForms) {
        const std::string shown = plan(settings, sql_texts(3, form).release_claimed);
        EXPECT_THAT(shown, HasSubstr("ha_signer_being_signed")) << shown;
        EXPECT_THAT(shown, Not(HasSubstr("idx_validator_duties"))) << shown;
      }
      for (const auto change : {&SqlTexts::record, &SqlTexts::take_over, &SqlTexts::release, &SqlTexts::remove_stuck}) {
        EXPECT_THAT(plan(settings, sql_texts(3).*change), Not(HasSubstr("ha_signer_being_signed")));
      }
      const std::string about = plan(settings, sql_texts(3).about_message);
      EXPECT_THAT(about, HasSubstr("Index Scan using ha_signer_being_signed")) << about;
      EXPECT_THAT(about, HasSubstr("Index Scan Backward using validator_duties_pkey")) << about;
      EXPECT_THAT(about, Not(HasSubstr("Seq Scan on validator_duties"))) << about;
    }
  }
}

TEST_F(Explain, no_claim_that_records_at_once_goes_through_everything_that_was_signed) {
  fill(1000, 100);
  session.exec("update validator_duties set status = 'signing', lock_token = repeat('1', 32) where slot < 90");
  session.exec("vacuum analyze validator_duties");
  for (const auto& settings : {ours, generic, custom}) expect_claim_signed_by_index(settings);
}

TEST_F(Explain, clean_up_finds_what_is_being_signed_without_reading_what_was_signed) {
  fill(1000, 100);
  session.exec("vacuum analyze validator_duties");
  for (const auto removal : {&SqlTexts::remove_abandoned, &SqlTexts::remove_stuck, &SqlTexts::count_stuck}) {
    for (const auto& settings : {ours, generic, custom}) {
      const std::string shown = plan(settings, sql_texts(3).*removal);
      EXPECT_THAT(shown, HasSubstr("idx_validator_duties_status")) << shown;
      EXPECT_THAT(shown, Not(HasSubstr("idx_validator_duties_node"))) << shown;
    }
  }
}

}  // namespace
}  // namespace hasigner::postgres::test
