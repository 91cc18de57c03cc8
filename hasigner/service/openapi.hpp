#pragma once

#include <string_view>

namespace hasigner::service {

/// The description of the HTTP interface: hasigner/service/openapi.json at build time.
///
/// Source: OpenAPI 3.1.
[[nodiscard]] std::string_view openapi_document();

}  // namespace hasigner::service
