#include "hasigner/service/readiness.hpp"

#include "hasigner/protection/journaled_store.hpp"

namespace hasigner::service {

namespace {

constexpr milliseconds kLookHolds{500};
constexpr milliseconds kReadinessTimeout{2'000};

std::string lacking_text(const std::vector<std::string>& rights) {
  std::string all;
  for (const auto& right : rights) all += (all.empty() ? "" : ", ") + right;
  return "the role of this service lacks rights that signing needs (" + all +
         "): run ha-signer migrate up --grant ROLE as the owner of the tables";
}

/// Checks that the store answers. Each of its sessions checks that it is still the store that was opened.
asio::awaitable<StoreLook> look(HaNode& node) {
  const auto deadline = node.clock().now() + kReadinessTimeout;
  const std::vector<DutyKey> one{DutyKey{}};
  const auto seen = co_await node.store().look(one, deadline);
  // Clients may be kept away from a node that is not ready, so no request of theirs tries it.
  if (const auto journaled = node.journaled_store()) {
    auto trying = JournaledStore::try_journal(journaled, deadline);
    co_await std::move(trying);
  }
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
    co_return found;
  }
  const auto lacking = co_await node.history().lacking_rights(deadline);
  if (!lacking) found.reason = printable(lacking.error().reason, 500);
  if (lacking && !lacking->empty()) found.reason = lacking_text(*lacking);
  co_return found;
}

/// A record waits until enough standbys have its commit. With too few standbys the service is not ready.
ReadinessCheck check_of(const Replication& replication) {
  if (!replication.connected || *replication.connected >= replication.needed) return {"replication", "", ""};
  const auto counts = std::to_string(*replication.connected) + " of " + std::to_string(replication.needed);
  const std::string what =
      "the server confirms nothing: each commit waits for more synchronous standbys than are connected (" + counts;
  const auto names = printable(replication.synchronous_standbys, 200);
  return {"replication", what + "; its synchronous_standby_names is " + names + ")", what + ")"};
}

ReadinessCheck check_of(const JournalStatus& journal) {
  if (journal.failure.empty()) return {"journal", "", ""};
  return {"journal", "nothing is claimed or released: " + printable(journal.failure, 500),
          "nothing is claimed or released, since this node's journal cannot be written; the log says why"};
}

ReadinessCheck check_of(const GuardStatus& guard) {
  if (!guard.holds) return {"failoverGuard", "", ""};
  const std::string what =
      "nothing is claimed or released until all nodes have compared their journals with the database";
  const auto who = guard.waits.empty() ? "" : "; waits for " + printable(guard.waits, 1'000);
  const auto why = guard.why.empty() ? "" : ", since " + guard.why;
  const auto obstacle = guard.obstacle.empty() ? "" : "; " + printable(guard.obstacle, 300);
  return {"failoverGuard", what + why + who + obstacle, what + "; the log says why"};
}

/// A node that holds back still signs what no other node signs.
ReadinessCheck check_of(const NodeHealth& health) {
  const bool refuses = health.rules().action == NodeHealth::Action::kRefuse;
  if (health.is_healthy()) return {"health", "", "", refuses};
  const std::string what =
      refuses ? "this node refuses new duties" : "this node holds back, and leaves duties to others";
  return {"health", what + ": " + printable(health.failure(), 500), what + ", since its health check fails", refuses};
}

/// What was read before holds, so a service that cannot read them now is ready, unless it has never read them.
ReadinessCheck check_of(const KeySwitches& switches) {
  if (switches.failure().empty() && switches.were_read()) return {"keySwitches", "", ""};
  const std::string what = switches.were_read()
                               ? "keys that operators disable or enable now are not seen"
                               : "nothing is claimed or signed until it is known which keys operators have disabled";
  return {"keySwitches", what + ": " + switches.failure(), what + "; the log says why", !switches.were_read()};
}

std::string why_not_ours(const HaSigner& signer) {
  if (!signer.healthy()) return "another process has taken this node id";
  if (signer.lease_runs()) return "";
  return "the store has not confirmed this node's lease for longer than it lasts";
}

}  // namespace

std::string Readiness::why_not_accepting() const {
  if (draining_) return "the service is about to end";
  return administration_->drain ? "an operator has drained the service" : "";
}

asio::awaitable<std::vector<ReadinessCheck>> Readiness::check(std::shared_ptr<Readiness> self) {
  const auto now = self->node_.clock().now();
  const bool stale = self->looked_at_ == MonotonicTime{} || now - self->looked_at_ > kLookHolds;
  if (stale && !self->looking_) {
    self->looking_ = true;
    StoreLook found;
    try {
      found = co_await look(self->node_);
    } catch (...) {
      found.reason = describe_current_exception("the look at the store");
    }
    self->look_ = std::move(found);
    self->looked_at_ = self->node_.clock().now();
    self->looking_ = false;
  }
  std::vector<ReadinessCheck> checks;
  checks.push_back({"store", self->look_.reason, "the store cannot be used now; the log says why"});
  if (self->look_.replication) checks.push_back(check_of(*self->look_.replication));
  if (const auto journaled = self->node_.journaled_store()) {
    checks.push_back(check_of(journaled->status()));
    if (const auto* guard = journaled->guard()) checks.push_back(check_of(guard->status()));
  }
  if (self->health_) checks.push_back(check_of(*self->health_));
  checks.push_back(check_of(*self->key_switches_));
  const auto not_ours = why_not_ours(self->node_.signer());
  checks.push_back({"nodeId", not_ours, not_ours});
  const auto not_accepting = self->why_not_accepting();
  checks.push_back({"accepting", not_accepting, not_accepting});
  co_return checks;
}

}  // namespace hasigner::service
