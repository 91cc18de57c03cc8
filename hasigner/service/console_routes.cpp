#include "hasigner/service/console_routes.hpp"

#include <nlohmann/json.hpp>

#include "hasigner/service/log.hpp"
#include "hasigner/service/problem.hpp"
#include "hasigner/service/responses.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;

/// Source: RFC 6265; `SameSite` of its revision.
std::string cookie_text(const RequestHead& head, const std::string& value, std::chrono::seconds life) {
  return console_cookie(head.host) + "=" + value + "; Path=/; Max-Age=" + std::to_string(life.count()) +
         "; HttpOnly; SameSite=Strict" + (head.is_tls ? "; Secure" : "");
}

}  // namespace

HttpResponse console_response(std::string_view text, std::string_view content_type) {
  HttpResponse response{.status = 200, .content_type = std::string(content_type), .body = std::string(text)};
  response.headers = {{"Content-Security-Policy",
                       "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                       "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for "
                       "'script'; trusted-types 'none'"},
                      {"Cross-Origin-Opener-Policy", "same-origin"},
                      {"Cross-Origin-Resource-Policy", "same-origin"},
                      {"Referrer-Policy", "no-referrer"},
                      {"X-Frame-Options", "DENY"}};
  return response;
}

HttpResponse console_redirect() {
  auto response = text_response("The console is at ../console\n");
  response.status = 308;
  response.headers.emplace_back("Location", "../console");
  return response;
}

HttpResponse answer_session(const ApplicationParts& parts, const Client* client) {
  if (!client || !client->may(Right::kRead)) return json_response({{"known", false}});
  ordered_json validators = nullptr;
  if (client->validators) validators = client->validators->size();
  return json_response({{"known", true},
                        {"client", client->name},
                        {"clientsFile", !parts.clients->serves_every_caller()},
                        {"validators", validators},
                        {"operates", client->may(Right::kOperate)},
                        {"nodeId", parts.about.node_id},
                        {"version", parts.about.version},
                        {"chainId", std::to_string(parts.chain_id)},
                        {"rollup", parts.domain.rollup.to_string()},
                        {"attemptTimeoutMs", parts.about.attempt_timeout.count()},
                        {"stuckDutyAgeMs", parts.about.stuck_duty_age.count()},
                        {"time", iso_text(std::chrono::system_clock::now())}});
}

HttpResponse answer_login(const ApplicationParts& parts, ConsoleSessions& sessions, const ActiveRequest& request) {
  const auto token = token_fingerprint(request.head);
  if (parts.clients->serves_every_caller() || !token) {
    return to_response(make_problem("bad_request",
                                    "a session begins with a token, as Authorization: Bearer TOKEN; a "
                                    "client without one needs no session"),
                       request.head);
  }
  const auto opened = sessions.open(*token, parts.node.clock().now());
  auto response =
      json_response({{"key", opened.key}, {"seconds", std::chrono::seconds(ConsoleSessions::kLife).count()}});
  response.headers.emplace_back("Set-Cookie", cookie_text(request.head, opened.id, ConsoleSessions::kLife));
  response.note = "session_opened";
  return response;
}

HttpResponse answer_logout(ConsoleSessions& sessions, const ActiveRequest& request,
                           const ConsoleSessions::Session* session) {
  if (session) sessions.end(session->id);
  auto response = json_response({{"loggedOut", session != nullptr}});
  response.headers.emplace_back("Set-Cookie", cookie_text(request.head, "", std::chrono::seconds(0)));
  response.note = session ? "session_ended" : "";
  return response;
}

}  // namespace hasigner::service
