#pragma once

#include "hasigner/service/active_request.hpp"
#include "hasigner/service/application_parts.hpp"

namespace hasigner::service {

// The routes for duties whose keys are elsewhere: the steps of an attempt, one by one.

/// `POST /api/v1/duties/claim`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_claim(ApplicationParts& parts, ActiveRequestPtr request);
/// `POST /api/v1/duties/record`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_record(ApplicationParts& parts, ActiveRequestPtr request);
/// `POST /api/v1/duties/release`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_release(ApplicationParts& parts, ActiveRequestPtr request);

}  // namespace hasigner::service
