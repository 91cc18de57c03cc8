#include "hasigner/service/health_watch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <utility>

#include "hasigner/crypto/json.hpp"
#include "hasigner/factory/ha_node.hpp"
#include "hasigner/keys/tls_context.hpp"

namespace hasigner::service {

namespace {

using HealthEndpoint = std::shared_ptr<const keys::HttpEndpoint>;

/// An Aztec node answers with some hundred bytes.
constexpr std::size_t kMaxAnswerBytes = 64 * 1024;

std::unexpected<std::string> fails(const std::string& predicate) {
  return std::unexpected("the health URL " + predicate);
}

keys::RemoteSigner server_of(const HealthCheck& check) {
  return {.url = check.url, .cert_path = {}, .cert_password = {}};
}

HealthEndpoint endpoint_of(const HealthCheck& check, const std::optional<std::filesystem::path>& ca_file) {
  auto endpoint = keys::http_endpoint_of(server_of(check), ca_file, "health URL");
  if (!endpoint) throw StartupError(StartupError::Kind::kConfiguration, endpoint.error().message());
  return std::make_shared<const keys::HttpEndpoint>(std::move(*endpoint));
}

/// Each question has a connection of its own, so that it meets what a new client of the node would meet.
asio::awaitable<NodeHealth::Outcome> ask(HealthEndpoint endpoint, keys::HttpDeadline deadline) {
  auto connection = co_await keys::open_http_connection(endpoint, deadline);
  if (!connection) co_return fails(connection.error().reason);
  const auto request = std::make_shared<const keys::HttpRequest>(
      keys::HttpRequest{.json = std::nullopt, .max_answer_bytes = kMaxAnswerBytes});
  auto exchange = (*connection)->exchange(request, deadline);
  const auto answer = co_await std::move(exchange);
  if (!answer) co_return fails(answer.error().reason);
  co_return health_of(*answer);
}

asio::awaitable<void> ask_again_and_again(HealthEndpoint endpoint, milliseconds interval,
                                          std::function<void(NodeHealth::Outcome)> hand_over) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  for (;;) {
    const auto next = std::chrono::steady_clock::now() + interval;
    auto asking = ask(endpoint, next);
    auto outcome = co_await std::move(asking);
    hand_over(std::move(outcome));
    timer.expires_at(next);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

}  // namespace

std::string shown_url_of(const HealthCheck& check) {
  return server_of(check).shown_url();
}

NodeHealth::Outcome health_of(const keys::HttpAnswer& answer) {
  if (answer.status != 200) return fails("answered with HTTP status " + std::to_string(answer.status));
  const auto body = JsonValue::parse(answer.body, "answer");
  const auto* const ok = body && body->is(JsonValue::Kind::kObject) ? body->find("ok") : nullptr;
  if (ok && ok->is(JsonValue::Kind::kBool) && !ok->boolean()) return fails("answered that the node is not ok");
  return {};
}

NodeHealth::Outcome ask_once(const HealthCheck& check, const std::optional<std::filesystem::path>& ca_file) {
  asio::io_context context;
  auto asking = ask(endpoint_of(check, ca_file), std::chrono::steady_clock::now() + check.interval);
  auto outcome = asio::co_spawn(context, std::move(asking), asio::use_future);
  context.run();
  return outcome.get();
}

void watch_health(const HealthCheck& check, const std::optional<std::filesystem::path>& ca_file,
                  const asio::any_io_executor& network, std::function<void(NodeHealth::Outcome)> hand_over,
                  ReportFailure report) {
  spawn_loop(
      asio::make_strand(network), "the health check",
      [endpoint = endpoint_of(check, ca_file), interval = check.interval, hand_over = std::move(hand_over)] {
        return ask_again_and_again(endpoint, interval, hand_over);
      },
      first_only(std::move(report)));
}

}  // namespace hasigner::service
