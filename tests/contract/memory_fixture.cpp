#include "hasigner/protection/system_clock.hpp"
#include "hasigner/store/memory/memory_store.hpp"
#include "tests/contract/store_under_test.hpp"

namespace hasigner::contract {
namespace {

class MemoryUnderTest final : public StoreUnderTest {
 public:
  explicit MemoryUnderTest(asio::any_io_executor executor)
      : clock_(std::make_shared<SystemClock>(std::move(executor))),
        tables_(std::make_shared<memory::MemoryTables>(*clock_)) {}

  [[nodiscard]] std::shared_ptr<Clock> clock() override { return clock_; }
  [[nodiscard]] UtcTime utc_now() const override { return tables_->now(); }
  [[nodiscard]] asio::awaitable<Connection> connect() override {
    auto store = std::make_shared<memory::MemoryStore>(tables_, *clock_);
    co_return Connection{store, store};
  }
  void kill(Connection& connection, const std::string& node_id) override {
    connection = {};
    for (const NodeEntry& node : tables_->nodes()) {
      if (node.node_id != node_id) continue;
      const Incarnation incarnation = Incarnation::parse("0x" + node.incarnation).value();
      // Its lease alone is to run out, so the clock cannot be put forward.
      tables_->end_lease({NodeId::parse(node_id).value(), incarnation, milliseconds(0)});
    }
  }

  void put(const TableRow& row) override { tables_->insert_row(row); }
  void erase(std::uint64_t slot) override {
    std::vector<memory::RowKey> keys;
    for (const auto& [key, row] : tables_->rows()) {
      if (row.slot == static_cast<std::int64_t>(slot)) keys.push_back(key);
    }
    for (const auto& key : keys) tables_->delete_row(key);
  }
  void make_older(std::uint64_t slot, milliseconds by) override {
    for_rows_of(slot, [by](TableRow& row) { row.started_at -= by; });
  }
  [[nodiscard]] bool expire(std::uint64_t slot) override {
    for_rows_of(slot, [this](TableRow& row) { row.expires_at = tables_->now() - std::chrono::hours(1); });
    return true;
  }

 private:
  template <class Change>
  void for_rows_of(std::uint64_t slot, Change change) {
    for (const auto& [key, row] : tables_->rows()) {
      if (row.slot == static_cast<std::int64_t>(slot)) change(*tables_->row(key));
    }
  }

  std::shared_ptr<SystemClock> clock_;
  std::shared_ptr<memory::MemoryTables> tables_;
};

}  // namespace

Kind memory_kind() {
  return {"memory",
          [](asio::any_io_executor executor) { return std::make_unique<MemoryUnderTest>(std::move(executor)); }};
}

}  // namespace hasigner::contract
