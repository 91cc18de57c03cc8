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
  kRpc,
  kSign,
  kClaim,
  kRecord,
  kRelease,
  kDuties,
  kNodes,
  kWatermarks,
  kEvents,
};

struct Route {
  RouteId id;
  std::string_view method;  ///< `GET` (which serves HEAD too) or `POST`
  std::string_view path;
  std::optional<Right> right = {};  ///< nothing, and not open: any client that is known
  bool open = false;                ///< to everybody
};

[[nodiscard]] std::span<const Route> routes();

struct RouteMatch {
  const Route* route = nullptr;  ///< null: none of that path
  bool method_fits = false;
};
[[nodiscard]] RouteMatch find_route(std::string_view method, std::string_view path);

}  // namespace hasigner::service
