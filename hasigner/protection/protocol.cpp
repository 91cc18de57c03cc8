#include "hasigner/protection/protocol.hpp"

namespace hasigner {

namespace {

/// Where a store takes several batches at once, larger ones gain nothing and leave one side idle while the other works.
constexpr std::size_t kParallelBatch = 256;

asio::awaitable<StoreResult<std::vector<attempt::ReleaseResult>>> send_releases(Ports ports,
                                                                                std::vector<DutyRelease> releases,
                                                                                MonotonicTime deadline) {
  auto reply = co_await ports.store->release(std::move(releases), deadline);
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  std::vector<attempt::ReleaseResult> results;
  for (const RowOutcome outcome : reply->outcomes) {
    results.push_back({.outcome = outcome, .settled = reply->settled && outcome != RowOutcome::kLocked});
  }
  co_return results;
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

Protocol::Protocol(Ports ports_in, SignerConfig config_in)
    : ports(std::move(ports_in)),
      config(std::move(config_in)),
      claim_delay(config, ports.health),
      lease(std::make_shared<NodeLease>(ports, config)),
      duty_queue(ports.executor) {
  const auto parallel = std::max<std::size_t>(1, ports.store->capabilities().parallel_batches);
  const auto store = ports.store;
  const auto metrics = ports.metrics;
  const auto node_id = config.node_id;
  claims = make_lane<BatchLane<DutyClaim, ClaimOutcome>>(*this, parallel, [=](auto batch, auto deadline) {
    metrics->batch_sent("claim", batch.size());
    return store->claim(node_id, std::move(batch), deadline);
  });
  signed_claims =
      make_lane<BatchLane<SignedClaim, SignedClaimOutcome>>(*this, parallel, [=](auto batch, auto deadline) {
        metrics->batch_sent("claim_signed", batch.size());
        return store->claim_signed(node_id, std::move(batch), deadline);
      });
  looks = make_lane<BatchLane<DutyKey, DutyView>>(*this, 1, [=](auto batch, auto deadline) {
    metrics->batch_sent("look", batch.size());
    return store->look(std::move(batch), deadline);
  });
  takeovers = make_lane<BatchLane<Takeover, RowOutcome>>(*this, 1, [=](auto batch, auto deadline) {
    metrics->batch_sent("takeover", batch.size());
    return store->take_over(node_id, std::move(batch), deadline);
  });
  records = make_lane<BatchLane<DutyRecord, RowOutcome>>(*this, parallel, [=](auto batch, auto deadline) {
    metrics->batch_sent("record", batch.size());
    return store->record(std::move(batch), deadline);
  });
  releases =
      make_lane<BatchLane<DutyRelease, attempt::ReleaseResult>>(*this, 1, [p = ports](auto batch, auto deadline) {
        p.metrics->batch_sent("release", batch.size());
        return send_releases(p, std::move(batch), deadline);
      });
  stored_confirmations = make_lane<BatchLane<StoredSignature, bool>>(*this, 1, [=](auto batch, auto deadline) {
    metrics->batch_sent("confirm_stored", batch.size());
    return store->confirm_stored(node_id, std::move(batch), deadline);
  });
}

LockToken Protocol::new_token(TokenKind kind) {
  std::array<std::uint8_t, 7> random{};
  ports.random->fill(random);
  return LockToken::make(lease->incarnation(), kind, random);
}

std::size_t Protocol::queued() const {
  return claims->queued() + signed_claims->queued() + looks->queued() + takeovers->queued() + records->queued() +
         releases->queued() + stored_confirmations->queued();
}

void Protocol::stop_at(attempt::StopLevel level) {
  stop = level;
  for (auto& wait : waits) wait.awaited.poke();
}

milliseconds Protocol::jittered(milliseconds base) {
  std::array<std::uint8_t, 1> random{};
  ports.random->fill(random);
  return std::max(milliseconds(1), base * (192 + random[0] / 2) / 256);
}

}  // namespace hasigner
