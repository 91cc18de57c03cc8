#pragma once

#include <string>
#include <string_view>

namespace hasigner::service {

/// The id of a request: the id that the client chose, if it has 1 to 64 letters, digits, `.`, `_` or `-`, otherwise 16
/// random hex digits.
[[nodiscard]] std::string request_id(std::string_view chosen);

}  // namespace hasigner::service
