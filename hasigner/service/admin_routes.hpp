#pragma once

#include <optional>

#include "hasigner/service/active_request.hpp"
#include "hasigner/service/application_parts.hpp"
#include "hasigner/service/problem.hpp"

namespace hasigner::service {

// The routes of operators. Each change has its line in the audit log.

/// Why this service may not begin to sign with the key, or claim for it, now; nullopt when it may.
[[nodiscard]] std::optional<Problem> refuse_new(const ApplicationParts& parts, const EthAddress& key);

/// `POST /reload`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_reload(ApplicationParts& parts, ActiveRequestPtr request);
/// `GET /api/v1/keys`: the keys of this service, and whether operators have disabled them.
[[nodiscard]] asio::awaitable<HttpResponse> answer_keys(ApplicationParts& parts, ActiveRequestPtr request);
/// `POST /api/v1/keys/disable`, `POST /api/v1/keys/enable`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_key_switch(ApplicationParts& parts, ActiveRequestPtr request,
                                                              KeyState state);
/// `GET /api/v1/service`: what operators have asked for, and what came of it.
[[nodiscard]] HttpResponse answer_service(const ApplicationParts& parts, const Client& client);
/// `POST /api/v1/drain`, `POST /api/v1/undrain`, `POST /api/v1/guard/release`.
[[nodiscard]] HttpResponse answer_drain(ApplicationParts& parts, const ActiveRequest& request);
[[nodiscard]] HttpResponse answer_undrain(ApplicationParts& parts, const ActiveRequest& request);
[[nodiscard]] HttpResponse answer_release_guard(ApplicationParts& parts, const ActiveRequest& request);

}  // namespace hasigner::service
