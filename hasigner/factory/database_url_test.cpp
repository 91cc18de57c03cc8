#include "hasigner/factory/database_url.hpp"

#include <gtest/gtest.h>

namespace hasigner {
namespace {

using Kind = DatabaseUrl::Kind;

TEST(DatabaseUrl, names_the_store_by_its_scheme) {
  EXPECT_EQ(DatabaseUrl::parse("postgresql://u:p@h:5432/db")->kind, Kind::kPostgres);
  EXPECT_EQ(DatabaseUrl::parse("postgres://h/db")->kind, Kind::kPostgres);
  EXPECT_EQ(DatabaseUrl::parse("memory:")->kind, Kind::kMemory);
}

TEST(DatabaseUrl, takes_absolute_and_relative_paths_for_sqlite) {
  EXPECT_EQ(DatabaseUrl::parse("sqlite:/var/lib/signer.db")->path, "/var/lib/signer.db");
  EXPECT_EQ(DatabaseUrl::parse("sqlite:signer.db")->path, "signer.db");
  EXPECT_EQ(DatabaseUrl::parse("sqlite:./a dir/signer.db")->path, "./a dir/signer.db");
  EXPECT_EQ(DatabaseUrl::parse("sqlite:///var/lib/signer.db")->path, "///var/lib/signer.db");
}

TEST(DatabaseUrl, refuses_what_readers_would_take_for_different_files) {
  for (const std::string_view text : {"sqlite:", "sqlite://signer.db", "sqlite::memory:", "sqlite:file:x?mode=ro"}) {
    const auto url = DatabaseUrl::parse(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().value, text);
    EXPECT_NE(url.error().allowed.find("sqlite:/var/lib/signer.db"), std::string::npos);
  }
}

TEST(DatabaseUrl, refuses_other_schemes_without_showing_a_password) {
  for (const std::string_view text : {"mysql://user:hunter2@host/db", "", "signer.db", "postgresql:db", "memory"}) {
    const auto url = DatabaseUrl::parse(text, "--database-url");
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().field, "--database-url");
    EXPECT_EQ(url.error().message().find("hunter2"), std::string::npos) << url.error().message();
  }
}

}  // namespace
}  // namespace hasigner
