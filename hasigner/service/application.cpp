#include "hasigner/service/application.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "hasigner/duty/assert.hpp"
#include "hasigner/keys/gather.hpp"
#include "hasigner/service/duty_json.hpp"
#include "hasigner/service/duty_query.hpp"
#include "hasigner/service/json_rpc.hpp"
#include "hasigner/service/json_text.hpp"
#include "hasigner/service/openapi.hpp"
#include "hasigner/service/orders.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;

/// Larger bodies are read by the threads for work, so that nobody waits for them.
constexpr std::size_t kReadHere = 16 * 1024;
constexpr milliseconds kReadTimeout{10'000};

HttpResponse json_response(const ordered_json& object) {
  return {.status = 200, .body = object.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n"};
}

HttpResponse text_response(std::string text, std::string content_type = "text/plain; charset=utf-8") {
  return {.status = 200, .content_type = std::move(content_type), .body = std::move(text)};
}

bool is_json(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  while (type.ends_with(' ')) type.pop_back();
  for (auto& c : type) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return type == "application/json";
}

/// The kind of problem that the server's own refusals are.
std::string_view kind_of_status(unsigned status) {
  switch (status) {
    case 408: return "request_timeout";
    case 413: return "too_large";
    case 429: return "too_many_requests";
    case 431: return "header_too_large";
    case 501: return "not_implemented";
    case 505: return "http_version";
    default: return "bad_request";
  }
}

template <class T>
asio::awaitable<T> call_here(std::function<T()> function) {
  co_return function();
}

/// Reads a body here or, where it is large, on a thread for work.
template <class T>
asio::awaitable<T> read_body(asio::any_io_executor work, std::size_t size, std::function<T()> read) {
  if (size <= kReadHere) co_return read();
  auto reading = call_here(std::move(read));
  auto result = co_await asio::co_spawn(work, std::move(reading), asio::use_awaitable);
  co_return result;
}

/// The orders of a request's body. `Asked` keeps the body alive meanwhile.
template <class T, class Asked>
asio::awaitable<Ordered<Orders<T>>> read_orders_of(ApplicationParts& parts, std::shared_ptr<Asked> asked,
                                                   Ordered<T> (*read_one)(const JsonValue&, std::string_view)) {
  std::function<Ordered<Orders<T>>()> read = [asked, read_one, most = parts.max_duties] {
    return read_orders<T>(asked->body, most, read_one);
  };
  auto reading = read_body(parts.node.runtime().work_executor(), asked->body.size(), std::move(read));
  auto orders = co_await std::move(reading);
  co_return orders;
}

Problem unknown_validator(const EthAddress& validator) {
  return make_problem("unknown_validator", "no keystore file has an attester " + validator.to_string() +
                                               "; eth_accounts lists those that there are");
}

std::string log_text(const std::vector<std::string_view>& kinds) {
  std::map<std::string_view, std::size_t> counts;
  for (const auto kind : kinds) ++counts[kind];
  std::string text;
  for (const auto& [kind, count] : counts) {
    text += (text.empty() ? "" : " ") + std::string(kind) + (kinds.size() > 1 ? ":" + std::to_string(count) : "");
  }
  return text;
}

using Signed = std::expected<Signature, Problem>;

/// As text at once: there may be thousands in one answer.
std::string signed_text(const SignOrder& order, const Signature& signature) {
  return R"({"validator":")" + order.validator.to_string() + R"(","messageHash":")" +
         keys::digest_of(*order.payload).to_string() + R"(","signature":")" + signature.to_string() + R"("})";
}

HaSigner& signer_of(const ApplicationParts& parts) {
  return parts.node.signer();
}

/// Nothing but the duty and who may do what with it was asked for so far; the key store decides.
asio::awaitable<std::vector<Signed>> sign_orders(ApplicationParts& parts, Client client,
                                                 std::shared_ptr<const std::vector<Ordered<SignOrder>>> orders) {
  std::vector<Signed> results(orders->size(), std::unexpected(Problem{}));
  std::vector<keys::KeyStoreOrder> allowed;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < orders->size(); ++i) {
    const auto& order = (*orders)[i];
    if (!order) {
      results[i] = std::unexpected(order.error());
    } else if (auto problem = refuse_order(*order, client, parts.domain)) {
      results[i] = std::unexpected(std::move(*problem));
    } else if (!parts.keys.coinbase(order->validator)) {
      results[i] = std::unexpected(unknown_validator(order->validator));
    } else {
      // Without a context it is a client that may sign unprotected, and no Aztec payload that needs protection.
      const SigningContext unprotected{.duty_type = DutyType::kAuthRequest, .slot = {}};
      allowed.push_back({order->validator, order->payload, order->context.value_or(unprotected)});
      places.push_back(i);
    }
  }
  auto signing = parts.keys.sign_many(std::move(allowed));
  auto signatures = co_await std::move(signing);
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    if (signatures[i]) {
      results[places[i]] = *signatures[i];
    } else {
      results[places[i]] = std::unexpected(problem_of(signatures[i].error()));
    }
  }
  co_return results;
}

std::string_view kind_of(const Signed& result) {
  return result ? std::string_view("signed") : problem_kind(result.error().kind).kind;
}

}  // namespace

/// One request while it is answered.
struct Application::Asked {
  RequestHead head;
  std::string body;
  Client client;
};

Application::Application(ApplicationParts parts)
    : parts_(std::move(parts)),
      readiness_(std::make_shared<Readiness>(parts_.node)),
      events_(parts_.node.runtime().executor(), parts_.node.history()) {}

void Application::begin_to_drain() {
  readiness_->begin_to_drain();
  events_.end();
}

std::optional<HttpResponse> Application::refuse(const RequestHead& head) {
  const auto match = find_route(head.method, head.path);
  const auto with_route = [&](std::string_view kind, std::string detail) {
    auto response = to_response(make_problem(kind, std::move(detail)), head);
    if (match.route) response.route = match.route->path;
    return response;
  };
  if (!match.route) return with_route("not_found", "the service has no path " + printable(head.path));
  const auto& route = *match.route;
  if (!match.method_fits) {
    auto response = with_route("method_not_allowed", std::string(route.path) + " is for " + std::string(route.method));
    response.headers.emplace_back("Allow", route.method == "GET" ? "GET, HEAD" : std::string(route.method));
    return response;
  }
  if (head.has_origin) return with_route("forbidden", "pages in a browser are no clients of this service");
  if (route.open) return std::nullopt;
  const Client* const client = client_of(head);
  if (!client) {
    return with_route("unauthorized",
                      "the request must carry the token of a client, as Authorization: Bearer TOKEN, "
                      "or come with the certificate of one");
  }
  if (route.right && !client->may(*route.right)) {
    auto response =
        with_route("forbidden", "client " + client->name + " lacks the right " + std::string(to_string(*route.right)));
    response.client = client->name;
    return response;
  }
  if (route.method == "POST" && route.id != RouteId::kReload && !is_json(head.content_type)) {
    return with_route("unsupported_media_type",
                      "the body must be JSON, and say so: Content-Type: application/json (curl: --json, or -H "
                      "'Content-Type: application/json'); it says " +
                          (head.content_type.empty() ? "nothing" : printable(head.content_type, 100)));
  }
  return std::nullopt;
}

HttpResponse Application::failure(const RequestHead& head, unsigned status, const std::string& detail) {
  auto problem = make_problem(kind_of_status(status), detail);
  problem.status = status;
  return to_response(problem, head);
}

void Application::answered(const RequestHead& head, const HttpResponse& response, std::chrono::nanoseconds took) {
  parts_.metrics->request(response.route, response.status, took);
  const bool is_routine = response.status == 200 && response.note.empty();
  if (is_routine && response.client.empty()) return;
  const auto took_us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
  const auto level = response.status >= 500 ? LogLevel::kWarning : LogLevel::kInfo;
  parts_.log->write(level, "request",
                    {{"request_id", head.id},
                     {"client", response.client},
                     {"method", head.method},
                     // Whoever asks for a path that is none may have put anything into it.
                     {"path", response.route.empty() ? without_keys(head.path) : std::string(response.route)},
                     {"status", std::to_string(response.status)},
                     {"outcome", response.note},
                     {"took_us", std::to_string(took_us)}});
}

HttpResponse Application::refused(const Problem& problem, const Asked& asked) const {
  return to_response(problem, asked.head);
}

asio::awaitable<HttpResponse> Application::respond(HttpRequest request) {
  const auto match = find_route(request.head.method, request.head.path);
  HASIGNER_ASSERT(match.route && match.method_fits);
  const auto& route = *match.route;
  // Who it is was found out before the body was read; whoever has been struck off since then gets no further.
  const Client* const client = route.open ? nullptr : client_of(request.head);
  if (!route.open && !client) co_return to_response(make_problem("unauthorized", "the client is gone"), request.head);
  auto asked = std::make_shared<Asked>(Asked{std::move(request.head), std::move(request.body), {}});
  if (client) asked->client = *client;
  HttpResponse response;
  try {
    auto dispatched = dispatch(route.id, asked);
    response = co_await std::move(dispatched);
  } catch (const std::exception& error) {
    parts_.log->write(LogLevel::kError, "unexpected", {{"request_id", asked->head.id}, {"what", error.what()}});
    response = refused(make_problem("internal", "the request met an unexpected error; the log has it"), *asked);
  }
  response.route = route.path;
  response.client = asked->client.name;
  co_return response;
}

asio::awaitable<HttpResponse> Application::dispatch(RouteId route, std::shared_ptr<Asked> asked) {
  switch (route) {
    case RouteId::kUpcheck: co_return text_response("OK");
    case RouteId::kHealthz: co_return json_response({{"status", "alive"}});
    case RouteId::kOpenApi: co_return text_response(std::string(openapi_document()), "application/json");
    case RouteId::kEvents: co_return answer_events(*asked);
    default: break;
  }
  asio::awaitable<HttpResponse> answering;
  switch (route) {
    case RouteId::kReadyz: answering = answer_ready(asked); break;
    case RouteId::kMetrics: answering = answer_metrics(); break;
    case RouteId::kReload: answering = answer_reload(asked); break;
    case RouteId::kRpc: answering = answer_rpc(asked); break;
    case RouteId::kSign: answering = answer_sign(asked); break;
    case RouteId::kClaim: answering = answer_claim(asked); break;
    case RouteId::kRecord: answering = answer_record(asked); break;
    case RouteId::kRelease: answering = answer_release(asked); break;
    case RouteId::kDuties: answering = answer_duties(asked); break;
    case RouteId::kNodes: answering = answer_nodes(asked); break;
    case RouteId::kWatermarks: answering = answer_watermarks(asked); break;
    default: HASIGNER_ASSERT(false);
  }
  auto response = co_await std::move(answering);
  co_return response;
}

asio::awaitable<HttpResponse> Application::answer_ready(std::shared_ptr<Asked>) {
  auto checking = Readiness::check(readiness_);
  const auto checks = co_await std::move(checking);
  bool ready = true;
  auto list = ordered_json::array();
  for (const auto& check : checks) {
    ordered_json object = {{"name", check.name}, {"ok", check.reason.empty()}};
    if (!check.reason.empty()) object["reason"] = check.reason;
    list.push_back(std::move(object));
    ready = ready && check.reason.empty();
  }
  ordered_json answer = {{"ready", ready}, {"checks", std::move(list)}};
  if (const auto& replication = readiness_->replication()) {
    ordered_json standbys = {{"synchronousStandbys", printable(replication->synchronous_standbys, 500)},
                             {"needed", replication->needed}};
    if (replication->connected) standbys["connected"] = *replication->connected;
    answer["replication"] = std::move(standbys);
  }
  auto response = json_response(answer);
  response.status = ready ? 200 : 503;
  co_return response;
}

asio::awaitable<HttpResponse> Application::answer_metrics() {
  auto looking = Readiness::check(readiness_);
  const auto checks = co_await std::move(looking);
  auto gauges = parts_.gauges();
  gauges.ready = std::ranges::all_of(checks, &std::string::empty, &ReadinessCheck::reason);
  gauges.replication = readiness_->replication();
  co_return text_response(parts_.metrics->text(gauges), "text/plain; version=0.0.4; charset=utf-8");
}

asio::awaitable<HttpResponse> Application::answer_reload(std::shared_ptr<Asked> asked) {
  auto reloading = parts_.reload();
  const auto reloaded = co_await std::move(reloading);
  if (!reloaded) co_return refused(make_problem("reload_failed", reloaded.error()), *asked);
  co_return json_response({{"reloaded", *reloaded}});
}

asio::awaitable<HttpResponse> Application::answer_rpc(std::shared_ptr<Asked> asked) {
  const std::function<Ordered<RpcRequest>()> read = [asked, most = parts_.max_duties] {
    return parse_rpc(asked->body, most);
  };
  auto reading = read_body(parts_.node.runtime().work_executor(), asked->body.size(), read);
  auto request = co_await std::move(reading);
  if (!request) {
    const std::vector<RpcAnswer> unreadable{RpcAnswer{"null", request.error()}};
    HttpResponse response{.status = request.error().status == 413 ? 413U : 400U,
                          .body = rpc_text(unreadable, false, asked->head.id)};
    response.note = request.error().kind;
    co_return response;
  }
  std::vector<RpcAnswer> answers;
  auto orders = std::make_shared<std::vector<Ordered<SignOrder>>>();
  std::vector<std::size_t> places;
  const auto& client = asked->client;
  for (auto& call : request->calls) {
    RpcAnswer answer{call.id, Problem{}};
    if (auto* const order = std::get_if<SignOrder>(&call.what); order && client.may(Right::kSign)) {
      orders->push_back(std::move(*order));
      places.push_back(answers.size());
    } else if (order) {
      answer.what = make_problem("forbidden", "client " + client.name + " lacks the right sign");
    } else if (auto* const problem = std::get_if<Problem>(&call.what)) {
      answer.what = std::move(*problem);
    } else if (std::get<RpcQuery>(call.what) == RpcQuery::kChainId) {
      answer.what = json_quoted(quantity(parts_.domain.chain_id));
    } else {
      auto accounts = ordered_json::array();
      for (const auto& address : parts_.keys.attester_addresses()) {
        if (client.may_use(address)) accounts.push_back(address.to_string());
      }
      answer.what = accounts.dump();
    }
    answers.push_back(std::move(answer));
  }
  if (!orders->empty()) {
    auto signing = sign_orders(parts_, client, orders);
    const auto results = co_await std::move(signing);
    for (std::size_t i = 0; i < results.size(); ++i) {
      auto& answer = answers[places[i]];
      if (results[i]) {
        answer.what = json_quoted(results[i]->to_string());
      } else {
        answer.what = results[i].error();
      }
    }
  }
  HttpResponse response{.status = 200, .body = rpc_text(answers, request->batch, asked->head.id)};
  std::vector<std::string_view> outcomes;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto* const problem = std::get_if<Problem>(&answers[i].what);
    outcomes.push_back(problem ? std::string_view(problem->kind) : std::string_view(request->calls[i].method));
  }
  response.note = log_text(outcomes);
  co_return response;
}

asio::awaitable<HttpResponse> Application::answer_sign(std::shared_ptr<Asked> asked) {
  auto reading = read_orders_of(parts_, asked, read_sign_order);
  auto orders = co_await std::move(reading);
  if (!orders) co_return refused(orders.error(), *asked);
  const bool many = orders->many;
  const auto list = std::make_shared<const std::vector<Ordered<SignOrder>>>(std::move(orders->list));
  auto signing = sign_orders(parts_, asked->client, list);
  const auto results = co_await std::move(signing);
  if (!many && !results[0]) co_return refused(results[0].error(), *asked);
  std::vector<std::string_view> outcomes;
  std::string texts;
  for (std::size_t i = 0; i < results.size(); ++i) {
    outcomes.push_back(kind_of(results[i]));
    texts += i > 0 ? "," : "";
    texts += results[i] ? signed_text(*(*list)[i], *results[i])
                        : ordered_json{{"problem", to_json(results[i].error(), asked->head.id)}}.dump();
  }
  HttpResponse response{.status = 200, .body = (many ? "{\"results\":[" + texts + "]}" : texts) + "\n"};
  response.note = log_text(outcomes);
  co_return response;
}

namespace {

using Step = std::expected<ordered_json, Problem>;

asio::awaitable<Step> refuse_step(Problem problem) {
  co_return std::unexpected(std::move(problem));
}

SignRequest request_of(const ClaimOrder& order) {
  return {order.validator, order.message_hash, order.context};
}

Ordered<HeldDuty> held_duty(const ClaimOrder& order, const LockToken& token, const EthAddress& rollup) {
  auto duty = make_duty(rollup, order.validator, order.message_hash, order.context);
  if (!duty) return std::unexpected(problem_of(duty.error()));
  return HeldDuty{std::move(*duty), token};
}

asio::awaitable<Step> claim(HaSigner& signer, ClaimOrder order) {
  auto claiming = signer.check_and_record(request_of(order));
  auto held = co_await std::move(claiming);
  if (!held) co_return std::unexpected(problem_of(held.error()));
  ordered_json object = {{"lockToken", held->lock_token.str()}, {"duty", duty_key_json(held->duty.key)}};
  co_return object;
}

asio::awaitable<Step> record(HaSigner& signer, HeldDuty held, Signature signature) {
  auto recording = signer.record_success(std::move(held), signature);
  const auto recorded = co_await std::move(recording);
  if (!recorded) co_return std::unexpected(problem_of(recorded.error()));
  co_return ordered_json{{"recorded", true}};
}

asio::awaitable<Step> release(HaSigner& signer, HeldDuty held) {
  auto releasing = signer.delete_duty(std::move(held));
  const auto released = co_await std::move(releasing);
  if (!released) co_return std::unexpected(problem_of(released.error()));
  co_return ordered_json{{"released", *released}};
}

/// Runs the steps at once and puts their answers together.
asio::awaitable<HttpResponse> answer_steps(std::vector<asio::awaitable<Step>> steps, bool many, RequestHead head) {
  auto gathering = keys::gather(std::move(steps));
  const auto results = co_await std::move(gathering);
  if (!many && !results[0]) co_return to_response(results[0].error(), head);
  std::vector<std::string_view> outcomes;
  auto objects = ordered_json::array();
  for (const auto& result : results) {
    outcomes.push_back(result ? std::string_view("done") : std::string_view(result.error().kind));
    objects.push_back(result ? *result : ordered_json{{"problem", to_json(result.error(), head.id)}});
  }
  auto response = json_response(many ? ordered_json{{"results", std::move(objects)}} : objects[0]);
  response.note = log_text(outcomes);
  co_return response;
}

}  // namespace

asio::awaitable<HttpResponse> Application::answer_claim(std::shared_ptr<Asked> asked) {
  auto reading = read_orders_of(parts_, asked, read_claim_order);
  const auto orders = co_await std::move(reading);
  if (!orders) co_return refused(orders.error(), *asked);
  std::vector<asio::awaitable<Step>> steps;
  for (const auto& order : orders->list) {
    auto problem = order ? refuse_steps(*order, asked->client) : std::optional(order.error());
    steps.push_back(problem ? refuse_step(std::move(*problem)) : claim(signer_of(parts_), *order));
  }
  auto answering = answer_steps(std::move(steps), orders->many, asked->head);
  auto response = co_await std::move(answering);
  co_return response;
}

asio::awaitable<HttpResponse> Application::answer_record(std::shared_ptr<Asked> asked) {
  auto reading = read_orders_of(parts_, asked, read_record_order);
  const auto orders = co_await std::move(reading);
  if (!orders) co_return refused(orders.error(), *asked);
  std::vector<asio::awaitable<Step>> steps;
  for (const auto& order : orders->list) {
    auto problem = order ? refuse_steps(order->duty, asked->client) : std::optional(order.error());
    if (!problem) {
      if (auto held = held_duty(order->duty, order->lock_token, parts_.domain.rollup)) {
        steps.push_back(record(signer_of(parts_), std::move(*held), order->signature));
        continue;
      } else {
        problem = held.error();
      }
    }
    steps.push_back(refuse_step(std::move(*problem)));
  }
  auto answering = answer_steps(std::move(steps), orders->many, asked->head);
  auto response = co_await std::move(answering);
  co_return response;
}

asio::awaitable<HttpResponse> Application::answer_release(std::shared_ptr<Asked> asked) {
  auto reading = read_orders_of(parts_, asked, read_release_order);
  const auto orders = co_await std::move(reading);
  if (!orders) co_return refused(orders.error(), *asked);
  std::vector<asio::awaitable<Step>> steps;
  for (const auto& order : orders->list) {
    auto problem = order ? refuse_steps(order->duty, asked->client) : std::optional(order.error());
    if (!problem) {
      if (auto held = held_duty(order->duty, order->lock_token, parts_.domain.rollup)) {
        steps.push_back(release(signer_of(parts_), std::move(*held)));
        continue;
      } else {
        problem = held.error();
      }
    }
    steps.push_back(refuse_step(std::move(*problem)));
  }
  auto answering = answer_steps(std::move(steps), orders->many, asked->head);
  auto response = co_await std::move(answering);
  co_return response;
}

namespace {

Problem store_problem(const StoreError& error) {
  return make_problem("unavailable", printable(error.reason, 1'000));
}

template <class Entry>
HttpResponse list_response(const char* name, const std::vector<Entry>& entries, ordered_json (*show)(const Entry&)) {
  auto list = ordered_json::array();
  for (const auto& entry : entries) list.push_back(show(entry));
  return json_response({{name, std::move(list)}});
}

}  // namespace

asio::awaitable<HttpResponse> Application::answer_duties(std::shared_ptr<Asked> asked) {
  const auto filter = parse_duty_query(asked->head.query);
  if (!filter) co_return refused(problem_of(filter.error()), *asked);
  auto reading = parts_.node.history().duties(*filter, parts_.node.clock().now() + kReadTimeout);
  const auto entries = co_await std::move(reading);
  if (!entries) co_return refused(store_problem(entries.error()), *asked);
  co_return list_response("duties", *entries, duty_json);
}

asio::awaitable<HttpResponse> Application::answer_nodes(std::shared_ptr<Asked> asked) {
  auto reading = parts_.node.history().nodes(parts_.node.clock().now() + kReadTimeout);
  const auto entries = co_await std::move(reading);
  if (!entries) co_return refused(store_problem(entries.error()), *asked);
  co_return list_response("nodes", *entries, node_json);
}

asio::awaitable<HttpResponse> Application::answer_watermarks(std::shared_ptr<Asked> asked) {
  auto reading = parts_.node.history().watermarks(parts_.node.clock().now() + kReadTimeout);
  const auto entries = co_await std::move(reading);
  if (!entries) co_return refused(store_problem(entries.error()), *asked);
  co_return list_response("watermarks", *entries, watermark_json);
}

HttpResponse Application::answer_events(const Asked& asked) {
  auto stream = events_.subscribe();
  if (!stream) return refused(make_problem("too_many_requests", "as many listen to events as may"), asked);
  HttpResponse response{.status = 200, .content_type = "text/event-stream"};
  response.events = std::move(stream);
  return response;
}

}  // namespace hasigner::service
