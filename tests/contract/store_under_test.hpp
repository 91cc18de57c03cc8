#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "hasigner/protection/history.hpp"
#include "hasigner/store/rows/table_row.hpp"

namespace hasigner::contract {

/// One connection to the tables, as each node has its own.
struct Connection {
  std::shared_ptr<Store> store;
  std::shared_ptr<History> history;  ///< the same object
};

/// Tables in one kind of store, and what others than our nodes may do to them.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;

  [[nodiscard]] virtual std::shared_ptr<Clock> clock() = 0;
  /// Of the tables.
  [[nodiscard]] virtual UtcTime utc_now() const {
    return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
  [[nodiscard]] virtual asio::awaitable<Connection> connect() = 0;
  /// As if the process that had registered the node over this connection had been killed, and its lease, where there is
  /// one, had run out since.
  virtual void kill(Connection& connection, const std::string& node_id) = 0;

  /// As if the store's clock had been set back since the node's last heartbeat: its lease seems to run for long.
  virtual void put_lease_ahead(const std::string& /*node_id*/) {}

  // As a published node, or a person with a shell.

  virtual void put(const TableRow& row) = 0;
  /// Deletes all rows of the slot.
  virtual void erase(std::uint64_t slot) = 0;
  /// Makes the rows of the slot look as if they had been written earlier.
  virtual void make_older(std::uint64_t slot, milliseconds by) = 0;
  /// Lets the expires_at of the slot's rows pass. False: this version of the tables has no such column.
  [[nodiscard]] virtual bool expire(std::uint64_t slot) = 0;

  /// Where another process finds the same tables; nullopt when it cannot.
  [[nodiscard]] virtual std::optional<std::string> url() const { return std::nullopt; }
};

/// A kind of store that the suite is run against.
struct Kind {
  std::string name;
  std::function<std::unique_ptr<StoreUnderTest>(asio::any_io_executor)> make;
};

inline void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

/// All kinds; each stands in a file of its own.
[[nodiscard]] std::vector<Kind> kinds();
[[nodiscard]] Kind memory_kind();
[[nodiscard]] Kind sqlite_kind();
/// On tables of this version.
[[nodiscard]] Kind postgres_kind(int schema_version);

/// A store whose tables understand SQL.
class SqlUnderTest : public StoreUnderTest {
 public:
  explicit SqlUnderTest(int schema_version) : schema_version_(schema_version) {}

  void put(const TableRow& row) override;
  void erase(std::uint64_t slot) override;
  void make_older(std::uint64_t slot, milliseconds by) override;
  [[nodiscard]] bool expire(std::uint64_t slot) override;

 protected:
  /// Rows of the last statement: columns separated by `|`, rows by a new line.
  virtual std::string exec(const std::string& sql) = 0;

 private:
  int schema_version_;
};

}  // namespace hasigner::contract
