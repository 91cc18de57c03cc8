#pragma once

#include <memory>
#include <optional>
#include <string>

#include "hasigner/protection/history.hpp"
#include "hasigner/protection/journaled_store.hpp"
#include "hasigner/protection/ports.hpp"
#include "hasigner/service/audit_log.hpp"
#include "hasigner/service/http.hpp"

namespace hasigner::service {

/// Values that are measured for each scrape, not when they change.
struct Gauges {
  bool ready = false;    ///< all checks of /readyz are ok
  bool healthy = false;  ///< registered under its node id, whether or not the store answers now
  std::size_t attempts_in_flight = 0;
  std::size_t requests_queued = 0;
  std::size_t connections = 0;
  std::size_t requests_in_flight = 0;
  std::uint64_t connections_refused = 0;
  std::optional<ConnectionCounts> store_connections;
  std::optional<Replication> replication;
  std::optional<JournalStatus> journal;   ///< nullopt: none is kept
  std::optional<GuardStatus> guard = {};  ///< nullopt: other nodes are not waited for
  std::size_t keys_disabled = 0;
  bool key_switches_unreadable = false;
  std::optional<AuditStatus> audit;       ///< nullopt: none is kept
  std::optional<bool> is_healthy_by_url;  ///< nullopt: no health URL is asked
};

/// Counters and histograms of a service, for Prometheus.
///
/// The published names with dots as underscores, and our own names, which begin with ha_signer_.
/// Thread safety: any thread.
class ServiceMetrics final : public Metrics {
 public:
  ServiceMetrics(const NodeId& node_id, const std::string& version);
  ~ServiceMetrics() override;
  ServiceMetrics(const ServiceMetrics&) = delete;
  ServiceMetrics& operator=(const ServiceMetrics&) = delete;

  void count(Event event, DutyType type) override;
  void signing_duration(std::chrono::nanoseconds took, DutyType type) override;
  void step_duration(Step step, std::chrono::nanoseconds took, DutyType type) override;
  void removed(Removal what, std::size_t rows) override;
  void batch_sent(std::string_view kind, std::size_t size) override;

  /// Of a request that asks for a signature on the claim of the client's node: `signed`, `auth_request`, or the kind of
  /// the problem.
  void claimed_request(std::string_view outcome);
  void request(const std::string& route, unsigned status, std::chrono::nanoseconds took);

  /// The exposition format, version 0.0.4.
  [[nodiscard]] std::string text(const Gauges& gauges);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hasigner::service
