#include "hasigner/store/memory/memory_store.hpp"

namespace hasigner::memory {

MemoryStore::MemoryStore(std::shared_ptr<MemoryWorld> world, const Clock& clock)
    : world_(std::move(world)), clock_(clock) {}

std::optional<StoreError> MemoryStore::obstacle(MonotonicTime deadline) const {
  if (closed_) return StoreError{StoreErrorKind::kUnavailable, "the memory store is closed"};
  if (clock_.now() >= deadline) {
    return StoreError{StoreErrorKind::kUnavailable, "the deadline had passed before the memory store was asked"};
  }
  return std::nullopt;
}

StoreBatch<ClaimOutcome> MemoryStore::claim(NodeId node_id, std::vector<DutyClaim> claims, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  world_->insert_claims(node_id, claims);
  BatchReply<ClaimOutcome> reply;
  reply.epoch = world_->epoch();
  for (const DutyClaim& claim : claims) {
    reply.outcomes.push_back(ClaimOutcome{.token = claim.token, .view = world_->view(claim.duty.key)});
  }
  co_return reply;
}

StoreBatch<DutyView> MemoryStore::look(std::vector<DutyKey> keys, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  BatchReply<DutyView> reply;
  reply.epoch = world_->epoch();
  for (const DutyKey& key : keys) reply.outcomes.push_back(world_->view(key));
  co_return reply;
}

StoreBatch<SeizeOutcome> MemoryStore::seize(NodeId node_id, std::vector<Seizure> seizures, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  BatchReply<SeizeOutcome> reply;
  reply.epoch = world_->epoch();
  for (const Seizure& seizure : seizures) reply.outcomes.push_back(world_->seize(node_id, seizure));
  co_return reply;
}

StoreBatch<RecordOutcome> MemoryStore::record(std::vector<DutyRecord> records, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  BatchReply<RecordOutcome> reply;
  reply.epoch = world_->epoch();
  for (const DutyRecord& record : records) reply.outcomes.push_back(world_->record(record));
  co_return reply;
}

asio::awaitable<StoreResult<ReleaseReply>> MemoryStore::release(std::vector<DutyRelease> releases,
                                                                MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  ReleaseReply reply;
  for (const DutyRelease& release : releases) reply.released.push_back(world_->release(release));
  co_return reply;
}

StoreBatch<bool> MemoryStore::republish(NodeId node_id, std::vector<StoredSignature> signatures,
                                        MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  BatchReply<bool> reply;
  reply.epoch = world_->epoch();
  reply.outcomes = world_->republish(node_id, signatures);
  co_return reply;
}

asio::awaitable<StoreResult<EnlistOutcome>> MemoryStore::enlist(NodeRegistration registration, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return world_->enlist(registration);
}

asio::awaitable<StoreResult<bool>> MemoryStore::renew(NodeRegistration registration, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return world_->renew(registration);
}

asio::awaitable<StoreResult<void>> MemoryStore::retire(NodeRegistration registration, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  world_->retire(registration);
  co_return StoreResult<void>{};
}

asio::awaitable<StoreResult<RemovalOutcome>> MemoryStore::remove(RemovalRequest request, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return world_->remove(request);
}

asio::awaitable<void> MemoryStore::close() {
  closed_ = true;
  co_return;
}

asio::awaitable<StoreResult<std::vector<DutyEntry>>> MemoryStore::duties(DutyFilter filter, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return world_->duties(filter);
}

asio::awaitable<StoreResult<std::vector<NodeEntry>>> MemoryStore::nodes(MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return world_->nodes();
}

asio::awaitable<StoreResult<NodeRemoval>> MemoryStore::remove_node(NodeId node_id, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return world_->remove_node(node_id.str());
}

asio::awaitable<StoreResult<std::vector<WatermarkEntry>>> MemoryStore::watermarks(MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return world_->watermarks();
}

asio::awaitable<StoreResult<WatermarkOutcome>> MemoryStore::set_watermarks(EthAddress rollup, EthAddress validator,
                                                                           DutyType duty_type, WatermarkChange change,
                                                                           MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return world_->set_watermarks(rollup, validator, duty_type, change);
}

asio::awaitable<StoreResult<RemovalPreview>> MemoryStore::preview(RemovalRequest request, MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return world_->preview(request);
}

asio::awaitable<StoreResult<HistorySnapshot>> MemoryStore::export_history(MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return world_->export_history();
}

asio::awaitable<StoreResult<ImportOutcome>> MemoryStore::import_history(HistorySnapshot snapshot,
                                                                        MonotonicTime deadline) {
  if (const auto error = obstacle(deadline)) co_return std::unexpected(*error);
  co_return world_->import_history(snapshot);
}

}  // namespace hasigner::memory
