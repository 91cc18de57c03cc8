#include <sqlite3.h>

#include <cstdlib>
#include <stdexcept>

#include "hasigner/factory/open_store.hpp"
#include "hasigner/protection/system_clock.hpp"
#include "tests/contract/store_under_test.hpp"

namespace hasigner::contract {
namespace {

class SqliteUnderTest final : public SqlUnderTest {
 public:
  explicit SqliteUnderTest(asio::any_io_executor executor)
      : SqlUnderTest(3), executor_(executor), clock_(std::make_shared<SystemClock>(executor)) {
    std::string name = (std::filesystem::temp_directory_path() / "hasigner-contract-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~SqliteUnderTest() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::shared_ptr<Clock> clock() override { return clock_; }
  [[nodiscard]] asio::awaitable<Connection> connect() override {
    StoreSettings settings;
    settings.database_url = *url();
    auto opened = co_await open_store(std::move(settings), executor_, clock_);
    co_return Connection{opened.store, opened.history};
  }
  /// The kernel takes the lock from a process that has ended.
  void kill(Connection& connection, const std::string& /*node_id*/) override { connection = {}; }
  [[nodiscard]] std::optional<std::string> url() const override { return "sqlite:" + (folder_ / "duties.db").string(); }

 protected:
  std::string exec(const std::string& sql) override {
    sqlite3* db = nullptr;
    sqlite3_open((folder_ / "duties.db").c_str(), &db);
    sqlite3_busy_timeout(db, 5000);
    std::string rows;
    const auto add = [](void* out, int columns, char** values, char**) {
      auto& text = *static_cast<std::string*>(out);
      if (!text.empty()) text += '\n';
      for (int i = 0; i < columns; ++i) text += (i > 0 ? "|" : "") + std::string(values[i] ? values[i] : "");
      return 0;
    };
    const int code = sqlite3_exec(db, sql.c_str(), add, &rows, nullptr);
    const std::string message = sqlite3_errmsg(db);
    sqlite3_close(db);
    if (code != SQLITE_OK) throw std::runtime_error(message);
    return rows;
  }

 private:
  asio::any_io_executor executor_;
  std::shared_ptr<SystemClock> clock_;
  std::filesystem::path folder_;
};

}  // namespace

Kind sqlite_kind() {
  return {"sqlite",
          [](asio::any_io_executor executor) { return std::make_unique<SqliteUnderTest>(std::move(executor)); }};
}

}  // namespace hasigner::contract
