#include "hasigner/store/sqlite/statements.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "hasigner/store/sqlite/schema.hpp"

namespace hasigner::sqlite {
namespace {

namespace fs = std::filesystem;

struct StatementsTest : testing::Test {
  StatementsTest() {
    std::string name = (fs::temp_directory_path() / "hasigner-statements-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~StatementsTest() override { fs::remove_all(folder); }

  fs::path folder;
};

TEST_F(StatementsTest, sqlite_takes_every_statement_with_the_tables_that_this_program_makes) {
  const std::string path = (folder / "new.db").string();
  std::ofstream(path).close();
  Connection connection(path);
  bring_up_to_date(connection, path);
  connection.execute(statement("journal_tables").c_str());
  for (const std::string& name : sql::SqlTemplates(sql_files()).names()) {
    Statement prepared(connection, statement(name));
    EXPECT_NO_THROW((void)prepared.start()) << name;
  }
}

TEST_F(StatementsTest, every_statement_begins_with_what_it_does) {
  for (const sql::SqlFile& file : sql_files()) {
    if (file.name.starts_with("fragments/")) continue;
    EXPECT_TRUE(file.text.starts_with("-- ") && file.text[3] >= 'A' && file.text[3] <= 'Z') << file.name;
  }
}

TEST_F(StatementsTest, every_fragment_is_a_part_of_some_statement) {
  for (const sql::SqlFile& fragment : sql_files()) {
    if (!fragment.name.starts_with("fragments/")) continue;
    const std::string in_braces = "{" + std::string(fragment.name.substr(fragment.name.find('/') + 1)) + "}";
    EXPECT_TRUE(std::ranges::any_of(sql_files(), [&](const sql::SqlFile& file) {
      return file.text.find(in_braces) != std::string_view::npos;
    })) << fragment.name;
  }
}

}  // namespace
}  // namespace hasigner::sqlite
