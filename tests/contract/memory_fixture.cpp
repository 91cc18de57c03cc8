#include "hasigner/protection/system_clock.hpp"
#include "hasigner/store/memory/memory_store.hpp"
#include "tests/contract/world.hpp"

namespace hasigner::contract {
namespace {

class MemoryKindWorld final : public World {
 public:
  explicit MemoryKindWorld(asio::any_io_executor executor)
      : clock_(std::make_shared<SystemClock>(std::move(executor))),
        world_(std::make_shared<memory::MemoryWorld>(*clock_)) {}

  [[nodiscard]] std::shared_ptr<Clock> clock() override { return clock_; }
  [[nodiscard]] UtcTime utc_now() const override { return world_->now(); }
  [[nodiscard]] asio::awaitable<Connection> connect() override {
    auto store = std::make_shared<memory::MemoryStore>(world_, *clock_);
    co_return Connection{store, store};
  }
  void kill(Connection& connection, const std::string& node_id) override {
    connection = {};
    for (const NodeEntry& node : world_->nodes()) {
      if (node.node_id != node_id) continue;
      const Incarnation incarnation = Incarnation::parse("0x" + node.incarnation).value();
      // Its lease alone is to run out, so the clock cannot be put forward.
      world_->retire({NodeId::parse(node_id).value(), incarnation, milliseconds(0)});
    }
  }

  void put(const TableRow& row) override { world_->insert_row(row); }
  void erase(std::uint64_t slot) override {
    std::vector<memory::RowKey> keys;
    for (const auto& [key, row] : world_->rows()) {
      if (row.slot == static_cast<std::int64_t>(slot)) keys.push_back(key);
    }
    for (const auto& key : keys) world_->delete_row(key);
  }
  void make_older(std::uint64_t slot, milliseconds by) override {
    for_rows_of(slot, [by](TableRow& row) { row.started_at -= by; });
  }
  [[nodiscard]] bool expire(std::uint64_t slot) override {
    for_rows_of(slot, [this](TableRow& row) { row.expires_at = world_->now() - std::chrono::hours(1); });
    return true;
  }

 private:
  template <class Change>
  void for_rows_of(std::uint64_t slot, Change change) {
    for (const auto& [key, row] : world_->rows()) {
      if (row.slot == static_cast<std::int64_t>(slot)) change(*world_->row(key));
    }
  }

  std::shared_ptr<SystemClock> clock_;
  std::shared_ptr<memory::MemoryWorld> world_;
};

}  // namespace

Kind memory_kind() {
  return {"memory",
          [](asio::any_io_executor executor) { return std::make_unique<MemoryKindWorld>(std::move(executor)); }};
}

}  // namespace hasigner::contract
