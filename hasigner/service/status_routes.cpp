#include "hasigner/service/status_routes.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ranges>

#include "hasigner/service/duty_json.hpp"
#include "hasigner/service/duty_query.hpp"
#include "hasigner/service/read_body.hpp"
#include "hasigner/service/responses.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;

constexpr milliseconds kReadTimeout{5'000};
constexpr std::size_t kMostEntries = 10'000;

bool all_well(const std::vector<ReadinessCheck>& checks) {
  return std::ranges::all_of(checks, [](const auto& check) { return check.reason.empty() || !check.is_needed; });
}

ordered_json check_json(const ReadinessCheck& check, bool in_full) {
  ordered_json object = {{"name", check.name}, {"ok", check.reason.empty()}};
  if (!check.reason.empty()) object["reason"] = in_full ? check.reason : check.summary;
  return object;
}

/// Says in the log what the answers do not say to every caller, once for each reason.
void log_reasons(ApplicationParts& parts, Readiness& readiness, const std::vector<ReadinessCheck>& checks) {
  for (const auto& check : checks) {
    if (!check.is_needed || !readiness.is_news(check)) continue;
    parts.log->write(LogLevel::kWarning, "not_ready", {{"check", check.name}, {"reason", check.reason}});
  }
}

ordered_json replication_json(const Replication& replication, bool with_names) {
  ordered_json object = {{"needed", replication.needed}};
  if (with_names) object["synchronousStandbys"] = printable(replication.synchronous_standbys, 500);
  if (replication.connected) object["connected"] = *replication.connected;
  if (replication.by_storage) object["byStorage"] = true;
  return object;
}

/// Signing goes on without the audit log, so it is not a check.
ordered_json audit_json(const AuditStatus& audit, bool in_full) {
  ordered_json object = {{"ok", audit.failure.empty()}, {"linesLost", audit.lost}};
  if (in_full) object["head"] = to_string(audit.head);
  if (in_full && !audit.failure.empty()) object["reason"] = printable(audit.failure, 500);
  return object;
}

MonotonicTime read_deadline(const ApplicationParts& parts) {
  return parts.node.clock().now() + kReadTimeout;
}

/// The entries under `name`, at most so many, or why the store did not give them.
template <class Entry>
HttpResponse entries_response(const char* name, const StoreResult<std::vector<Entry>>& entries,
                              ordered_json (*to_object)(const Entry&), const RequestHead& head) {
  if (!entries) {
    return to_response(make_problem("unavailable", printable(entries.error().reason, 1'000)), head);
  }
  auto objects = ordered_json::array();
  for (const auto& entry : *entries | std::views::take(kMostEntries)) objects.push_back(to_object(entry));
  return json_response({{name, std::move(objects)}});
}

/// Reads entries and answers with them. A thread for reading makes the text of the answer, in turn with other clients.
template <class Entry>
asio::awaitable<HttpResponse> answer_entries(ApplicationParts& parts, ActiveRequestPtr request, const char* name,
                                             ordered_json (*to_object)(const Entry&),
                                             asio::awaitable<StoreResult<std::vector<Entry>>> reading) {
  const auto in_flight = Reads::enter(parts.reads, request->share);
  if (!in_flight) {
    co_return to_response(make_problem("too_many_requests",
                                       "too many reads are in flight: at most " + std::to_string(Reads::kMostOfClient) +
                                           " of one client, and " + std::to_string(Reads::kMost) + " in all"),
                          request->head);
  }
  auto read = co_await std::move(reading);
  const auto entries = std::make_shared<const StoreResult<std::vector<Entry>>>(std::move(read));
  std::function<HttpResponse()> respond = [request, name, to_object, entries] {
    return entries_response(name, *entries, to_object, request->head);
  };
  const std::size_t count = *entries ? (*entries)->size() : 0;
  auto responding = write_in_turn(parts.work, request, count, std::move(respond));
  auto response = co_await std::move(responding);
  co_return response;
}

asio::awaitable<StoreResult<std::vector<WatermarkEntry>>> visible_watermarks(ApplicationParts& parts, Client client) {
  auto reading = parts.node.history().watermarks(read_deadline(parts));
  auto entries = co_await std::move(reading);
  if (entries) {
    std::erase_if(*entries, [&client](const auto& entry) {
      return entry.validator != kEveryValidator && !client.may_see(entry.validator);
    });
  }
  co_return entries;
}

asio::awaitable<StoreResult<std::vector<DutyProblem>>> problems_of(std::shared_ptr<const DutyProblems> problems,
                                                                   Client viewer, DutyFilter filter) {
  co_return problems->newest(viewer, filter);
}

}  // namespace

asio::awaitable<HttpResponse> answer_ready(ApplicationParts& parts, std::shared_ptr<Readiness> readiness,
                                           ReadyDetails details) {
  const auto checks = co_await Readiness::check(readiness);
  log_reasons(parts, *readiness, checks);
  const bool ready = all_well(checks);
  auto list = ordered_json::array();
  for (const auto& check : checks) list.push_back(check_json(check, details.names));
  ordered_json answer = {{"ready", ready}, {"checks", std::move(list)}};
  const auto& replication = readiness->replication();
  if (details.replication && replication) answer["replication"] = replication_json(*replication, details.names);
  if (parts.audit) answer["audit"] = audit_json(parts.audit->status(), details.names);
  auto response = json_response(answer);
  response.status = ready ? 200 : 503;
  co_return response;
}

asio::awaitable<HttpResponse> answer_metrics(ApplicationParts& parts, std::shared_ptr<Readiness> readiness) {
  const auto checks = co_await Readiness::check(readiness);
  log_reasons(parts, *readiness, checks);
  auto gauges = parts.gauges();
  gauges.ready = all_well(checks);
  gauges.replication = readiness->replication();
  co_return text_response(parts.metrics->text(gauges), "text/plain; version=0.0.4; charset=utf-8");
}

asio::awaitable<HttpResponse> answer_duties(ApplicationParts& parts, ActiveRequestPtr request) {
  auto filter = parse_duty_query(request->head.query);
  if (!filter) co_return to_response(problem_of(filter.error()), request->head);
  const auto& client = request->client;
  if (filter->validator && !client.may_use(*filter->validator)) {
    co_return to_response(make_problem("forbidden", "client " + client.name + " may not see the validator " +
                                                        filter->validator->to_string()),
                          request->head);
  }
  if (client.validators) filter->validators.assign(client.validators->begin(), client.validators->end());
  auto reading = parts.node.history().duties(*filter, read_deadline(parts));
  auto answering = answer_entries(parts, std::move(request), "duties", duty_json, std::move(reading));
  auto response = co_await std::move(answering);
  co_return response;
}

asio::awaitable<HttpResponse> answer_problems(ApplicationParts& parts, ActiveRequestPtr request) {
  auto filter = parse_duty_query(request->head.query);
  if (filter && (filter->status || filter->node_id)) {
    filter = std::unexpected(InvalidInput{filter->status ? "status" : "nodeId", "a parameter that problems do not have",
                                          "one of rollup, validator, slot, fromSlot, toSlot, dutyType, limit"});
  }
  if (!filter) co_return to_response(problem_of(filter.error()), request->head);
  auto remembered = problems_of(parts.problems, request->client, *filter);
  auto answering = answer_entries(parts, std::move(request), "problems", duty_problem_json, std::move(remembered));
  auto response = co_await std::move(answering);
  co_return response;
}

asio::awaitable<HttpResponse> answer_nodes(ApplicationParts& parts, ActiveRequestPtr request) {
  auto reading = parts.node.history().nodes(read_deadline(parts));
  return answer_entries(parts, std::move(request), "nodes", node_json, std::move(reading));
}

asio::awaitable<HttpResponse> answer_watermarks(ApplicationParts& parts, ActiveRequestPtr request) {
  auto reading = visible_watermarks(parts, request->client);
  return answer_entries(parts, std::move(request), "watermarks", watermark_json, std::move(reading));
}

}  // namespace hasigner::service
