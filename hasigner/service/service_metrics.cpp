#include "hasigner/service/service_metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

namespace hasigner::service {

namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;

constexpr std::size_t kDutyTypes = static_cast<std::size_t>(DutyType::kTxs) + 1;
constexpr std::size_t kEvents = static_cast<std::size_t>(Metrics::Event::kUnhealthy) + 1;

const Histogram::BucketBoundaries& milliseconds_buckets() {
  static const Histogram::BucketBoundaries buckets{0.25, 0.5, 1,   2,   3,   5,    7.5,  10,   15,    25,
                                                   50,   75,  100, 250, 500, 1000, 2500, 5000, 10000, 30000};
  return buckets;
}
const Histogram::BucketBoundaries& size_buckets() {
  static const Histogram::BucketBoundaries buckets{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000};
  return buckets;
}

struct EventName {
  const char* name;
  const char* help;
};

/// In the order of Metrics::Event.
constexpr std::array<EventName, kEvents> kEventNames = {{
    {"aztec_ha_signer_signing_success_count", "Signatures confirmed and released"},
    {"aztec_ha_signer_duty_already_signed_count", "Refused: the duty had been signed with the same data"},
    {"aztec_ha_signer_slashing_protection_count", "Refused: the duty had been signed with other data"},
    {"ha_signer_outside_watermark_count", "Refused: the slot was outside a watermark"},
    {"aztec_ha_signer_signing_error_count", "Attempts that failed otherwise"},
    {"aztec_ha_signer_lock_acquired_count", "Duties claimed"},
    {"ha_signer_lock_lost_count", "Signatures destroyed because their row was no longer held by the attempt"},
    {"ha_signer_in_doubt_count", "Signatures destroyed because the store did not confirm them in time"},
    {"ha_signer_taken_over_count", "Duties taken over from a silent holder, with the same data"},
    {"ha_signer_replaced_count", "Duties replaced: taken from a holder whose lease had ended"},
    {"ha_signer_late_signature_destroyed_count", "Signatures that came after their time-out"},
    {"ha_signer_store_error_count", "Calls that the store did not answer"},
    {"ha_signer_recorded_returned_count", "Recorded signatures that were returned because another attempt had signed"},
    {"ha_signer_held_back_count",
     "Duties that were held back before they were claimed, for a preferred or healthy node"},
    {"ha_signer_unhealthy_count", "Refused: the health check of this node fails"},
}};

/// In the order of Metrics::Step.
constexpr std::array<const char*, 3> kStepNames = {"claim", "sign", "record"};

double milliseconds_of(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

const char* removal_name(Removal what) {
  switch (what) {
    case Removal::kAbandoned:
    case Removal::kStuck: return "aztec_ha_signer_cleanup_stuck_duties_count";
    case Removal::kOld:
    case Removal::kExpired:
    case Removal::kReleased: return "aztec_ha_signer_cleanup_old_duties_count";
    case Removal::kOtherRollups: return "aztec_ha_signer_cleanup_outdated_rollup_duties_count";
  }
  return "";
}

}  // namespace

struct ServiceMetrics::State {
  State(const NodeId& node_id, const std::string& version)
      : node{{"aztec_ha_signer_node_id", printable(node_id.str(), 1'000)}} {
    for (std::size_t event = 0; event < kEvents; ++event) {
      auto& family = prometheus::BuildCounter()
                         .Name(kEventNames[event].name)
                         .Help(kEventNames[event].help)
                         .Labels(node)
                         .Register(registry);
      for (std::size_t type = 0; type < kDutyTypes; ++type) counters[event][type] = &family.Add(duty_label(type));
    }
    auto& signing = prometheus::BuildHistogram()
                        .Name("aztec_ha_signer_signing_duration")
                        .Help("From the start of an attempt to its released signature, in ms")
                        .Labels(node)
                        .Register(registry);
    for (std::size_t type = 0; type < kDutyTypes; ++type) {
      signing_durations[type] = &signing.Add(duty_label(type), milliseconds_buckets());
    }
    auto& steps = prometheus::BuildHistogram()
                      .Name("ha_signer_step_duration")
                      .Help("Claiming, signing and recording one duty, in ms")
                      .Labels(node)
                      .Register(registry);
    for (std::size_t step = 0; step < kStepNames.size(); ++step) {
      step_durations[step] = &steps.Add({{"step", kStepNames[step]}}, milliseconds_buckets());
    }
    for (const auto what : {Removal::kAbandoned, Removal::kStuck, Removal::kOld, Removal::kExpired, Removal::kReleased,
                            Removal::kOtherRollups}) {
      removals[what] = &prometheus::BuildCounter()
                            .Name(removal_name(what))
                            .Help("Rows that the clean-up deleted")
                            .Labels(node)
                            .Register(registry)
                            .Add({});
    }
    claimed_requests.Add({{"outcome", "signed"}});
    prometheus::BuildGauge()
        .Name("ha_signer_build_info")
        .Help("Always 1; the labels say what runs")
        .Register(registry)
        .Add({{"version", version}})
        .Set(1);
  }

  static Labels duty_label(std::size_t type) {
    return {{"aztec_ha_signer_duty_type", std::string(to_string(static_cast<DutyType>(type)))}};
  }

  Gauge& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Labels(node).Register(registry).Add({});
  }

  /// Stores without servers do not have these gauges.
  void show_connections(const ConnectionCounts& counts) {
    gauge("ha_signer_store_connections", "Connections to the store that are open")
        .Set(static_cast<double>(counts.open));
    gauge("ha_signer_store_connections_opening", "Connections to the store that are being opened")
        .Set(static_cast<double>(counts.opening));
    gauge("ha_signer_store_statements_waiting", "Statements that wait for a connection to the store")
        .Set(static_cast<double>(counts.waiting));
  }
  void show_replication(const Replication& replication) {
    gauge("ha_signer_store_standbys_needed", "Synchronous standbys that a commit waits for")
        .Set(static_cast<double>(replication.needed));
    gauge("ha_signer_store_storage_replicates",
          "Whether storage replicates below the database, as the operator has said")
        .Set(replication.by_storage ? 1 : 0);
    if (!replication.connected) return;
    gauge("ha_signer_store_standbys_connected", "Synchronous standbys that commits can wait for")
        .Set(static_cast<double>(*replication.connected));
  }

  void show_health(bool is_healthy) {
    gauge("ha_signer_health_check",
          "Whether this node should take duties, as its health URL says; only where one is set")
        .Set(is_healthy ? 1 : 0);
  }

  void show_guard(const GuardStatus& guard) {
    gauge(
        "ha_signer_guard_holds",
        "Whether this node claims and releases nothing until all nodes have compared their journals with the database")
        .Set(guard.holds ? 1 : 0);
    gauge("ha_signer_guard_waits_for_nodes", "Nodes that it waits for")
        .Set(static_cast<double>(guard.waits_for.size()));
    waited_for.insert(guard.waits_for.begin(), guard.waits_for.end());
    auto& waits = prometheus::BuildGauge()
                      .Name("ha_signer_guard_waits_for")
                      .Help("Whether it waits for this node; only of nodes that it has waited for since the start")
                      .Labels(node)
                      .Register(registry);
    for (const auto& other : waited_for) {
      waits.Add({{"waits_for", other}}).Set(std::ranges::count(guard.waits_for, other) > 0 ? 1 : 0);
    }
    gauge("ha_signer_guard_holds_begun", "Times that it has begun to hold, since the start")
        .Set(static_cast<double>(guard.holds_begun));
  }
  void show_journal(const JournalStatus& journal) {
    gauge("ha_signer_journal_failing",
          "Whether this node's journal cannot be written: then it claims and releases nothing")
        .Set(journal.failure.empty() ? 0 : 1);
    gauge("ha_signer_journal_refused", "Requests for another message than the journal has, since the start")
        .Set(static_cast<double>(journal.refused));
    gauge("ha_signer_journal_forgotten_by_store",
          "Duties that the journal has with a signature, and the store has not, since the start")
        .Set(static_cast<double>(journal.forgotten));
    gauge("ha_signer_journal_written_back", "Duties that the store had lost and this node wrote back, since the start")
        .Set(static_cast<double>(journal.written_back));
    gauge("ha_signer_journal_contradicted_by_store",
          "Duties that the journal has with a signature, and the store with another message, since the start")
        .Set(static_cast<double>(journal.contradicted));
  }

  void show_audit(const AuditStatus& audit) {
    gauge("ha_signer_audit_failing", "Whether the audit log cannot be written; signing goes on")
        .Set(audit.failure.empty() ? 0 : 1);
    gauge("ha_signer_audit_lines_lost", "Lines of the audit log that were never written, since the start")
        .Set(static_cast<double>(audit.lost));
  }

  Labels node;
  std::set<std::string> waited_for;  ///< by the guard, since the start
  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Merge};
  std::array<std::array<Counter*, kDutyTypes>, kEvents> counters{};
  std::array<Histogram*, kDutyTypes> signing_durations{};
  std::array<Histogram*, kStepNames.size()> step_durations{};
  std::map<Removal, Counter*> removals;
  Family<Histogram>& batch_sizes = prometheus::BuildHistogram()
                                       .Name("ha_signer_batch_size")
                                       .Help("Requests that went to the store in one statement")
                                       .Labels(node)
                                       .Register(registry);
  Family<Counter>& requests = prometheus::BuildCounter()
                                  .Name("ha_signer_http_requests_count")
                                  .Help("Requests answered")
                                  .Labels(node)
                                  .Register(registry);
  Family<Counter>& claimed_requests =
      prometheus::BuildCounter()
          .Name("ha_signer_claimed_requests_count")
          .Help("Requests for a signature on the claim of the client's node, by what became of them")
          .Labels(node)
          .Register(registry);
  Family<Histogram>& request_durations = prometheus::BuildHistogram()
                                             .Name("ha_signer_http_request_duration")
                                             .Help("From the first byte of a request to its answer, in ms")
                                             .Labels(node)
                                             .Register(registry);
  Gauge& ready = gauge("ha_signer_ready", "Whether this node could sign now, as /readyz says");
  Gauge& healthy = gauge("ha_signer_healthy", "Whether no other process has taken this node id");
  Gauge& attempts = gauge("ha_signer_attempts_in_flight", "Attempts that have not answered");
  Gauge& queued = gauge("ha_signer_queue_length", "Requests that wait to be sent to the store");
  Gauge& connections = gauge("ha_signer_http_connections", "Connections of clients");
  Gauge& in_flight = gauge("ha_signer_http_requests_in_flight", "Requests that have not been answered");
  Gauge& keys_disabled = gauge("ha_signer_keys_disabled", "Keys that operators have disabled for all services");
  Gauge& switches_unreadable = gauge(
      "ha_signer_key_switches_unreadable",
      "Whether the switches of keys could not be read the last time; without any since the start nothing is signed");
  Gauge& refused = gauge("ha_signer_http_connections_refused",
                         "Connections refused, or closed for another one, because there were too many");
};

ServiceMetrics::ServiceMetrics(const NodeId& node_id, const std::string& version)
    : state_(std::make_unique<State>(node_id, version)) {}

ServiceMetrics::~ServiceMetrics() = default;

void ServiceMetrics::count(Event event, DutyType type) {
  state_->counters[static_cast<std::size_t>(event)][static_cast<std::size_t>(type)]->Increment();
}

void ServiceMetrics::signing_duration(std::chrono::nanoseconds took, DutyType type) {
  state_->signing_durations[static_cast<std::size_t>(type)]->Observe(milliseconds_of(took));
}

void ServiceMetrics::step_duration(Step step, std::chrono::nanoseconds took, DutyType) {
  state_->step_durations[static_cast<std::size_t>(step)]->Observe(milliseconds_of(took));
}

void ServiceMetrics::removed(Removal what, std::size_t rows) {
  state_->removals.at(what)->Increment(static_cast<double>(rows));
}

void ServiceMetrics::batch_sent(std::string_view kind, std::size_t size) {
  state_->batch_sizes.Add({{"kind", std::string(kind)}}, size_buckets()).Observe(static_cast<double>(size));
}

void ServiceMetrics::claimed_request(std::string_view outcome) {
  state_->claimed_requests.Add({{"outcome", std::string(outcome)}}).Increment();
}

void ServiceMetrics::request(const std::string& route, unsigned status, std::chrono::nanoseconds took) {
  // Unknown paths share one label, so that a client that invents paths cannot fill the memory.
  const std::string label = route.empty() ? "none" : route;
  state_->requests.Add({{"route", label}, {"status", std::to_string(status)}}).Increment();
  state_->request_durations.Add({{"route", label}}, milliseconds_buckets()).Observe(milliseconds_of(took));
}

std::string ServiceMetrics::text(const Gauges& gauges) {
  state_->ready.Set(gauges.ready ? 1 : 0);
  state_->healthy.Set(gauges.healthy ? 1 : 0);
  state_->attempts.Set(static_cast<double>(gauges.attempts_in_flight));
  state_->queued.Set(static_cast<double>(gauges.requests_queued));
  state_->connections.Set(static_cast<double>(gauges.connections));
  state_->in_flight.Set(static_cast<double>(gauges.requests_in_flight));
  if (gauges.store_connections) state_->show_connections(*gauges.store_connections);
  if (gauges.replication) state_->show_replication(*gauges.replication);
  if (gauges.journal) state_->show_journal(*gauges.journal);
  if (gauges.guard) state_->show_guard(*gauges.guard);
  state_->keys_disabled.Set(static_cast<double>(gauges.keys_disabled));
  state_->switches_unreadable.Set(gauges.key_switches_unreadable ? 1 : 0);
  if (gauges.audit) state_->show_audit(*gauges.audit);
  if (gauges.is_healthy_by_url) state_->show_health(*gauges.is_healthy_by_url);
  state_->refused.Set(static_cast<double>(gauges.connections_refused));
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace hasigner::service
