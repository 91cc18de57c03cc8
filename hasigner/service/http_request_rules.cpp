#include "hasigner/service/http_request_rules.hpp"

#include <algorithm>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http.hpp>

#include "hasigner/service/request_id.hpp"

namespace hasigner::service {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

bool is_decimal(beast::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// Beast's own limit counts pieces: a header that comes in one piece may be larger.
bool is_oversized(const RequestHeader& header, const HttpLimits& limits) {
  std::size_t bytes = header.method_string().size() + header.target().size();
  for (const auto& field : header) bytes += field.name_string().size() + field.value().size() + 4;
  return bytes > limits.header_bytes;
}

std::optional<RequestFault> refuse_length(const RequestHeader& header) {
  const auto lengths = header.count(http::field::content_length);
  if (lengths > 1) return RequestFault{400, "the request has more than one Content-Length"};
  if (lengths == 1 && !is_decimal(header[http::field::content_length])) {
    return RequestFault{400, "Content-Length must be one decimal number"};
  }
  const auto codings = header.count(http::field::transfer_encoding);
  if (codings > 0 && lengths > 0) return RequestFault{400, "the request has both Content-Length and Transfer-Encoding"};
  if (codings > 1) return RequestFault{400, "the request has more than one Transfer-Encoding"};
  if (codings == 1 && !beast::iequals(header[http::field::transfer_encoding], "chunked")) {
    return RequestFault{501, "the service knows no other Transfer-Encoding than chunked"};
  }
  if (codings == 1 && header.version() == 10) return RequestFault{400, "HTTP/1.0 has no Transfer-Encoding"};
  return std::nullopt;
}

std::string text_of(beast::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

RequestFault fault_of(const boost::system::error_code& error, const HttpLimits& limits) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return {431, "the header of a request may have " + std::to_string(limits.header_bytes) + " bytes"};
  }
  if (error == http::error::body_limit) {
    return {413, "the body of a request may have " + std::to_string(limits.body_bytes) + " bytes"};
  }
  if (error == beast::error::timeout) return {408, "the request was not complete in time"};
  if (error == http::error::end_of_stream || error == http::error::partial_message) return {};
  if (error.category() == make_error_code(http::error::bad_method).category()) {
    return {400, "this is not an HTTP/1.1 request: " + error.message()};
  }
  return {};
}

std::optional<RequestFault> refuse_header(const RequestHeader& header, const HttpLimits& limits) {
  if (is_oversized(header, limits)) return fault_of(http::error::header_limit, limits);
  if (header.version() != 11 && header.version() != 10) return RequestFault{505, "the service speaks HTTP/1.1"};
  if (auto fault = refuse_length(header)) return fault;
  if (header.version() == 11 && header.count(http::field::host) != 1) {
    return RequestFault{400, "the request must have one Host"};
  }
  if (header.count(http::field::authorization) > 1) {
    return RequestFault{400, "the request has more than one Authorization"};
  }
  return std::nullopt;
}

RequestHead head_of(const RequestHeader& header) {
  RequestHead head;
  head.id = request_id(text_of(header["X-Request-Id"]));
  head.method = text_of(header.method_string());
  const auto target = header.target();
  const auto question = target.find('?');
  head.path = text_of(target.substr(0, question));
  if (question != beast::string_view::npos) head.query = text_of(target.substr(question + 1));
  head.authorization = text_of(header[http::field::authorization]);
  head.content_type = text_of(header[http::field::content_type]);
  head.has_origin = header.count(http::field::origin) > 0;
  return head;
}

}  // namespace hasigner::service
