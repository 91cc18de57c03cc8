#include "hasigner/service/application.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "hasigner/duty/assert.hpp"
#include "hasigner/service/admin_routes.hpp"
#include "hasigner/service/console.hpp"
#include "hasigner/service/console_routes.hpp"
#include "hasigner/service/openapi.hpp"
#include "hasigner/service/refuse_head.hpp"
#include "hasigner/service/responses.hpp"
#include "hasigner/service/signing_routes.hpp"
#include "hasigner/service/status_routes.hpp"
#include "hasigner/service/step_routes.hpp"
#include "hasigner/service/watermark_routes.hpp"

namespace hasigner::service {

namespace {

/// The kind of problem for a refusal of the server itself.
std::string_view kind_of_status(unsigned status) {
  switch (status) {
    case 408: return "request_timeout";
    case 413: return "too_large";
    case 415: return "unsupported_media_type";
    case 417: return "expectation_failed";
    case 429: return "too_many_requests";
    case 431: return "header_too_large";
    case 501: return "not_implemented";
    case 505: return "http_version";
    default: return "bad_request";
  }
}

asio::awaitable<HttpResponse> answer_now(HttpResponse response) {
  co_return response;
}

}  // namespace

Application::Application(ApplicationParts parts)
    : parts_(std::move(parts)),
      readiness_(std::make_shared<Readiness>(parts_.node, parts_.administration, parts_.key_switches, parts_.health)),
      events_(parts_.node.executor(), parts_.node.history(), parts_.problems, report_to(parts_.log)),
      unknown_clients_(parts_.node.executor(), parts_.log) {}

void Application::begin_to_drain() {
  readiness_->begin_to_drain();
  events_.end();
}

ReloadChanges Application::changes_by(const Clients& clients) const {
  const auto by_name = [](const Clients& all) {
    std::map<std::string, Client> clients_by_name;
    for (auto& client : all.list()) clients_by_name.emplace(client.name, std::move(client));
    return clients_by_name;
  };
  const auto before = by_name(*parts_.clients), after = by_name(clients);
  ReloadChanges changes;
  for (const auto& [name, client] : after) {
    const auto old = before.find(name);
    if (old == before.end()) {
      changes.clients_added.push_back(name);
    } else if (old->second != client) {
      changes.clients_changed.push_back(name);
    }
  }
  for (const auto& [name, client] : before) {
    if (!after.contains(name)) changes.clients_removed.push_back(name);
  }
  return changes;
}

std::optional<ConsoleSessions::Session> Application::session_of(const RequestHead& head) const {
  const bool may_have_one = head.session && head.authorization.empty() && !parts_.clients->serves_every_caller();
  return may_have_one ? sessions_.find(*head.session, *parts_.clients, parts_.node.clock().now()) : std::nullopt;
}

std::shared_ptr<const Client> Application::client_of(const RequestHead& head) const {
  if (const auto session = session_of(head)) return session->client;
  return {parts_.clients, parts_.clients->identify(head)};
}

std::optional<std::string> Application::client_name(const RequestHead& head) const {
  if (parts_.clients->serves_every_caller()) return head.peer;
  const auto client = client_of(head);
  return client ? std::optional("client " + client->name) : std::nullopt;
}

std::optional<HttpResponse> Application::refuse(const RequestHead& head) {
  const Caller caller{.client = client_of(head),
                      .is_any = parts_.clients->serves_every_caller(),
                      .by_session = session_of(head).has_value()};
  return refuse_head(head, caller, parts_.hosts);
}

HttpResponse Application::failure(const RequestHead& head, unsigned status, const std::string& detail) {
  auto problem = make_problem(kind_of_status(status), detail);
  problem.status = status;
  return to_response(problem, head);
}

void Application::answered(const RequestHead& head, const HttpResponse& response, std::chrono::nanoseconds took) {
  parts_.metrics->request(response.route, response.status, took);
  const bool is_routine = response.status == 200 && response.note.empty();
  if (is_routine && response.client.empty()) return;
  if (response.client.empty() && !unknown_clients_.may_write(head.peer, response.status)) return;
  const auto took_us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  const auto level = response.status >= 500 ? LogLevel::kWarning : LogLevel::kInfo;
  parts_.log->write(level, "request",
                    {{"request_id", head.id},
                     {"client", response.client},
                     {"method", without_keys(head.method)},
                     // What is not a method or a route may hold anything, a key too.
                     {"path", response.route.empty() ? without_keys(head.path) : std::string(response.route)},
                     {"status", std::to_string(response.status)},
                     {"outcome", response.note},
                     {"took_us", std::to_string(took_us)}});
}

/// What has waited counts for what the client may do now, not when it asked.
std::optional<Problem> Application::refuse_now(const ActiveRequest& request, RequestHead head) const {
  const auto client = client_of(head);
  const auto& name = request.client.name;
  if (!client || client->name != name) {
    return make_problem("unauthorized", "client " + name +
                                            " is not known by its credential any more: that has changed while the "
                                            "request waited");
  }
  if (client->may_as_much_as(request.client)) return std::nullopt;
  return make_problem("forbidden", "client " + name +
                                       " may do less since a reload, which came while the request waited; ask again "
                                       "for what it still may do");
}

asio::awaitable<HttpResponse> Application::respond(HttpRequest request) {
  const auto match = find_route(request.head.method, request.head.path);
  HASIGNER_ASSERT(match.route && match.method_fits);
  const auto& route = *match.route;
  ActiveRequest active{.head = std::move(request.head),
                       .body = std::move(request.body),
                       .client = {},
                       .share = std::move(request.client),
                       .answer_limit = std::move(request.answer_limit),
                       .client_has_gone = std::move(request.client_has_gone),
                       .refuse_now = {}};
  if (route.access == Access::kClients) {
    // A reload while the body was read may have removed the client, or its right.
    if (auto refused = refuse(active.head)) co_return std::move(*refused);
    active.client = *client_of(active.head);
    active.refuse_now = [this, clients = parts_.clients,
                         certificate = std::move(request.certificate_now)](const ActiveRequest& late) {
      // A session ends without a reload, too.
      if (parts_.clients == clients && !late.head.session) return std::optional<Problem>();
      auto head = late.head;
      if (certificate) head.certificate = certificate();
      return refuse_now(late, std::move(head));
    };
  }
  const auto shared = std::make_shared<const ActiveRequest>(std::move(active));
  HttpResponse response;
  try {
    response = co_await dispatch(route.id, shared);
  } catch (const std::exception& error) {
    parts_.log->write(LogLevel::kError, "unexpected", {{"request_id", shared->head.id}, {"what", error.what()}});
    response =
        to_response(make_problem("internal", "the request met an unexpected error; the log has it"), shared->head);
  }
  response.route = route.path;
  response.client = shared->client.name;
  co_return response;
}

asio::awaitable<HttpResponse> Application::dispatch(RouteId route, ActiveRequestPtr request) {
  switch (route) {
    case RouteId::kUpcheck: return answer_now(text_response("OK"));
    case RouteId::kHealthz: return answer_now(json_response({{"status", "alive"}}));
    case RouteId::kReadyz: return answer_ready(parts_, readiness_, ready_details(request->head));
    case RouteId::kOpenApi: return answer_now(text_response(std::string(openapi_document()), "application/json"));
    case RouteId::kMetrics: return answer_metrics(parts_, readiness_);
    case RouteId::kReload: return answer_reload(parts_, std::move(request));
    case RouteId::kService: return answer_now(answer_service(parts_, request->client));
    case RouteId::kDrain: return answer_now(answer_drain(parts_, *request));
    case RouteId::kUndrain: return answer_now(answer_undrain(parts_, *request));
    case RouteId::kReleaseGuard: return answer_now(answer_release_guard(parts_, *request));
    case RouteId::kKeys: return answer_keys(parts_, std::move(request));
    case RouteId::kDisableKey: return answer_key_switch(parts_, std::move(request), KeyState::kDisabled);
    case RouteId::kEnableKey: return answer_key_switch(parts_, std::move(request), KeyState::kEnabled);
    case RouteId::kSetWatermarks: return answer_set_watermarks(parts_, std::move(request));
    case RouteId::kRpc: return answer_rpc(parts_, std::move(request));
    case RouteId::kSign: return answer_sign(parts_, std::move(request));
    case RouteId::kClaim: return answer_claim(parts_, std::move(request));
    case RouteId::kRecord: return answer_record(parts_, std::move(request));
    case RouteId::kRelease: return answer_release(parts_, std::move(request));
    case RouteId::kDuties: return answer_duties(parts_, std::move(request));
    case RouteId::kNodes: return answer_nodes(parts_, std::move(request));
    case RouteId::kWatermarks: return answer_watermarks(parts_, std::move(request));
    case RouteId::kEvents: return answer_now(answer_events(*request));
    case RouteId::kProblems: return answer_problems(parts_, std::move(request));
    case RouteId::kConsole: return answer_now(console_response(console_page(), "text/html; charset=utf-8"));
    case RouteId::kConsoleWithSlash: return answer_now(console_redirect());
    case RouteId::kConsoleStyle: return answer_now(console_response(console_style(), "text/css; charset=utf-8"));
    case RouteId::kConsoleScript:
      return answer_now(console_response(console_script(), "text/javascript; charset=utf-8"));
    case RouteId::kConsoleIcon: return answer_now(console_response(console_icon(), "image/svg+xml"));
    case RouteId::kSession: return answer_now(answer_session(parts_, client_of(request->head).get()));
    case RouteId::kLogin: return answer_now(answer_login(parts_, sessions_, *request));
    case RouteId::kLogout: return answer_now(log_out(*request));
  }
  HASIGNER_ASSERT(false);
}

/// What is wrong with the store, and the names of its standbys, may name hosts and databases.
ReadyDetails Application::ready_details(const RequestHead& head) const {
  const auto client = client_of(head);
  const bool may_read = client && client->may(Right::kRead);
  return {.names = may_read && !parts_.clients->serves_every_caller(), .replication = may_read};
}

HttpResponse Application::answer_events(const ActiveRequest& request) {
  std::optional<DutyEvents::Session> limit;
  if (const auto session = session_of(request.head)) limit = {session->id, session->ends_at};
  auto stream = events_.subscribe(request.share, request.client, limit);
  if (!stream) {
    return to_response(make_problem("too_many_requests", "the client has as many streams of events as it may"),
                       request.head);
  }
  HttpResponse response{.status = 200, .content_type = "text/event-stream"};
  response.events = std::move(stream);
  return response;
}

HttpResponse Application::log_out(const ActiveRequest& request) {
  const auto session = session_of(request.head);
  if (session) events_.end_session(session->id);
  return answer_logout(sessions_, request, session ? &*session : nullptr);
}

}  // namespace hasigner::service
