#include "hasigner/store/memory/memory_store.hpp"

namespace hasigner::memory {

MemoryStore::MemoryStore(std::shared_ptr<MemoryTables> tables, const Clock& clock)
    : tables_(std::move(tables)), clock_(clock) {}

std::shared_ptr<const StoreEpoch> MemoryStore::epoch() const {
  return tables_->epoch();
}

std::optional<StoreError> MemoryStore::obstacle(MonotonicTime deadline) const {
  if (closed_) return StoreError{StoreErrorKind::kUnavailable, "the memory store is closed"};
  if (clock_.now() >= deadline) {
    return StoreError{StoreErrorKind::kUnavailable, "the deadline had passed before the memory store was asked"};
  }
  return std::nullopt;
}

StoreBatch<ClaimOutcome> MemoryStore::claim(NodeId node_id, std::vector<DutyClaim> claims, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  tables_->insert_claims(node_id, claims);
  std::vector<ClaimOutcome> outcomes;
  for (const DutyClaim& claim : claims) {
    outcomes.push_back(claim_outcome(claim.token, tables_->view(claim.duty.key)));
  }
  co_return outcomes;
}

StoreBatch<SignedClaimOutcome> MemoryStore::claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                                         MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  std::vector<SignedClaimOutcome> outcomes;
  for (const SignedClaim& claim : claims) outcomes.push_back(tables_->claim_signed(node_id, claim));
  co_return outcomes;
}

StoreBatch<DutyView> MemoryStore::look(std::vector<DutyKey> keys, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  std::vector<DutyView> outcomes;
  for (const DutyKey& key : keys) outcomes.push_back(tables_->view(key));
  co_return outcomes;
}

StoreBatch<RowOutcome> MemoryStore::take_over(NodeId node_id, std::vector<Takeover> takeovers, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  std::vector<RowOutcome> outcomes;
  for (const Takeover& takeover : takeovers) outcomes.push_back(tables_->take_over(node_id, takeover));
  co_return outcomes;
}

StoreBatch<RowOutcome> MemoryStore::record(std::vector<DutyRecord> records, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  std::vector<RowOutcome> outcomes;
  for (const DutyRecord& record : records) outcomes.push_back(tables_->record(record));
  co_return outcomes;
}

asio::awaitable<StoreResult<ReleaseReply>> MemoryStore::release(std::vector<DutyRelease> releases,
                                                                MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  ReleaseReply reply;
  for (const DutyRelease& release : releases) reply.outcomes.push_back(tables_->release(release));
  co_return reply;
}

StoreBatch<bool> MemoryStore::confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                             MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->confirm_stored(node_id, signatures);
}

asio::awaitable<StoreResult<RegistrationOutcome>> MemoryStore::register_node(NodeRegistration registration,
                                                                             MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->register_node(registration);
}

asio::awaitable<StoreResult<bool>> MemoryStore::renew(NodeRegistration registration, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->renew(registration);
}

asio::awaitable<StoreResult<void>> MemoryStore::end_lease(NodeRegistration registration, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  tables_->end_lease(registration);
  co_return StoreResult<void>{};
}

asio::awaitable<StoreResult<RemovalOutcome>> MemoryStore::remove(RemovalRequest request, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->remove(request);
}

asio::awaitable<void> MemoryStore::close() {
  closed_ = true;
  co_return;
}

asio::awaitable<StoreResult<std::uint64_t>> MemoryStore::begin_round(NodeRegistration node, Why why,
                                                                     MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  const auto round = tables_->begin_round(node, why);
  if (!round) co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable, "this node is not registered"});
  co_return *round;
}

asio::awaitable<StoreResult<std::vector<JournaledNode>>> MemoryStore::journaled_nodes(MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->journaled_nodes();
}

asio::awaitable<StoreResult<Unit>> MemoryStore::tell(NodeRegistration node, std::uint64_t completed, ReachedSlots slots,
                                                     MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  if (!tables_->tell(node, completed, slots)) {
    co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable, "this node is not registered"});
  }
  co_return Unit{};
}

asio::awaitable<StoreResult<Unit>> MemoryStore::leave(NodeRegistration node, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  tables_->leave(node);
  co_return Unit{};
}

asio::awaitable<StoreResult<Unit>> MemoryStore::give_up(std::vector<std::string> node_ids, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  tables_->give_up(node_ids);
  co_return Unit{};
}

asio::awaitable<StoreResult<Unit>> MemoryStore::forbid_up_to(EthAddress rollup, std::optional<EthAddress> validator,
                                                             std::vector<DutyType> duty_types, Slot slot,
                                                             MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  tables_->forbid_up_to(rollup, validator, duty_types, slot);
  co_return Unit{};
}

asio::awaitable<StoreResult<std::vector<DutyEntry>>> MemoryStore::duties(DutyFilter filter, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->duties(filter);
}

asio::awaitable<StoreResult<std::vector<NodeEntry>>> MemoryStore::nodes(MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->nodes();
}

asio::awaitable<StoreResult<NodeRemoval>> MemoryStore::remove_node(NodeId node_id, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->remove_node(node_id.str());
}

asio::awaitable<StoreResult<std::vector<WatermarkEntry>>> MemoryStore::watermarks(MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->watermarks();
}

asio::awaitable<StoreResult<std::vector<WatermarkOutcome>>> MemoryStore::set_watermarks(
    EthAddress rollup, std::vector<WatermarkSubject> subjects, WatermarkChange change, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  std::vector<WatermarkOutcome> outcomes;
  outcomes.reserve(subjects.size());
  for (const auto& subject : subjects) {
    outcomes.push_back(tables_->set_watermarks(rollup, subject.validator, subject.duty_type, change));
  }
  co_return outcomes;
}

asio::awaitable<StoreResult<std::vector<KeySwitch>>> MemoryStore::key_switches(MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->key_switches();
}

asio::awaitable<StoreResult<bool>> MemoryStore::set_key_switch(EthAddress address, KeyState state, std::string by,
                                                               MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->set_key_switch(address, state, std::move(by));
}

asio::awaitable<StoreResult<RemovalPreview>> MemoryStore::preview(RemovalRequest request, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->preview(request);
}

asio::awaitable<StoreResult<HistorySnapshot>> MemoryStore::export_history(MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->export_history();
}

asio::awaitable<StoreResult<ImportOutcome>> MemoryStore::import_history(HistorySnapshot snapshot,
                                                                        MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return tables_->import_history(snapshot);
}

}  // namespace hasigner::memory
