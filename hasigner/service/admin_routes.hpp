#pragma once

#include <optional>

#include "hasigner/service/active_request.hpp"
#include "hasigner/service/application_parts.hpp"
#include "hasigner/service/problem.hpp"

namespace hasigner::service {

// The routes of operators. Each change has its line in the audit log.

/// Why nothing new may be signed or claimed by this service now; nullopt when it may.
[[nodiscard]] std::optional<Problem> refuse_new(const ApplicationParts& parts);

/// `POST /reload`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_reload(ApplicationParts& parts, ActiveRequestPtr request);
/// `GET /api/v1/service`: what operators have asked for, and what came of it.
[[nodiscard]] HttpResponse answer_service(const ApplicationParts& parts);
/// `POST /api/v1/drain`, `POST /api/v1/undrain`.
[[nodiscard]] HttpResponse answer_drain(ApplicationParts& parts, const ActiveRequest& request);
[[nodiscard]] HttpResponse answer_undrain(ApplicationParts& parts, const ActiveRequest& request);

}  // namespace hasigner::service
