#pragma once

#include "hasigner/service/active_request.hpp"
#include "hasigner/service/application_parts.hpp"

namespace hasigner::service {

/// `POST /api/v1/watermarks`: forbids slots to one validator, or to all that this service and its store know.
///
/// It only tightens: a stolen token can make nodes miss duties, and nothing more. What lets more be signed is for
/// the owner of the database (`ha-signer watermark set`).
[[nodiscard]] asio::awaitable<HttpResponse> answer_set_watermarks(ApplicationParts& parts, ActiveRequestPtr request);

}  // namespace hasigner::service
