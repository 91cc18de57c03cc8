#include "hasigner/store/sql/sql_templates.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace hasigner::sql {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// The statement `s` of these files.
std::string expanded(std::string_view text, const SqlVariant& variant = {}, std::string_view fragment = "") {
  const SqlFile files[] = {{"s", text}, {"fragments/part", fragment}};
  return SqlTemplates(files).statement("s", variant);
}

std::string refusal(std::string_view text, std::string_view fragment = "") {
  try {
    return "no refusal of " + expanded(text, {}, fragment);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

TEST(SqlTemplates, a_statement_is_sent_on_one_line_without_comments) {
  EXPECT_EQ(expanded("-- What it does.\n--\n-- $1 node's id\nselect a, -- why\n       b\n  -- more\nfrom t\n"),
            "select a, b from t");
}

TEST(SqlTemplates, quoted_text_stays_as_it_is) {
  EXPECT_EQ(expanded("select '{part} -- it''s text', \"{part}\" from t"),
            "select '{part} -- it''s text', \"{part}\" from t");
}

TEST(SqlTemplates, a_fragment_takes_the_place_of_its_name) {
  EXPECT_EQ(expanded("select {part} from t where {part}", {}, "-- Why.\n(a\n or b)\n"),
            "select (a or b) from t where (a or b)");
}

TEST(SqlTemplates, parts_depend_on_the_version_of_the_tables) {
  constexpr std::string_view kText = "select a{from v2: , {part}}{from v3: , c}, {below v2: 0}{from v2: d}";
  EXPECT_EQ(expanded(kText, {.schema_version = 1}, "b"), "select a, 0");
  EXPECT_EQ(expanded(kText, {.schema_version = 2}, "b"), "select a, b, d");
  EXPECT_EQ(expanded(kText, {.schema_version = 3}, "b"), "select a, b, c, d");
}

TEST(SqlTemplates, a_batch_is_arrays_or_plain_values) {
  constexpr std::string_view kText = "select from {batch: {part},\n  $2::bigint slot}";
  EXPECT_EQ(expanded(kText, {.form = BatchForm::kMany}, "$1::text rollup"),
            "select from unnest((select $1::text[]), (select $2::bigint[])) with ordinality as k (rollup, slot, ord)");
  EXPECT_EQ(expanded(kText, {.form = BatchForm::kOne}, "$1::text rollup"),
            "select from (select $1::text as rollup, $2::bigint as slot, 1::bigint as ord) as k");
}

TEST(SqlTemplates, parts_depend_on_the_form_of_the_batch) {
  EXPECT_EQ(expanded("select {one: $1}{many: any ($1)}", {.form = BatchForm::kMany}), "select any ($1)");
  EXPECT_EQ(expanded("select {one: $1}{many: any ($1)}", {.form = BatchForm::kOne}), "select $1");
}

TEST(SqlTemplates, people_read_it_with_its_comments_and_line_breaks) {
  const SqlFile files[] = {{"s", "-- What {part} does.\nselect\n  {part}\nfrom t\n"},
                           {"fragments/part", "-- Why.\na,\nb"}};
  EXPECT_EQ(SqlTemplates(files).readable("s"), "-- What {part} does.\nselect\n  a,\n  b\nfrom t");
  EXPECT_THAT(SqlTemplates(files).names(), ElementsAre("s"));
}

TEST(SqlTemplates, what_is_wrong_in_a_file_is_said) {
  EXPECT_EQ(refusal("select {other}"), "the SQL statement s cannot be expanded: there is no fragment other");
  EXPECT_THAT(refusal("select {part"), HasSubstr("a brace is not closed"));
  EXPECT_THAT(refusal("select {part}", "{part}"), HasSubstr("a fragment contains itself"));
  EXPECT_THAT(refusal("select {from 2: a}"), HasSubstr("{from 2: …} is not a known condition"));
  EXPECT_THAT(refusal("select {from vx: a}"), HasSubstr("{from vx: …} is not a known condition"));
  EXPECT_THROW((void)SqlTemplates({}).statement("s"), std::invalid_argument);
}

}  // namespace
}  // namespace hasigner::sql
