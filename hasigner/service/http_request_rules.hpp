#pragma once

#include <boost/system/error_code.hpp>
#include <memory>
#include <optional>
#include <string>

#include "hasigner/service/http.hpp"
#include "hasigner/service/http_limits.hpp"

// NOLINTBEGIN(readability-identifier-naming): the names are Beast's.
namespace boost::beast::http {
template <class Allocator>
class basic_fields;
template <bool is_request, class Fields>
class header;
}  // namespace boost::beast::http
// NOLINTEND(readability-identifier-naming)

namespace hasigner::service {

using RequestHeader = boost::beast::http::header<true, boost::beast::http::basic_fields<std::allocator<char>>>;

/// Why the server does not pass a request on.
struct RequestFault {
  unsigned status = 0;  ///< 0 when the client is gone, so that nothing is answered
  std::string detail;
};

/// The fault behind an error of reading.
[[nodiscard]] RequestFault fault_of(const boost::system::error_code& error, const HttpLimits& limits);

/// Refuses a header that is too large, and one that Beast accepts but another reader on the way here could read
/// differently. Returns nullopt when the header is accepted.
[[nodiscard]] std::optional<RequestFault> refuse_header(const RequestHeader& header, const HttpLimits& limits);

/// The head of the request, without the certificate of the client.
[[nodiscard]] RequestHead head_of(const RequestHeader& header);

}  // namespace hasigner::service
