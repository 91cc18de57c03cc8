#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "hasigner/service/clients.hpp"

namespace hasigner::service {

enum class RouteId : std::uint8_t {
  kUpcheck,
  kHealthz,
  kReadyz,
  kOpenApi,
  kMetrics,
  kReload,
  kService,
  kKeys,
  kDisableKey,
  kEnableKey,
  kSetWatermarks,
  kDrain,
  kUndrain,
  kReleaseGuard,
  kRpc,
  kSign,
  kClaim,
  kRecord,
  kRelease,
  kDuties,
  kNodes,
  kWatermarks,
  kEvents,
  kProblems,
  kConsole,
  kConsoleWithSlash,
  kConsoleStyle,
  kConsoleScript,
  kConsoleIcon,
  kSession,
  kLogin,
  kLogout,
};

/// Who may use a route.
enum class Access : std::uint8_t { kClients, kOpen };

struct Route {
  RouteId id;
  std::string_view method;  ///< `GET` (which serves HEAD too) or `POST`
  std::string_view path;
  Access access = Access::kClients;
  std::optional<Right> right = {};  ///< what the client needs; nullopt when any client may use the route
};

[[nodiscard]] std::span<const Route> routes();

struct RouteMatch {
  const Route* route = nullptr;  ///< null when no route has that path
  bool method_fits = false;
};
[[nodiscard]] RouteMatch find_route(std::string_view method, std::string_view path);

}  // namespace hasigner::service
