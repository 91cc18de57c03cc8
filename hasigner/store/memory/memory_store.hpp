#pragma once

#include <memory>

#include "hasigner/store/memory/memory_tables.hpp"

namespace hasigner::memory {

/// One node's connection to a MemoryTables. Keeps nothing beyond the process: for tests, and for a caller who asks for
/// it by name.
///
/// Every call is carried out at once and answers without suspending.
class MemoryStore final : public Store, public History, public JournalRounds {
 public:
  /// `clock` must outlive the store.
  MemoryStore(std::shared_ptr<MemoryTables> tables, const Clock& clock);

  [[nodiscard]] StoreCapabilities capabilities() const override { return {.signed_claims = true}; }
  [[nodiscard]] std::shared_ptr<const StoreEpoch> epoch() const override;
  [[nodiscard]] StoreBatch<ClaimOutcome> claim(NodeId node_id, std::vector<DutyClaim> claims,
                                               MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<SignedClaimOutcome> claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                                            MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<DutyView> look(std::vector<DutyKey> keys, MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<RowOutcome> take_over(NodeId node_id, std::vector<Takeover> takeovers,
                                                 MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<RowOutcome> record(std::vector<DutyRecord> records, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<ReleaseReply>> release(std::vector<DutyRelease> releases,
                                                                   MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<bool> confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                                MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RegistrationOutcome>> register_node(NodeRegistration registration,
                                                                                MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<bool>> renew(NodeRegistration registration,
                                                         MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<void>> end_lease(NodeRegistration registration,
                                                             MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RemovalOutcome>> remove(RemovalRequest request,
                                                                    MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<void> close() override;

  [[nodiscard]] bool has_rounds() const override { return true; }
  [[nodiscard]] asio::awaitable<StoreResult<std::uint64_t>> begin_round(NodeRegistration node, Why why,
                                                                        MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<JournaledNode>>> journaled_nodes(
      MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<Unit>> tell(NodeRegistration node, std::uint64_t completed,
                                                        ReachedSlots slots, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<Unit>> leave(NodeRegistration node, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<Unit>> give_up(std::vector<std::string> node_ids,
                                                           MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<Unit>> forbid_up_to(EthAddress rollup, std::optional<EthAddress> validator,
                                                                std::vector<DutyType> duty_types, Slot slot,
                                                                MonotonicTime deadline) override;

  [[nodiscard]] asio::awaitable<StoreResult<std::vector<DutyEntry>>> duties(DutyFilter filter,
                                                                            MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<NodeEntry>>> nodes(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<NodeRemoval>> remove_node(NodeId node_id, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<WatermarkEntry>>> watermarks(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<WatermarkOutcome>>> set_watermarks(
      EthAddress rollup, std::vector<WatermarkSubject> subjects, WatermarkChange change,
      MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<KeySwitch>>> key_switches(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<bool>> set_key_switch(EthAddress address, KeyState state, std::string by,
                                                                  MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RemovalPreview>> preview(RemovalRequest request,
                                                                     MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<HistorySnapshot>> export_history(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<ImportOutcome>> import_history(HistorySnapshot snapshot,
                                                                           MonotonicTime deadline) override;

 private:
  /// Why nothing is done: closed, or the deadline has passed.
  [[nodiscard]] std::optional<StoreError> obstacle(MonotonicTime deadline) const;

  std::shared_ptr<MemoryTables> tables_;
  const Clock& clock_;
  bool closed_ = false;
};

}  // namespace hasigner::memory
