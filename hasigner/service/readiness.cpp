#include "hasigner/service/readiness.hpp"

namespace hasigner::service {

namespace {

constexpr milliseconds kLookHolds{500};
constexpr milliseconds kLookTimeout{2'000};

/// Checks that the store answers. Each of its sessions checks that it is still the store that was opened.
asio::awaitable<StoreLook> look(HaNode& node) {
  const auto deadline = node.clock().now() + kLookTimeout;
  const std::vector<DutyKey> one{DutyKey{}};
  const auto seen = co_await node.store().look(one, deadline);
  StoreLook found;
  if (!seen) {
    found.reason = printable(seen.error().reason, 500);
    co_return found;
  }
  const auto replication = co_await node.history().replication(deadline);
  if (replication) {
    found.replication = *replication;
  } else {
    found.reason = printable(replication.error().reason, 500);
  }
  co_return found;
}

/// A record waits until enough standbys have its commit. With too few standbys the service is not ready.
std::string why_records_wait(const Replication& replication) {
  if (!replication.connected || *replication.connected >= replication.needed) return "";
  return "the server confirms nothing: each commit waits for more synchronous standbys than are connected (" +
         std::to_string(*replication.connected) + " of " + std::to_string(replication.needed) +
         "; its synchronous_standby_names is " + printable(replication.synchronous_standbys, 200) + ")";
}

std::string why_not_ours(const HaSigner& signer) {
  if (!signer.healthy()) return "another process has taken this node id";
  if (signer.lease_runs()) return "";
  return "the store has not confirmed this node's lease for longer than it lasts";
}

}  // namespace

asio::awaitable<std::vector<ReadinessCheck>> Readiness::check(std::shared_ptr<Readiness> self) {
  const auto now = self->node_.clock().now();
  const bool stale = self->looked_at_ == MonotonicTime{} || now - self->looked_at_ > kLookHolds;
  if (stale && !self->looking_) {
    self->looking_ = true;
    self->look_ = co_await look(self->node_);
    self->looked_at_ = self->node_.clock().now();
    self->looking_ = false;
  }
  std::vector<ReadinessCheck> checks;
  checks.push_back({"store", self->look_.reason});
  if (self->look_.replication) checks.push_back({"replication", why_records_wait(*self->look_.replication)});
  checks.push_back({"nodeId", why_not_ours(self->node_.signer())});
  checks.push_back({"accepting", self->draining_ ? "the service is about to end" : ""});
  co_return checks;
}

}  // namespace hasigner::service
