#include "hasigner/store/sqlite/schema.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <functional>

namespace hasigner::sqlite {
namespace {

namespace fs = std::filesystem;

/// Does `act` when the connection is about to run its n-th statement, counted from 0.
class BeforeStatement {
 public:
  BeforeStatement(Connection& connection, int number, std::function<void()> act)
      : connection_(connection), number_(number), act_(std::move(act)) {
    sqlite3_trace_v2(connection_.handle(), SQLITE_TRACE_STMT, &BeforeStatement::on_statement, this);
  }
  ~BeforeStatement() { sqlite3_trace_v2(connection_.handle(), 0, nullptr, nullptr); }
  BeforeStatement(const BeforeStatement&) = delete;
  BeforeStatement& operator=(const BeforeStatement&) = delete;

  [[nodiscard]] bool has_acted() const { return count_ > number_; }

 private:
  static int on_statement(unsigned, void* self, void*, void*) {
    auto& hook = *static_cast<BeforeStatement*>(self);
    if (hook.count_++ == hook.number_) hook.act_();
    return 0;
  }

  Connection& connection_;
  int number_;
  int count_ = 0;
  std::function<void()> act_;
};

struct SchemaTest : testing::Test {
  SchemaTest() {
    std::string name = (fs::temp_directory_path() / "hasigner-schema-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~SchemaTest() override { fs::remove_all(folder); }

  fs::path new_file() {
    const fs::path path = folder / (std::to_string(++files) + ".db");
    std::ofstream(path).close();
    return path;
  }

  /// Opens the file until it is not busy any more. Returns why it was refused; an empty text when it was not.
  static std::string open_again_while_busy(Connection& connection, const fs::path& path) {
    for (int tries = 0; tries < 100; ++tries) {
      try {
        bring_up_to_date(connection, path.string());
        return {};
      } catch (const SqliteError& error) {
        if (!error.is_busy()) return error.what();
      } catch (const UnusableDatabase& error) {
        return error.what();
      }
    }
    return "busy without end";
  }

  fs::path folder;
  int files = 0;
};

/// Two openers, one of which does all its work before the n-th statement of the other, for every n.
TEST_F(SchemaTest, another_opener_may_come_between_any_two_statements) {
  for (const char* journal : {"delete", "wal"}) {
    bool has_acted = true;
    int number = 0;
    for (; has_acted; ++number) {
      const fs::path path = new_file();
      Connection slow(path.string()), quick(path.string());
      slow.execute((std::string("pragma journal_mode=") + journal).c_str());
      std::string quick_was_refused;
      {
        const BeforeStatement hook(slow, number, [&] {
          try {
            bring_up_to_date(quick, path.string());
          } catch (const SqliteError& error) {
            if (!error.is_busy()) quick_was_refused = error.what();
          } catch (const UnusableDatabase& error) {
            quick_was_refused = error.what();
          }
        });
        EXPECT_EQ(open_again_while_busy(slow, path), "") << "statement " << number << ", " << journal;
        has_acted = hook.has_acted();
      }
      EXPECT_EQ(quick_was_refused, "") << "statement " << number << ", " << journal;
      EXPECT_EQ(open_again_while_busy(quick, path), "");
      EXPECT_EQ(slow.integer("pragma user_version"), schema_version());
      EXPECT_EQ(slow.integer("select count(*) from ha_signer_cluster"), 1);
    }
    EXPECT_GT(number, 3) << "the hook saw no statements";
  }
}

/// No statement of this program replaces rows so; a later one must not forget what was signed.
TEST_F(SchemaTest, a_signed_row_that_insert_or_replace_deletes_leaves_a_watermark) {
  const fs::path path = new_file();
  Connection connection(path.string());
  bring_up_to_date(connection, path.string());
  const std::string row =
      "insert or replace into validator_duties (rollup_address, validator_address, slot, block_number, duty_type, "
      "status, message_hash, node_id, lock_token) values ('0x0a', '0x0b', 7, 0, 'ATTESTATION', ";
  connection.execute((row + "'signed', '0x01', 'node', 'first')").c_str());
  EXPECT_EQ(connection.integer("select count(*) from ha_signer_watermarks"), 0);
  connection.execute((row + "'signing', '0x02', 'node', 'second')").c_str());
  EXPECT_EQ(connection.integer("select low_slot from ha_signer_watermarks"), 7);
}

}  // namespace
}  // namespace hasigner::sqlite
