#include "hasigner/service/http_request_rules.hpp"

#include <algorithm>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http.hpp>

#include "hasigner/service/console_sessions.hpp"
#include "hasigner/service/request_id.hpp"

namespace hasigner::service {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;

using Text = beast::string_view;

/// The parts of a request's target.
struct Target {
  Text authority;  ///< of the absolute form, in which clients send to proxies
  Text path;
  Text query;
};

/// Returns nullopt for a target of another form than origin, absolute or asterisk.
///
/// Source: RFC 9112, 3.2.
std::optional<Target> target_of(const RequestHeader& header) {
  const Text text = header.target();
  if (text == "*") return header.method() == http::verb::options ? std::optional(Target{{}, text, {}}) : std::nullopt;
  Target target{{}, text, {}};
  for (const Text scheme : {Text("http://"), Text("https://")}) {
    if (!beast::iequals(text.substr(0, scheme.size()), scheme)) continue;
    const Text rest = text.substr(scheme.size());
    target.authority = rest.substr(0, rest.find_first_of("/?#"));
    target.path = rest.substr(target.authority.size());
    if (target.authority.empty()) return std::nullopt;
  }
  const auto question = target.path.find('?');
  if (question != Text::npos) target.query = target.path.substr(question + 1);
  target.path = target.path.substr(0, question);
  if (target.path.empty() && !target.authority.empty()) target.path = "/";
  if (!target.path.starts_with('/')) return std::nullopt;
  return target;
}

/// Whether the text is a host, with or without a port; nothing is one, too. No user, which a reader might take for the
/// host.
///
/// Source: RFC 9110, 7.2; RFC 3986, 3.2.
bool is_authority(Text text) {
  constexpr Text kOthers = "-._~!$&'()*+,;=%:[]";
  return std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || kOthers.contains(c);
  });
}

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

std::optional<RequestFault> refuse_target(const RequestHeader& header) {
  const auto target = target_of(header);
  if (!target || !is_authority(target->authority)) {
    return RequestFault{400, "the request's target must be a path, or an http URL without user and fragment"};
  }
  const auto hosts = header.count(http::field::host);
  // Of HTTP/1.0 a request may have none.
  if (hosts > 1 || (hosts == 0 && header.version() == 11)) return RequestFault{400, "the request must have one Host"};
  if (!is_authority(header[http::field::host])) return RequestFault{400, "Host must be a host, with or without a port"};
  return std::nullopt;
}

std::optional<RequestFault> refuse_expectations(const RequestHeader& header) {
  const auto [first, last] = header.equal_range(http::field::content_encoding);
  for (auto coding = first; coding != last; ++coding) {
    if (coding->value().empty() || beast::iequals(coding->value(), "identity")) continue;
    return RequestFault{415, "the service reads bodies without Content-Encoding only"};
  }
  const auto expected = header[http::field::expect];
  if (!expected.empty() && !beast::iequals(expected, "100-continue")) {
    return RequestFault{417, "the service meets no other expectation than 100-continue"};
  }
  return std::nullopt;
}

/// Source: Fetch Metadata Request Headers, 2.4. A request that a person or a page of the service itself makes is none.
bool is_cross_site(Text site) {
  return !site.empty() && !beast::iequals(site, "none") && !beast::iequals(site, "same-origin");
}

/// Source: RFC 6454, 7.
bool is_origin_of(Text origin, std::string_view host) {
  for (const Text scheme : {Text("http://"), Text("https://")}) {
    if (beast::iequals(origin.substr(0, scheme.size()), scheme)) {
      return !host.empty() && beast::iequals(origin.substr(scheme.size()), host);
    }
  }
  return false;
}

std::string text_of(Text text) {
  return {text.data(), text.size()};
}

/// Unchanged nodes send no header of their own, so the token of a client may stand at the beginning of the
/// path. It is taken out of the path before anything else reads it. A request with two credentials has none.
void take_token_of_path(RequestHead& head) {
  constexpr std::string_view kBeginning = "/hs_";
  if (!head.path.starts_with(kBeginning)) return;
  const auto end = std::min(head.path.find('/', kBeginning.size()), head.path.size());
  const auto token = head.path.substr(1, end - 1);
  head.path.erase(0, end);
  if (head.path.empty()) head.path = "/";
  head.authorization = head.authorization.empty() ? "Bearer " + token : "Bearer";
}

}  // namespace

RequestFault fault_of(const boost::system::error_code& error, const HttpLimits& limits) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return {431, "the header of a request may have " + std::to_string(limits.header_bytes) + " bytes"};
  }
  if (error == http::error::body_limit) {
    return {413, "the body of a request may have " + std::to_string(limits.body_bytes) + " bytes"};
  }
  if (error == http::error::bad_version) return {505, "the service speaks HTTP/1.1 and HTTP/1.0"};
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
  if (auto fault = refuse_target(header)) return fault;
  if (auto fault = refuse_expectations(header)) return fault;
  if (header.count(http::field::authorization) > 1) {
    return RequestFault{400, "the request has more than one Authorization"};
  }
  return std::nullopt;
}

RequestHead head_of(const RequestHeader& header) {
  RequestHead head;
  head.id = request_id(text_of(header["X-Request-Id"]));
  head.method = text_of(header.method_string());
  // A target of another form is refused later; then the path is for the log.
  const auto target = target_of(header).value_or(Target{{}, header.target(), {}});
  head.path = text_of(target.path);
  head.query = text_of(target.query);
  head.authorization = text_of(header[http::field::authorization]);
  take_token_of_path(head);
  head.content_type = text_of(header[http::field::content_type]);
  head.is_http_1_0 = header.version() == 10;
  head.host = text_of(target.authority.empty() ? header[http::field::host] : target.authority);
  head.is_for_proxy = !target.authority.empty() && beast::iequals(target.authority, header[http::field::host]);
  head.has_origin = header.count(http::field::origin) > 0;
  head.has_own_origin = head.has_origin && is_origin_of(header[http::field::origin], head.host);
  head.is_cross_site = is_cross_site(header["Sec-Fetch-Site"]);
  head.session =
      session_credential(text_of(header[http::field::cookie]), text_of(header[kConsoleKeyHeader]), head.host);
  return head;
}

}  // namespace hasigner::service
