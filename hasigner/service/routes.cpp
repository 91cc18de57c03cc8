#include "hasigner/service/routes.hpp"

#include <array>

namespace hasigner::service {

namespace {

constexpr std::array kRoutes = {
    Route{RouteId::kUpcheck, "GET", "/upcheck", {}, true},
    Route{RouteId::kHealthz, "GET", "/healthz", {}, true},
    Route{RouteId::kReadyz, "GET", "/readyz", {}, true},
    Route{RouteId::kReadyz, "GET", "/healthcheck", {}, true},
    Route{RouteId::kOpenApi, "GET", "/openapi.json", {}, true},
    Route{RouteId::kMetrics, "GET", "/metrics", Right::kRead},
    Route{RouteId::kReload, "POST", "/reload", Right::kOperate},
    Route{RouteId::kRpc, "POST", "/"},
    Route{RouteId::kSign, "POST", "/api/v1/sign", Right::kSign},
    Route{RouteId::kClaim, "POST", "/api/v1/duties/claim", Right::kSteps},
    Route{RouteId::kRecord, "POST", "/api/v1/duties/record", Right::kSteps},
    Route{RouteId::kRelease, "POST", "/api/v1/duties/release", Right::kSteps},
    Route{RouteId::kDuties, "GET", "/api/v1/duties", Right::kRead},
    Route{RouteId::kNodes, "GET", "/api/v1/nodes", Right::kRead},
    Route{RouteId::kWatermarks, "GET", "/api/v1/watermarks", Right::kRead},
    Route{RouteId::kEvents, "GET", "/api/v1/events", Right::kRead},
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
