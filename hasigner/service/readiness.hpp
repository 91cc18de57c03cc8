#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/factory/ha_node.hpp"

namespace hasigner::service {

struct ReadinessCheck {
  std::string name;    ///< `store`, `replication` (on servers only), `nodeId`, `accepting`
  std::string reason;  ///< why not; empty: it is well
};

/// What came of looking at the store.
struct StoreLook {
  std::string reason;  ///< why it cannot be used; empty: it can
  std::optional<Replication> replication;
};

/// Whether the service could sign now. One look at the store serves everybody who asks within half a second.
///
/// Thread safety: the node's executor.
class Readiness {
 public:
  explicit Readiness(HaNode& node) : node_(node) {}

  [[nodiscard]] static asio::awaitable<std::vector<ReadinessCheck>> check(std::shared_ptr<Readiness> self);
  void begin_to_drain() { draining_ = true; }
  /// As it was seen last; nothing: not seen, or a store without servers.
  [[nodiscard]] const std::optional<Replication>& replication() const { return look_.replication; }

 private:
  HaNode& node_;
  bool draining_ = false;
  bool looking_ = false;
  StoreLook look_{"not looked at yet", std::nullopt};
  MonotonicTime looked_at_{};
};

}  // namespace hasigner::service
