#include "hasigner/service/admin_routes.hpp"

#include <nlohmann/json.hpp>

#include "hasigner/service/audit.hpp"
#include "hasigner/service/responses.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;

ordered_json report_json(const std::optional<ReloadReport>& report) {
  if (!report) return nullptr;
  const auto& changes = report->changes;
  return {{"beganAt", iso_text(report->began_at)},
          {"endedAt", iso_text(report->ended_at)},
          {"by", report->by},
          {"succeeded", report->succeeded},
          {"what", printable(report->what, 2'000)},
          {"attestersAdded", changes.attesters_added},
          {"attestersRemoved", changes.attesters_removed},
          {"clientsAdded", changes.clients_added},
          {"clientsRemoved", changes.clients_removed},
          {"clientsChanged", changes.clients_changed}};
}

ordered_json drain_json(const std::optional<Drain>& drain) {
  if (!drain) return nullptr;
  return {{"since", iso_text(drain->since)}, {"by", drain->by}};
}

HttpResponse changed(ApplicationParts& parts, const ActiveRequest& request, const char* event) {
  parts.log->write(LogLevel::kWarning, event, {{"by", "client " + request.client.name}});
  audit_action(parts, request, event, {});
  return answer_service(parts);
}

}  // namespace

std::optional<Problem> refuse_new(const ApplicationParts& parts) {
  const auto& drain = parts.administration->drain;
  if (!drain) return std::nullopt;
  return make_problem("draining", "this service is drained since " + iso_text(drain->since) +
                                      " and signs nothing new: ask another one, or end that with POST "
                                      "/api/v1/undrain");
}

asio::awaitable<HttpResponse> answer_reload(ApplicationParts& parts, ActiveRequestPtr request) {
  auto reloading = parts.reload("client " + request->client.name);
  const auto reloaded = co_await std::move(reloading);
  if (!reloaded) co_return to_response(make_problem("reload_failed", reloaded.error()), request->head);
  co_return json_response({{"reloaded", *reloaded}});
}

HttpResponse answer_service(const ApplicationParts& parts) {
  const auto& administration = *parts.administration;
  return json_response({{"nodeId", parts.about.node_id},
                        {"version", parts.about.version},
                        {"drained", drain_json(administration.drain)},
                        {"attemptsInFlight", parts.node.signer().attempts_in_flight()},
                        {"reload",
                         {{"running", administration.reloading},
                          {"last", report_json(administration.last_reload)},
                          {"lastFailed", report_json(administration.last_failed_reload)}}},
                        {"time", iso_text(std::chrono::system_clock::now())}});
}

HttpResponse answer_drain(ApplicationParts& parts, const ActiveRequest& request) {
  if (parts.administration->drain) return answer_service(parts);
  parts.administration->drain = Drain{std::chrono::system_clock::now(), "client " + request.client.name};
  return changed(parts, request, "drain");
}

HttpResponse answer_undrain(ApplicationParts& parts, const ActiveRequest& request) {
  if (!parts.administration->drain) return answer_service(parts);
  parts.administration->drain.reset();
  return changed(parts, request, "undrain");
}

}  // namespace hasigner::service
