#include "hasigner/service/status_routes.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hasigner/service/duty_json.hpp"
#include "hasigner/service/duty_query.hpp"
#include "hasigner/service/responses.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;

constexpr milliseconds kReadTimeout{10'000};

bool all_well(const std::vector<ReadinessCheck>& checks) {
  return std::ranges::all_of(checks, &std::string::empty, &ReadinessCheck::reason);
}

ordered_json check_json(const ReadinessCheck& check) {
  ordered_json object = {{"name", check.name}, {"ok", check.reason.empty()}};
  if (!check.reason.empty()) object["reason"] = check.reason;
  return object;
}

ordered_json replication_json(const Replication& replication) {
  ordered_json object = {{"synchronousStandbys", printable(replication.synchronous_standbys, 500)},
                         {"needed", replication.needed}};
  if (replication.connected) object["connected"] = *replication.connected;
  if (replication.by_storage) object["byStorage"] = true;
  return object;
}

MonotonicTime read_deadline(const ApplicationParts& parts) {
  return parts.node.clock().now() + kReadTimeout;
}

/// The entries under `name`, or why the store did not give them.
template <class Entry>
HttpResponse entries_response(const char* name, const StoreResult<std::vector<Entry>>& entries,
                              ordered_json (*to_object)(const Entry&), const RequestHead& head) {
  if (!entries) {
    return to_response(make_problem("unavailable", printable(entries.error().reason, 1'000)), head);
  }
  auto objects = ordered_json::array();
  for (const auto& entry : *entries) objects.push_back(to_object(entry));
  return json_response({{name, std::move(objects)}});
}

}  // namespace

asio::awaitable<HttpResponse> answer_ready(std::shared_ptr<Readiness> readiness) {
  const auto checks = co_await Readiness::check(readiness);
  const bool ready = all_well(checks);
  auto list = ordered_json::array();
  for (const auto& check : checks) list.push_back(check_json(check));
  ordered_json answer = {{"ready", ready}, {"checks", std::move(list)}};
  if (const auto& replication = readiness->replication()) answer["replication"] = replication_json(*replication);
  auto response = json_response(answer);
  response.status = ready ? 200 : 503;
  co_return response;
}

asio::awaitable<HttpResponse> answer_metrics(ApplicationParts& parts, std::shared_ptr<Readiness> readiness) {
  const auto checks = co_await Readiness::check(readiness);
  auto gauges = parts.gauges();
  gauges.ready = all_well(checks);
  gauges.replication = readiness->replication();
  co_return text_response(parts.metrics->text(gauges), "text/plain; version=0.0.4; charset=utf-8");
}

asio::awaitable<HttpResponse> answer_reload(ApplicationParts& parts, ActiveRequestPtr request) {
  const auto reloaded = co_await parts.reload();
  if (!reloaded) co_return to_response(make_problem("reload_failed", reloaded.error()), request->head);
  co_return json_response({{"reloaded", *reloaded}});
}

asio::awaitable<HttpResponse> answer_duties(ApplicationParts& parts, ActiveRequestPtr request) {
  const auto filter = parse_duty_query(request->head.query);
  if (!filter) co_return to_response(problem_of(filter.error()), request->head);
  const auto entries = co_await parts.node.history().duties(*filter, read_deadline(parts));
  co_return entries_response("duties", entries, duty_json, request->head);
}

asio::awaitable<HttpResponse> answer_nodes(ApplicationParts& parts, ActiveRequestPtr request) {
  const auto entries = co_await parts.node.history().nodes(read_deadline(parts));
  co_return entries_response("nodes", entries, node_json, request->head);
}

asio::awaitable<HttpResponse> answer_watermarks(ApplicationParts& parts, ActiveRequestPtr request) {
  const auto entries = co_await parts.node.history().watermarks(read_deadline(parts));
  co_return entries_response("watermarks", entries, watermark_json, request->head);
}

}  // namespace hasigner::service
