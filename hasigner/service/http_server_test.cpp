#include "hasigner/service/http_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <thread>

#include "hasigner/service/responses.hpp"

namespace hasigner::service {
namespace {

using boost::system::error_code;
using testing::EndsWith;
using testing::StartsWith;
using Socket = asio::ip::tcp::socket;
using namespace std::chrono_literals;

/// A stream without events.
class SilentStream final : public EventStream {
 public:
  explicit SilentStream(asio::any_io_executor executor) : bell_(std::move(executor), std::chrono::hours(1)) {}

  asio::awaitable<std::optional<std::string>> next() override {
    error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    if (!ended_) co_await bell_.async_wait(token);
    co_return std::nullopt;
  }
  void end() override {
    if (!std::exchange(ended_, true)) has_ended.set_value();
    bell_.cancel();
  }

  std::promise<void> has_ended;

 private:
  asio::steady_timer bell_;
  bool ended_ = false;
};

/// Knows one client, and answers `OK`, or with a stream.
class Handler final : public HttpHandler {
 public:
  [[nodiscard]] std::optional<std::string> client_name(const RequestHead&) const override { return "client"; }
  [[nodiscard]] std::optional<HttpResponse> refuse(const RequestHead&) override { return std::nullopt; }
  [[nodiscard]] asio::awaitable<HttpResponse> respond(HttpRequest) override {
    if (before_answer) before_answer();
    auto response = text_response("OK");
    response.events = stream;
    co_return response;
  }
  [[nodiscard]] HttpResponse failure(const RequestHead&, unsigned status, const std::string& detail) override {
    return {.status = status, .body = detail};
  }
  void answered(const RequestHead&, const HttpResponse&, std::chrono::nanoseconds) override {}

  std::shared_ptr<SilentStream> stream;
  std::function<void()> before_answer;
};

/// A server on a thread of its own.
struct HttpServerTest : testing::Test {
  explicit HttpServerTest(HttpLimits limits = {}) {
    auto listener = Listener::open(TcpAddress{"127.0.0.1", 0});
    port = std::get<TcpAddress>(listener.address()).port;
    const ReportFailure report = [](std::string_view work, const std::exception_ptr&) { ADD_FAILURE() << work; };
    server = std::make_unique<HttpServer>(context.get_executor(), limits, handler, report);
    server->listen(std::move(listener), nullptr);
    thread = std::thread([this] { context.run(); });
  }
  ~HttpServerTest() override {
    context.stop();
    thread.join();
  }

  Socket connect() {
    Socket socket(clients);
    socket.connect({asio::ip::make_address("127.0.0.1"), port});
    return socket;
  }
  Socket send(const std::string& text) {
    auto socket = connect();
    asio::write(socket, asio::buffer(text));
    return socket;
  }
  std::future<void> begin_stream() {
    handler->stream = std::make_shared<SilentStream>(context.get_executor());
    return handler->stream->has_ended.get_future();
  }

  asio::io_context context{1};
  asio::io_context clients;
  asio::executor_work_guard<asio::io_context::executor_type> guard = asio::make_work_guard(context);
  std::shared_ptr<Handler> handler = std::make_shared<Handler>();
  std::unique_ptr<HttpServer> server;
  std::uint16_t port = 0;
  std::thread thread;
};

std::string read_to_end(Socket& socket) {
  std::string text;
  error_code ignored;
  asio::read(socket, asio::dynamic_buffer(text), ignored);
  return text;
}

const std::string kGet = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";

TEST_F(HttpServerTest, ends_a_stream_whose_header_cannot_be_sent) {
  auto ended = begin_stream();
  auto client = connect();
  handler->before_answer = [&client] {
    // With a reset, so that the next write fails.
    client.set_option(asio::socket_base::linger(true, 0));
    client.close();
  };
  asio::write(client, asio::buffer(kGet));
  EXPECT_EQ(ended.wait_for(10s), std::future_status::ready);
}

TEST_F(HttpServerTest, ends_a_stream_soon_after_its_client_has_gone) {
  auto ended = begin_stream();
  auto client = send(kGet);
  std::string header;
  asio::read_until(client, asio::dynamic_buffer(header), "\r\n\r\n");
  EXPECT_EQ(ended.wait_for(0s), std::future_status::timeout);
  client.close();
  EXPECT_EQ(ended.wait_for(5s), std::future_status::ready);
}

TEST_F(HttpServerTest, answers_head_of_a_stream_with_its_header) {
  auto ended = begin_stream();
  auto client = send("HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
  client.shutdown(Socket::shutdown_send);
  const auto text = read_to_end(client);
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(text, EndsWith("\r\n\r\n"));
  EXPECT_EQ(ended.wait_for(0s), std::future_status::ready);
}

constexpr std::size_t kBody = 100'000;
constexpr std::size_t kPart = 70'000;

struct FullOfParts : HttpServerTest {
  FullOfParts() : HttpServerTest({.all_body_bytes = 400'000}) {}

  /// Sends a part of a body.
  Socket begin() {
    return send("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(kBody) + "\r\n\r\n" +
                std::string(kPart, ' '));
  }
  /// Whether the server has read so many parts.
  [[nodiscard]] bool has_read(std::size_t parts) {
    std::promise<std::uint64_t> bytes;
    asio::post(context, [&] { bytes.set_value(server->bytes_handled()); });
    return bytes.get_future().get() >= parts * kPart;
  }
  void wait_until_read(std::size_t parts) {
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (!has_read(parts) && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(1ms);
    ASSERT_TRUE(has_read(parts));
  }
  static std::string end(Socket& socket) {
    asio::write(socket, asio::buffer(std::string(kBody - kPart, ' ')));
    socket.shutdown(Socket::shutdown_send);
    return read_to_end(socket);
  }
};

TEST_F(FullOfParts, one_body_of_a_client_that_has_no_room_left_goes_on) {
  // The client alone may have half of the room: three parts, but for what is not counted.
  std::vector<Socket> within;
  for (int i = 0; i < 3; ++i) within.push_back(begin());
  wait_until_read(3);
  auto beyond = begin();
  wait_until_read(4);
  auto refused = begin();
  EXPECT_THAT(read_to_end(refused), StartsWith("HTTP/1.1 429 "));
  EXPECT_THAT(end(beyond), StartsWith("HTTP/1.1 200 "));
  for (auto& one : within) EXPECT_THAT(end(one), StartsWith("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace hasigner::service
