#pragma once

#include <memory>

#include "hasigner/protection/history.hpp"

namespace hasigner {

/// A history whose reads go to another opening of the same store, with a connection of its own: they take nothing from
/// what signs. Changes go to the store itself.
class ReadAside final : public History {
 public:
  ReadAside(std::shared_ptr<History> store, std::shared_ptr<History> reader)
      : store_(std::move(store)), reader_(std::move(reader)) {}

  [[nodiscard]] asio::awaitable<StoreResult<std::vector<DutyEntry>>> duties(DutyFilter filter,
                                                                            MonotonicTime deadline) override {
    return reader_->duties(std::move(filter), deadline);
  }
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<NodeEntry>>> nodes(MonotonicTime deadline) override {
    return reader_->nodes(deadline);
  }
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<WatermarkEntry>>> watermarks(MonotonicTime deadline) override {
    return reader_->watermarks(deadline);
  }
  [[nodiscard]] asio::awaitable<StoreResult<RemovalPreview>> preview(RemovalRequest request,
                                                                     MonotonicTime deadline) override {
    return reader_->preview(request, deadline);
  }
  [[nodiscard]] asio::awaitable<StoreResult<HistorySnapshot>> export_history(MonotonicTime deadline) override {
    return reader_->export_history(deadline);
  }

  [[nodiscard]] asio::awaitable<StoreResult<NodeRemoval>> remove_node(NodeId node_id, MonotonicTime deadline) override {
    return store_->remove_node(std::move(node_id), deadline);
  }
  /// Of the store itself. Whether the node is ready depends on these.
  [[nodiscard]] std::optional<ConnectionCounts> connections() const override { return store_->connections(); }
  [[nodiscard]] asio::awaitable<StoreResult<std::optional<Replication>>> replication(MonotonicTime deadline) override {
    return store_->replication(deadline);
  }
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<std::string>>> lacking_rights(MonotonicTime deadline) override {
    return store_->lacking_rights(deadline);
  }
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<WatermarkOutcome>>> set_watermarks(
      EthAddress rollup, std::vector<WatermarkSubject> subjects, WatermarkChange change,
      MonotonicTime deadline) override {
    return store_->set_watermarks(rollup, std::move(subjects), change, deadline);
  }
  /// Of the store itself: what is signed depends on them.
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<KeySwitch>>> key_switches(MonotonicTime deadline) override {
    return store_->key_switches(deadline);
  }
  [[nodiscard]] asio::awaitable<StoreResult<bool>> set_key_switch(EthAddress address, KeyState state, std::string by,
                                                                  MonotonicTime deadline) override {
    return store_->set_key_switch(address, state, std::move(by), deadline);
  }
  [[nodiscard]] asio::awaitable<StoreResult<ImportOutcome>> import_history(HistorySnapshot snapshot,
                                                                           MonotonicTime deadline) override {
    return store_->import_history(std::move(snapshot), deadline);
  }

 private:
  std::shared_ptr<History> store_, reader_;
};

}  // namespace hasigner
