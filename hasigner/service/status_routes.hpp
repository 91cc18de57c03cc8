#pragma once

#include "hasigner/service/active_request.hpp"
#include "hasigner/service/application_parts.hpp"
#include "hasigner/service/readiness.hpp"

namespace hasigner::service {

// The routes that show how the service is, and what its store holds.

/// What the answer tells beside the checks.
struct ReadyDetails {
  bool names = false;        ///< why a check fails, in full, and the names of standbys; the log has both in any case
  bool replication = false;  ///< how the store replicates
};

/// `GET /readyz`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_ready(ApplicationParts& parts, std::shared_ptr<Readiness> readiness,
                                                         ReadyDetails details);
/// `GET /metrics`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_metrics(ApplicationParts& parts,
                                                           std::shared_ptr<Readiness> readiness);

/// `GET /api/v1/duties`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_duties(ApplicationParts& parts, ActiveRequestPtr request);
/// `GET /api/v1/problems`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_problems(ApplicationParts& parts, ActiveRequestPtr request);
/// `GET /api/v1/nodes`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_nodes(ApplicationParts& parts, ActiveRequestPtr request);
/// `GET /api/v1/watermarks`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_watermarks(ApplicationParts& parts, ActiveRequestPtr request);

}  // namespace hasigner::service
