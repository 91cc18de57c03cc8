#pragma once

#include <memory>

#include "hasigner/store/memory/memory_world.hpp"

namespace hasigner::memory {

/// One node's connection to a MemoryWorld. Keeps nothing beyond the process: for tests, and for whoever asks for it by
/// name.
///
/// Every call is carried out at once and answers without suspending.
class MemoryStore final : public Store, public History {
 public:
  /// `clock` must outlive the store.
  MemoryStore(std::shared_ptr<MemoryWorld> world, const Clock& clock);

  [[nodiscard]] StoreCapabilities capabilities() const override { return {}; }
  [[nodiscard]] StoreBatch<ClaimOutcome> claim(NodeId node_id, std::vector<DutyClaim> claims,
                                               MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<DutyView> look(std::vector<DutyKey> keys, MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<SeizeOutcome> seize(NodeId node_id, std::vector<Seizure> seizures,
                                               MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<RecordOutcome> record(std::vector<DutyRecord> records, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<ReleaseReply>> release(std::vector<DutyRelease> releases,
                                                                   MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<bool> republish(NodeId node_id, std::vector<StoredSignature> signatures,
                                           MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<EnlistOutcome>> enlist(NodeRegistration registration,
                                                                   MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<bool>> renew(NodeRegistration registration,
                                                         MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<void>> retire(NodeRegistration registration,
                                                          MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RemovalOutcome>> remove(RemovalRequest request,
                                                                    MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<void> close() override;

  [[nodiscard]] asio::awaitable<StoreResult<std::vector<DutyEntry>>> duties(DutyFilter filter,
                                                                            MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<NodeEntry>>> nodes(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<NodeRemoval>> remove_node(NodeId node_id, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<WatermarkEntry>>> watermarks(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<WatermarkOutcome>> set_watermarks(EthAddress rollup, EthAddress validator,
                                                                              DutyType duty_type,
                                                                              WatermarkChange change,
                                                                              MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RemovalPreview>> preview(RemovalRequest request,
                                                                     MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<HistorySnapshot>> export_history(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<ImportOutcome>> import_history(HistorySnapshot snapshot,
                                                                           MonotonicTime deadline) override;

 private:
  /// Why nothing is done: closed, or the deadline has passed.
  [[nodiscard]] std::optional<StoreError> obstacle(MonotonicTime deadline) const;

  std::shared_ptr<MemoryWorld> world_;
  const Clock& clock_;
  bool closed_ = false;
};

}  // namespace hasigner::memory
