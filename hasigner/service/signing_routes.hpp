#pragma once

#include "hasigner/service/active_request.hpp"
#include "hasigner/service/application_parts.hpp"

namespace hasigner::service {

// The routes that sign. A signature gets into an answer in one way only: the key store returned it, and the key store
// asks the signer for every protected duty.

/// `POST /`: JSON-RPC.
[[nodiscard]] asio::awaitable<HttpResponse> answer_rpc(ApplicationParts& parts, ActiveRequestPtr request);
/// `POST /api/v1/sign`.
[[nodiscard]] asio::awaitable<HttpResponse> answer_sign(ApplicationParts& parts, ActiveRequestPtr request);

}  // namespace hasigner::service
