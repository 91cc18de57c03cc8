#include "hasigner/protection/protocol.hpp"

namespace hasigner {

namespace {

/// Where a store takes several batches at once, larger ones gain nothing and leave one side idle while the other works.
constexpr std::size_t kParallelBatch = 256;

/// Only outcomes go on from here; who gave them is for the gate.
template <class T>
StoreResult<std::vector<T>> outcomes_of(StoreResult<BatchReply<T>> reply) {
  if (!reply) return std::unexpected(std::move(reply.error()));
  return std::move(reply->outcomes);
}

StoreError held_back(std::string reason) {
  return StoreError{StoreErrorKind::kUnavailable, "the release gate refused: " + std::move(reason)};
}

asio::awaitable<StoreResult<std::vector<ClaimOutcome>>> send_claims(Ports ports, NodeId node_id,
                                                                    std::vector<DutyClaim> claims,
                                                                    MonotonicTime deadline) {
  ports.metrics->batch_sent("claim", claims.size());
  std::vector<Duty> duties;
  duties.reserve(claims.size());
  for (const auto& claim : claims) duties.push_back(claim.duty);
  auto allowed = co_await ports.gate->before_claims(std::move(duties));
  if (!allowed) co_return std::unexpected(held_back(allowed.error()));
  auto reply = co_await ports.store->claim(std::move(node_id), std::move(claims), deadline);
  co_return outcomes_of(std::move(reply));
}

asio::awaitable<StoreResult<std::vector<DutyView>>> send_looks(Ports ports, std::vector<DutyKey> keys,
                                                               MonotonicTime deadline) {
  ports.metrics->batch_sent("look", keys.size());
  auto reply = co_await ports.store->look(std::move(keys), deadline);
  co_return outcomes_of(std::move(reply));
}

asio::awaitable<StoreResult<std::vector<SeizeOutcome>>> send_seizures(Ports ports, NodeId node_id,
                                                                      std::vector<Seizure> seizures,
                                                                      MonotonicTime deadline) {
  ports.metrics->batch_sent("seize", seizures.size());
  auto reply = co_await ports.store->seize(std::move(node_id), std::move(seizures), deadline);
  co_return outcomes_of(std::move(reply));
}

RecordStep step_of(RecordOutcome outcome) {
  switch (outcome) {
    case RecordOutcome::kConfirmed: return RecordStep::kConfirmed;
    case RecordOutcome::kNotMatched: return RecordStep::kNotMatched;
    case RecordOutcome::kLocked: return RecordStep::kLocked;
  }
  HASIGNER_ASSERT(false);
}

asio::awaitable<StoreResult<std::vector<RecordStep>>> send_records(Ports ports, std::vector<DutyRecord> records,
                                                                   MonotonicTime deadline) {
  ports.metrics->batch_sent("record", records.size());
  std::vector<DutyKey> keys;
  keys.reserve(records.size());
  for (const auto& record : records) keys.push_back(record.key);
  auto reply = co_await ports.store->record(std::move(records), deadline);
  if (!reply) co_return std::unexpected(std::move(reply.error()));

  std::vector<RecordStep> steps;
  std::vector<DutyKey> confirmed;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    steps.push_back(step_of(reply->outcomes[i]));
    if (steps.back() == RecordStep::kConfirmed) confirmed.push_back(keys[i]);
  }
  if (confirmed.empty()) co_return steps;
  auto allowed = co_await ports.gate->before_release(std::move(confirmed));
  if (!allowed) std::ranges::replace(steps, RecordStep::kConfirmed, RecordStep::kHeldBack);
  co_return steps;
}

asio::awaitable<StoreResult<std::vector<ReleaseStep>>> send_releases(Ports ports, std::vector<DutyRelease> releases,
                                                                     MonotonicTime deadline) {
  ports.metrics->batch_sent("release", releases.size());
  auto reply = co_await ports.store->release(std::move(releases), deadline);
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  std::vector<ReleaseStep> steps;
  for (std::size_t i = 0; i < reply->released.size(); ++i) {
    const bool locked = i < reply->locked.size() && reply->locked[i];
    steps.push_back({.released = reply->released[i], .settled = reply->settled && !locked});
  }
  co_return steps;
}

asio::awaitable<StoreResult<std::vector<bool>>> send_republications(Ports ports, NodeId node_id,
                                                                    std::vector<StoredSignature> signatures,
                                                                    MonotonicTime deadline) {
  ports.metrics->batch_sent("republish", signatures.size());
  std::vector<DutyKey> keys;
  for (const auto& stored : signatures) keys.push_back(stored.key);
  auto reply = co_await ports.store->republish(std::move(node_id), std::move(signatures), deadline);
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  auto allowed = co_await ports.gate->before_release(std::move(keys));
  if (!allowed) co_return std::unexpected(held_back(allowed.error()));
  co_return std::move(reply->outcomes);
}

template <class Lane>
std::shared_ptr<Lane> make_lane(const Protocol& protocol, std::size_t in_flight, typename Lane::Send send) {
  const auto max_batch = protocol.config.max_batch;
  const typename Lane::Limits limits{.max_batch = in_flight > 1 ? std::min(max_batch, kParallelBatch) : max_batch,
                                     .max_in_flight = in_flight,
                                     .max_queue = protocol.config.max_attempts_in_flight,
                                     .call_timeout = protocol.config.store_call_timeout};
  return std::make_shared<Lane>(protocol.ports.executor, protocol.ports.clock, limits, std::move(send));
}

}  // namespace

asio::awaitable<std::expected<void, std::string>> ReleaseGate::before_claims(std::vector<Duty>) {
  co_return std::expected<void, std::string>{};
}

asio::awaitable<std::expected<void, std::string>> ReleaseGate::before_release(std::vector<DutyKey>) {
  co_return std::expected<void, std::string>{};
}

Protocol::Protocol(Ports ports_in, SignerConfig config_in)
    : ports(std::move(ports_in)),
      config(std::move(config_in)),
      lease(std::make_shared<NodeLease>(ports, config)),
      turnstile(ports.executor) {
  const auto parallel = std::max<std::size_t>(1, ports.store->capabilities().parallel_batches);
  const auto p = ports;
  const auto node_id = config.node_id;
  claims = make_lane<BatchLane<DutyClaim, ClaimOutcome>>(*this, parallel, [p, node_id](auto batch, auto deadline) {
    return send_claims(p, node_id, std::move(batch), deadline);
  });
  looks = make_lane<BatchLane<DutyKey, DutyView>>(
      *this, 1, [p](auto batch, auto deadline) { return send_looks(p, std::move(batch), deadline); });
  seizures = make_lane<BatchLane<Seizure, SeizeOutcome>>(*this, 1, [p, node_id](auto batch, auto deadline) {
    return send_seizures(p, node_id, std::move(batch), deadline);
  });
  records = make_lane<BatchLane<DutyRecord, RecordStep>>(
      *this, parallel, [p](auto batch, auto deadline) { return send_records(p, std::move(batch), deadline); });
  releases = make_lane<BatchLane<DutyRelease, ReleaseStep>>(
      *this, 1, [p](auto batch, auto deadline) { return send_releases(p, std::move(batch), deadline); });
  republications = make_lane<BatchLane<StoredSignature, bool>>(*this, 1, [p, node_id](auto batch, auto deadline) {
    return send_republications(p, node_id, std::move(batch), deadline);
  });
}

LockToken Protocol::new_token(TokenKind kind) {
  std::array<std::uint8_t, 7> random{};
  ports.random->fill(random);
  return LockToken::make(lease->incarnation(), kind, random);
}

std::size_t Protocol::queued() const {
  return claims->queued() + looks->queued() + seizures->queued() + records->queued() + releases->queued() +
         republications->queued();
}

void Protocol::interrupt_waits() {
  for (auto& place : waits) place.awaited.poke();
}

milliseconds Protocol::jittered(milliseconds base) {
  std::array<std::uint8_t, 1> random{};
  ports.random->fill(random);
  return std::max(milliseconds(1), base * (192 + random[0] / 2) / 256);
}

}  // namespace hasigner
