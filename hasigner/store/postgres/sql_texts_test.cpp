#include "hasigner/store/postgres/sql_texts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace hasigner::postgres {
namespace {

constexpr std::array kForms = {BatchForm::kMany, BatchForm::kOne};

TEST(SqlTexts, every_file_is_a_statement_and_every_statement_has_a_file) {
  std::vector<std::string> names;
  for (const SqlTextFile& file : sql_text_files()) names.emplace_back(file.name);
  EXPECT_THAT(sql::SqlTemplates(sql_files()).names(), testing::UnorderedElementsAreArray(names));
}

TEST(SqlTexts, every_statement_begins_with_what_it_does) {
  for (const sql::SqlFile& file : sql_files()) {
    if (file.name.starts_with("fragments/")) continue;
    EXPECT_TRUE(file.text.starts_with("-- ") && file.text[3] >= 'A' && file.text[3] <= 'Z') << file.name;
  }
}

TEST(SqlTexts, every_fragment_is_a_part_of_some_statement) {
  for (const sql::SqlFile& fragment : sql_files()) {
    if (!fragment.name.starts_with("fragments/")) continue;
    const std::string in_braces = "{" + std::string(fragment.name.substr(fragment.name.find('/') + 1)) + "}";
    EXPECT_TRUE(std::ranges::any_of(sql_files(), [&](const sql::SqlFile& file) {
      return file.text.find(in_braces) != std::string_view::npos;
    })) << fragment.name;
  }
}

TEST(SqlTexts, a_statement_is_empty_only_below_the_version_that_it_needs) {
  for (int version = kOldestSchemaVersion; version <= kNewestSchemaVersion; ++version) {
    for (const SqlTextFile& file : sql_text_files()) {
      EXPECT_EQ((sql_texts(version).*file.text).empty(), version < file.since_version) << file.name;
    }
  }
}

TEST(SqlTexts, a_claim_is_known_by_its_beginning) {
  const auto [claim, claim_signed] = beginnings_of_claims();
  EXPECT_THAT(claim, testing::EndsWith("insert into validator_duties"));
  EXPECT_THAT(claim_signed, testing::EndsWith("ha_signer_claim_signed("));
  for (int version = kOldestSchemaVersion; version <= kNewestSchemaVersion; ++version) {
    for (const auto form : kForms) {
      for (const SqlTextFile& file : sql_text_files()) {
        const std::string& text = sql_texts(version, form).*file.text;
        EXPECT_EQ(text.starts_with(claim), file.name == "claim") << file.name;
        EXPECT_EQ(text.starts_with(claim_signed), file.name == "claim_signed") << file.name;
      }
    }
  }
}

}  // namespace
}  // namespace hasigner::postgres
