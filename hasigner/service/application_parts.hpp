#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "hasigner/factory/ha_node.hpp"
#include "hasigner/keys/ha_key_store.hpp"
#include "hasigner/protection/node_health.hpp"
#include "hasigner/service/administration.hpp"
#include "hasigner/service/audit_log.hpp"
#include "hasigner/service/audited_refusals.hpp"
#include "hasigner/service/aztec_payload.hpp"
#include "hasigner/service/claimed_signing.hpp"
#include "hasigner/service/clients.hpp"
#include "hasigner/service/duty_problems.hpp"
#include "hasigner/service/fair_work.hpp"
#include "hasigner/service/host_names.hpp"
#include "hasigner/service/key_switches.hpp"
#include "hasigner/service/log.hpp"
#include "hasigner/service/open_claims.hpp"
#include "hasigner/service/reads.hpp"
#include "hasigner/service/service_metrics.hpp"
#include "hasigner/service/watermark_turns.hpp"

namespace hasigner::service {

/// What the console shows of the service beside what its store holds.
struct AboutService {
  std::string node_id;
  std::string version;
  milliseconds attempt_timeout{0};
  milliseconds stuck_duty_age{0};
};

/// What the application is made of. All of it outlives the application.
struct ApplicationParts {
  HaNode& node;
  keys::HaKeyStore& keys;
  SigningDomain domain;
  std::uint64_t chain_id = 0;  ///< the same as in `domain`
  std::shared_ptr<const Clients> clients;
  std::shared_ptr<ClaimedSigning> claimed;  ///< null where no other nodes share the store
  std::shared_ptr<FairWork> work;
  std::shared_ptr<OpenClaims> open_claims;
  std::shared_ptr<Reads> reads = std::make_shared<Reads>();
  std::shared_ptr<WatermarkTurns> watermark_turns;
  std::shared_ptr<DutyProblems> problems = std::make_shared<DutyProblems>();
  std::shared_ptr<ServiceMetrics> metrics;
  std::shared_ptr<Log> log;
  std::shared_ptr<AuditLog> audit;  ///< null: none is kept
  std::shared_ptr<AuditedRefusals> audited_refusals;
  std::shared_ptr<Administration> administration;
  std::shared_ptr<KeySwitches> key_switches;
  AboutService about;
  std::size_t max_duties = 10'000;           ///< of one request
  HostNames hosts;                           ///< of the service
  std::shared_ptr<const NodeHealth> health;  ///< null where it is not checked
  std::function<Gauges()> gauges;
  /// Loads keys, clients and certificates again, for the one who asks. The text says what was loaded, or what is wrong
  /// with them.
  std::function<asio::awaitable<std::expected<std::string, std::string>>(std::string by)> reload;
};

}  // namespace hasigner::service
