#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "hasigner/factory/ha_node.hpp"
#include "hasigner/protection/node_health.hpp"
#include "hasigner/service/administration.hpp"
#include "hasigner/service/key_switches.hpp"

namespace hasigner::service {

struct ReadinessCheck {
  /// `store`, `replication` (on servers only), `journal` (where one is kept), `health` (where it is checked),
  /// `keySwitches`, `nodeId`, `accepting`.
  std::string name;
  std::string reason;     ///< why the check failed; empty when it did not
  std::string summary;    ///< of the reason, without names of hosts and the like
  bool is_needed = true;  ///< whether a service that fails this check is not ready
};

/// The result of a look at the store.
struct StoreLook {
  std::string reason;  ///< why the store cannot be used; empty when it can
  std::optional<Replication> replication;
};

/// Whether the service could sign now. The result of a look at the store is reused for half a second.
///
/// Thread safety: the node's executor.
class Readiness {
 public:
  /// `health` is null where it is not checked.
  Readiness(HaNode& node, std::shared_ptr<const Administration> administration,
            std::shared_ptr<const KeySwitches> key_switches, std::shared_ptr<const NodeHealth> health)
      : node_(node),
        administration_(std::move(administration)),
        key_switches_(std::move(key_switches)),
        health_(std::move(health)) {}

  [[nodiscard]] static asio::awaitable<std::vector<ReadinessCheck>> check(std::shared_ptr<Readiness> self);
  void begin_to_drain() { draining_ = true; }
  /// Whether the check fails for another reason than at the last call about it.
  [[nodiscard]] bool is_news(const ReadinessCheck& check) {
    const auto before = std::exchange(reasons_[check.name], check.reason);
    return !check.reason.empty() && before != check.reason;
  }
  /// The replication at the last look. Returns nullopt before the first look, and for a store without servers.
  [[nodiscard]] const std::optional<Replication>& replication() const { return look_.replication; }

 private:
  [[nodiscard]] std::string why_not_accepting() const;

  HaNode& node_;
  std::shared_ptr<const Administration> administration_;
  std::shared_ptr<const KeySwitches> key_switches_;
  std::shared_ptr<const NodeHealth> health_;
  std::map<std::string, std::string> reasons_;
  bool draining_ = false;
  bool looking_ = false;
  StoreLook look_{"not looked at yet", std::nullopt};
  MonotonicTime looked_at_{};
};

}  // namespace hasigner::service
