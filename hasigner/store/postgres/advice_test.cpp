#include "hasigner/store/postgres/advice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasigner::postgres {
namespace {

using testing::HasSubstr;

TEST(Advice, has_the_statement_that_grants_a_missing_right) {
  // The messages are those of PostgreSQL 15.
  EXPECT_THAT(advice_about_rights("permission denied for schema public", "ann"),
              HasSubstr("grant usage, create on schema public to ann"));
  EXPECT_THAT(advice_about_rights("permission denied for table schema_version", "ann"),
              HasSubstr("ha-signer migrate up --grant ann"));
  EXPECT_THAT(advice_about_rights("permission denied for table validator_duties; x", "ann"),
              HasSubstr("run as the owner of the tables: ha-signer migrate up --grant ann"));
  EXPECT_THAT(advice_about_rights("permission denied for table ha_signer_nodes", "ann"),
              HasSubstr("run as the owner of the tables: ha-signer migrate up --grant ann"));
  EXPECT_THAT(advice_about_rights("must be owner of table validator_duties", "\"Ann\""),
              HasSubstr("alter table validator_duties owner to \"Ann\""));
  EXPECT_THAT(advice_about_rights("keine Berechtigung", "ann"), HasSubstr("lacks a right"));
  EXPECT_THAT(
      advice_about_rights("permission denied for table pgmigrations", "ann"),
      HasSubstr("connect as that role, or, if only the list of migrations has another owner, run as its owner"));
  EXPECT_THAT(advice_about_rights("permission denied for function ha_signer_claim_signed", "ann"),
              HasSubstr("--grant ann"));
  // No grant gives a signer this one.
  EXPECT_EQ(advice_about_rights("permission denied for function ha_signer_set_watermark", "ann"),
            "watermarks are set by the owner of the tables: connect as that role");
}

TEST(Advice, says_where_hidden_tables_are) {
  EXPECT_EQ(advice_about_hidden_tables("duties"),
            "the table validator_duties is not on the search path, but in schema duties; write "
            "options=-csearch_path%3Dduties into the URL's query, or run: alter role ROLE set search_path = duties");
  EXPECT_THAT(advice_about_hidden_tables("public (no usage)"), HasSubstr("grant usage on schema public to ROLE"));
  EXPECT_THAT(advice_about_hidden_tables("a, b (no usage)"), HasSubstr("in schema a, b (no usage); write"));
}

}  // namespace
}  // namespace hasigner::postgres
