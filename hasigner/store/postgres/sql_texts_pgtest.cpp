#include <gtest/gtest.h>

#include "tests/support/postgres_store_fixture.hpp"

namespace hasigner::postgres::test {
namespace {

/// On each version of the shared tables.
class SqlTextsOnServer : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Versions, SqlTextsOnServer, testing::Values(1, 2, 3),
                         [](const auto& version) { return "v" + std::to_string(version.param); });

TEST_P(SqlTextsOnServer, what_people_read_is_what_the_server_prepares) {
  PostgresServer& server = PostgresServer::shared();
  SqlSession session(server.url(server.create_database()));
  migrate(session, GetParam());
  session.exec(std::string(migration_list()));
  const sql::SqlTemplates templates(sql_files());
  for (const SqlTextFile& file : sql_text_files()) {
    if (GetParam() < file.since_version) continue;
    for (const auto form : {BatchForm::kMany, BatchForm::kOne}) {
      const auto parameters = [&](const std::string& text) {
        session.exec("prepare statement as " + text);
        const std::string types = session.exec("select parameter_types from pg_prepared_statements");
        session.exec("deallocate statement");
        return types;
      };
      EXPECT_EQ(parameters(templates.readable(file.name, {GetParam(), form})),
                parameters(sql_texts(GetParam(), form).*file.text))
          << file.name;
    }
  }
}

}  // namespace
}  // namespace hasigner::postgres::test
