#include "hasigner/keys/http_connection.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>

namespace hasigner::keys {

namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;
using TlsStream = ssl::stream<beast::tcp_stream>;

constexpr std::uint32_t kMaxHeaderBytes = 16 * 1024;
constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);

std::unexpected<HttpFailure> failure(std::string reason) {
  return std::unexpected(HttpFailure{std::move(reason)});
}

bool is_timeout(const error_code& error) {
  return error == beast::error::timeout || error == asio::error::timed_out;
}

/// Whether the server ended the connection.
bool is_closed(const error_code& error) {
  return error == asio::error::eof || error == asio::error::connection_reset || error == asio::error::broken_pipe ||
         error == asio::error::connection_aborted || error == http::error::end_of_stream ||
         error == ssl::error::stream_truncated;
}

// Name lookup. The lookup of the system cannot be interrupted, so it is abandoned at the time-out.

struct Lookup {
  Lookup(asio::any_io_executor executor, HttpDeadline deadline) : resolver(executor), done(executor, deadline) {}
  tcp::resolver resolver;
  asio::steady_timer done;
  bool has_ended = false;
  error_code error;
  tcp::resolver::results_type found;
};

asio::awaitable<HttpResult<tcp::resolver::results_type>> look_up(std::string host, std::string port,
                                                                 HttpDeadline deadline) {
  error_code no_address;
  const auto address = asio::ip::make_address(host, no_address);
  if (!no_address) {
    const tcp::endpoint endpoint(address, static_cast<std::uint16_t>(std::stoul(port)));
    co_return tcp::resolver::results_type::create(endpoint, host, port);
  }
  const auto executor = co_await asio::this_coro::executor;
  const auto lookup = std::make_shared<Lookup>(executor, deadline);
  lookup->resolver.async_resolve(host, port, [lookup](error_code error, tcp::resolver::results_type found) {
    lookup->has_ended = true;
    lookup->error = error;
    lookup->found = std::move(found);
    lookup->done.cancel();
  });
  error_code ignored;
  auto token = asio::redirect_error(asio::use_awaitable, ignored);
  co_await lookup->done.async_wait(token);
  if (!lookup->has_ended) co_return failure("could not be found in time: the name service does not answer");
  if (lookup->error) co_return failure("could not be found: " + lookup->error.message());
  co_return lookup->found;
}

// TLS.

/// Makes the handshake check that the certificate is for this host.
bool expect_host(SSL* session, const std::string& host) {
  X509_VERIFY_PARAM* const expected = SSL_get0_param(session);
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  error_code no_address;
  asio::ip::make_address(host, no_address);
  if (!no_address) return X509_VERIFY_PARAM_set1_ip_asc(expected, host.c_str()) == 1;
  return X509_VERIFY_PARAM_set1_host(expected, host.c_str(), host.size()) == 1 &&
         SSL_set_tlsext_host_name(session, host.c_str()) == 1;
}

HttpFailure handshake_failure(SSL* session, const error_code& error) {
  if (is_timeout(error)) return {"did not finish the TLS handshake in time"};
  const auto verdict = SSL_get_verify_result(session);
  if (verdict != X509_V_OK) {
    return {std::string("showed a certificate that is not accepted: ") + X509_verify_cert_error_string(verdict)};
  }
  return {"failed in the TLS handshake: " + error.message()};
}

template <class Stream>
class StreamConnection final : public HttpConnection {
 public:
  StreamConnection(std::shared_ptr<const HttpEndpoint> endpoint, Stream stream)
      : endpoint_(std::move(endpoint)), stream_(std::move(stream)) {}

  asio::awaitable<HttpResult<HttpAnswer>> exchange(std::shared_ptr<const HttpRequest> request,
                                                   HttpDeadline deadline) override {
    is_open_ = false;
    const auto message = message_of(*request);
    beast::get_lowest_layer(stream_).expires_at(deadline);
    const auto [write_error, written] = co_await http::async_write(stream_, message, kAsTuple);
    if (write_error) co_return std::unexpected(failure_of(write_error, *request, is_closed(write_error)));

    http::response_parser<http::string_body> parser;
    parser.header_limit(kMaxHeaderBytes);
    parser.body_limit(request->max_answer_bytes);
    const auto [read_error, read] = co_await http::async_read(stream_, buffer_, parser, kAsTuple);
    const bool nothing_came = !parser.got_some() && buffer_.size() == 0;
    if (read_error) co_return std::unexpected(failure_of(read_error, *request, is_closed(read_error) && nothing_came));
    beast::get_lowest_layer(stream_).expires_never();
    is_open_ = parser.keep_alive() && buffer_.size() == 0;
    HttpAnswer answer{parser.get().result_int(), std::move(parser.get().body())};
    co_return answer;
  }

  bool can_be_reused() override {
    if (!is_open_) return false;
    // What can be read now is the server's good-bye, or nothing that was asked for.
    char byte = 0;
    const int socket = beast::get_lowest_layer(stream_).socket().native_handle();
    return ::recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

 private:
  http::request<http::string_body> message_of(const HttpRequest& request) const {
    const auto verb = request.json ? http::verb::post : http::verb::get;
    http::request<http::string_body> message{verb, endpoint_->url.target, 11, request.json.value_or("")};
    message.set(http::field::host, endpoint_->url.host_header);
    if (request.json) message.set(http::field::content_type, "application/json");
    message.set(http::field::accept, "application/json");
    message.set(http::field::user_agent, "ha-signer");
    if (endpoint_->url.authorization) message.set(http::field::authorization, endpoint_->url.authorization->view());
    message.prepare_payload();
    return message;
  }

  static HttpFailure failure_of(const error_code& error, const HttpRequest& request, bool closed_without_answer) {
    if (is_timeout(error)) return {"did not answer in time"};
    if (closed_without_answer)
      return {.reason = "closed the connection without an answer", .closed_without_answer = true};
    if (is_closed(error) || error == http::error::partial_message) {
      return {"closed the connection in the middle of its answer"};
    }
    if (error == http::error::body_limit || error == http::error::buffer_overflow) {
      return {"answered with more than " + std::to_string(request.max_answer_bytes) + " bytes"};
    }
    if (error == http::error::header_limit) return {"answered with too many headers"};
    if (error.category() == http::make_error_code(http::error::bad_version).category()) {
      return {"answered with something that is not HTTP: " + error.message()};
    }
    return {"failed: " + error.message()};
  }

  std::shared_ptr<const HttpEndpoint> endpoint_;
  Stream stream_;
  beast::flat_buffer buffer_;
  bool is_open_ = true;
};

asio::awaitable<HttpResult<std::unique_ptr<HttpConnection>>> secure(std::shared_ptr<const HttpEndpoint> endpoint,
                                                                    beast::tcp_stream plain) {
  TlsStream stream(std::move(plain), *endpoint->tls);
  if (!expect_host(stream.native_handle(), endpoint->url.host)) co_return failure("has a host name that TLS refuses");
  ERR_clear_error();
  const auto [error] = co_await stream.async_handshake(ssl::stream_base::client, kAsTuple);
  if (error) co_return std::unexpected(handshake_failure(stream.native_handle(), error));
  co_return std::make_unique<StreamConnection<TlsStream>>(std::move(endpoint), std::move(stream));
}

}  // namespace

asio::awaitable<HttpResult<std::unique_ptr<HttpConnection>>> open_http_connection(
    std::shared_ptr<const HttpEndpoint> endpoint, HttpDeadline deadline) {
  auto found = co_await look_up(endpoint->url.host, endpoint->url.port, deadline);
  if (!found) co_return std::unexpected(std::move(found.error()));
  const auto executor = co_await asio::this_coro::executor;
  beast::tcp_stream stream(executor);
  stream.expires_at(deadline);
  const auto [error, address] = co_await stream.async_connect(*found, kAsTuple);
  if (error) {
    co_return failure(is_timeout(error) ? "did not accept a connection in time"
                                        : "cannot be connected to: " + error.message());
  }
  error_code ignored;
  stream.socket().set_option(tcp::no_delay(true), ignored);
  if (endpoint->tls) {
    auto secured = co_await secure(std::move(endpoint), std::move(stream));
    co_return secured;
  }
  co_return std::make_unique<StreamConnection<beast::tcp_stream>>(std::move(endpoint), std::move(stream));
}

}  // namespace hasigner::keys
