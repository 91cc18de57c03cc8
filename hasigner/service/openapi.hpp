#pragma once

#include <string_view>

namespace hasigner::service {

/// The description of the service's HTTP interface: hasigner/service/openapi.json, as it was when this was built.
///
/// Source: OpenAPI 3.1.
[[nodiscard]] std::string_view openapi_document();

}  // namespace hasigner::service
