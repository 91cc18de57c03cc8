#include "hasigner/service/routes.hpp"

#include <array>

namespace hasigner::service {

namespace {

constexpr std::array kRoutes = {
    Route{RouteId::kUpcheck, "GET", "/upcheck", Access::kOpen},
    Route{RouteId::kHealthz, "GET", "/healthz", Access::kOpen},
    Route{RouteId::kReadyz, "GET", "/readyz", Access::kOpen},
    Route{RouteId::kReadyz, "GET", "/healthcheck", Access::kOpen},
    Route{RouteId::kOpenApi, "GET", "/openapi.json", Access::kOpen},
    Route{RouteId::kMetrics, "GET", "/metrics", Access::kClients, Right::kRead},
    Route{RouteId::kReload, "POST", "/reload", Access::kClients, Right::kOperate},
    Route{RouteId::kService, "GET", "/api/v1/service", Access::kClients, Right::kOperate},
    Route{RouteId::kDrain, "POST", "/api/v1/drain", Access::kClients, Right::kOperate},
    Route{RouteId::kUndrain, "POST", "/api/v1/undrain", Access::kClients, Right::kOperate},
    Route{RouteId::kReleaseGuard, "POST", "/api/v1/guard/release", Access::kClients, Right::kOperate},
    Route{RouteId::kKeys, "GET", "/api/v1/keys", Access::kClients, Right::kRead},
    Route{RouteId::kDisableKey, "POST", "/api/v1/keys/disable", Access::kClients, Right::kOperate},
    Route{RouteId::kEnableKey, "POST", "/api/v1/keys/enable", Access::kClients, Right::kOperate},
    Route{RouteId::kRpc, "POST", "/"},
    Route{RouteId::kSign, "POST", "/api/v1/sign", Access::kClients, Right::kSign},
    Route{RouteId::kClaim, "POST", "/api/v1/duties/claim", Access::kClients, Right::kSteps},
    Route{RouteId::kRecord, "POST", "/api/v1/duties/record", Access::kClients, Right::kSteps},
    Route{RouteId::kRelease, "POST", "/api/v1/duties/release", Access::kClients, Right::kSteps},
    Route{RouteId::kDuties, "GET", "/api/v1/duties", Access::kClients, Right::kRead},
    Route{RouteId::kNodes, "GET", "/api/v1/nodes", Access::kClients, Right::kRead},
    Route{RouteId::kWatermarks, "GET", "/api/v1/watermarks", Access::kClients, Right::kRead},
    Route{RouteId::kSetWatermarks, "POST", "/api/v1/watermarks", Access::kClients, Right::kOperate},
    Route{RouteId::kEvents, "GET", "/api/v1/events", Access::kClients, Right::kRead},
    Route{RouteId::kProblems, "GET", "/api/v1/problems", Access::kClients, Right::kRead},
    Route{RouteId::kConsole, "GET", "/console", Access::kOpen},
    Route{RouteId::kConsoleWithSlash, "GET", "/console/", Access::kOpen},
    Route{RouteId::kConsoleStyle, "GET", "/console/console.css", Access::kOpen},
    Route{RouteId::kConsoleScript, "GET", "/console/console.js", Access::kOpen},
    Route{RouteId::kConsoleIcon, "GET", "/console/icon.svg", Access::kOpen},
    Route{RouteId::kSession, "GET", "/console/session", Access::kOpen},
    Route{RouteId::kLogin, "POST", "/console/session", Access::kClients, Right::kRead},
    Route{RouteId::kLogout, "POST", "/console/logout", Access::kClients},
};

}  // namespace

std::span<const Route> routes() {
  return kRoutes;
}

RouteMatch find_route(std::string_view method, std::string_view path) {
  RouteMatch match;
  for (const auto& route : kRoutes) {
    if (route.path != path) continue;
    match.route = &route;
    match.method_fits = route.method == method || (route.method == "GET" && method == "HEAD");
    if (match.method_fits) return match;
  }
  return match;
}

}  // namespace hasigner::service
