#include "hasigner/service/refuse_head.hpp"

#include "hasigner/service/problem.hpp"
#include "hasigner/service/routes.hpp"

namespace hasigner::service {

namespace {

bool is_json(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  while (type.ends_with(' ')) type.pop_back();
  for (auto& c : type) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return type == "application/json";
}

HttpResponse refusal(const RequestHead& head, const Route* route, std::string_view kind, std::string detail) {
  auto response = to_response(make_problem(kind, std::move(detail)), head);
  if (route) response.route = route->path;
  return response;
}

/// Without a clients file a web page could reach the service under a name of its own that leads to this machine. A
/// browser cannot use a Unix socket, names the host always, and sends a target in absolute form to a proxy only.
///
/// Source: RFC 9112, 3.2.1 and 3.2.2.
bool is_for_this_service(const RequestHead& head, const Caller& caller, const HostNames& hosts) {
  if (!caller.is_any || is_on_unix_socket(head) || head.is_for_proxy) return true;
  return head.host.empty() || hosts.contains(head.host);
}

bool is_of_session(const Route& route) {
  return route.id == RouteId::kLogin || route.id == RouteId::kLogout;
}

/// A browser names the origin of a page with every POST. Those of a session come from the page of the console itself.
bool is_from_other_page(const Route& route, const RequestHead& head, const Caller& caller) {
  if (head.is_cross_site) return true;
  const bool operates_by_session = caller.by_session && route.right == Right::kOperate;
  return head.has_origin && !((is_of_session(route) || operates_by_session) && head.has_own_origin);
}

std::optional<HttpResponse> refuse_client(const Route& route, const RequestHead& head, const Client* client) {
  if (!client && head.lost_authority) {
    return refusal(head, &route, "unauthorized", "the authority of client certificates was replaced: connect again");
  }
  if (!client) {
    return refusal(head, &route, "unauthorized",
                   "the request must carry the token of a client, as Authorization: Bearer TOKEN, or come with the "
                   "certificate of a client");
  }
  if (!route.right || client->may(*route.right)) return std::nullopt;
  auto response = refusal(head, &route, "forbidden",
                          "client " + client->name + " lacks the right " + std::string(to_string(*route.right)));
  response.client = client->name;
  return response;
}

bool has_body(const Route& route) {
  switch (route.id) {
    case RouteId::kReload:
    case RouteId::kDrain:
    case RouteId::kUndrain:
    case RouteId::kReleaseGuard:
    case RouteId::kLogin:
    case RouteId::kLogout: return false;
    default: return true;
  }
}

}  // namespace

std::optional<HttpResponse> refuse_head(const RequestHead& head, const Caller& caller, const HostNames& hosts) {
  // Of OPTIONS only: it asks for the service as a whole.
  if (head.path == "*") return HttpResponse{.status = 204, .headers = {{"Allow", "GET, HEAD, POST, OPTIONS"}}};
  const auto match = find_route(head.method, head.path);
  const auto* const route = match.route;
  if (!route) return refusal(head, nullptr, "not_found", "the service has no path " + printable(head.path));
  if (!match.method_fits) {
    auto response =
        refusal(head, route, "method_not_allowed", std::string(route->path) + " is for " + std::string(route->method));
    response.headers.emplace_back("Allow", route->method == "GET" ? "GET, HEAD" : std::string(route->method));
    return response;
  }
  if (is_from_other_page(*route, head, caller)) {
    return refusal(head, route, "forbidden", "a web page must not use this service");
  }
  if (!is_for_this_service(head, caller, hosts)) {
    return refusal(head, route, "forbidden",
                   "the request is for the host " + printable(head.host, 100) +
                       ", and without a clients file the service answers to its own addresses only: use one of them, "
                       "or give this name with --allowed-hosts");
  }
  if (route->access == Access::kOpen) return std::nullopt;
  if (auto refused = refuse_client(*route, head, caller.client.get())) return refused;
  if (route->method == "POST" && has_body(*route) && !is_json(head.content_type)) {
    return refusal(head, route, "unsupported_media_type",
                   "the body must be JSON, and say so: Content-Type: application/json (curl: --json, or -H "
                   "'Content-Type: application/json'); it says " +
                       (head.content_type.empty() ? "nothing" : printable(head.content_type, 100)));
  }
  return std::nullopt;
}

}  // namespace hasigner::service
