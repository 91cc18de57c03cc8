// Requests of clients, with and without valid tokens, and the clients file.

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http.hpp>
#include <string>

#include "hasigner/crypto/json_text.hpp"
#include "hasigner/service/clients.hpp"
#include "hasigner/service/duty_query.hpp"
#include "hasigner/service/duty_requests.hpp"
#include "hasigner/service/http_limits.hpp"
#include "hasigner/service/http_request_rules.hpp"
#include "hasigner/service/json_rpc.hpp"
#include "hasigner/service/listen_address.hpp"
#include "hasigner/service/refuse_head.hpp"
#include "hasigner/service/request_id.hpp"
#include "hasigner/service/routes.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace hasigner;
using namespace hasigner::service;

constexpr std::size_t kMost = 16;

void check_problem(const Problem& problem) {
  HASIGNER_ASSERT(!problem.kind.empty() && problem.status >= 400);
  test::check_showable(problem.detail);
}

template <class T>
void check_requests(std::string_view text, RequestReader<T> read) {
  const auto requests = read_requests<T>(text, kMost, read);
  if (!requests) return check_problem(requests.error());
  HASIGNER_ASSERT(requests->list.size() <= kMost);
  for (const auto& request : requests->list) {
    if (!request) check_problem(request.error());
  }
}

/// For a client without the right to sign unprotected, a request without a context is refused.
void check_rpc(std::string_view text) {
  Client client{.name = "fuzzer", .rights = {}, .validators = {}, .duty_types = {}};
  const auto without_rights = parse_rpc(text, kMost, 31337, client);
  if (!without_rights) return check_problem(without_rights.error());
  for (const auto& call : without_rights->calls) {
    HASIGNER_ASSERT(std::holds_alternative<Problem>(call.what) || std::holds_alternative<RpcQuery>(call.what));
  }
  client.rights.set();
  client.rights.reset(static_cast<std::size_t>(Right::kUnprotected));
  const auto rpc = parse_rpc(text, kMost, 31337, client);
  HASIGNER_ASSERT(rpc.has_value());
  client.rights.reset(static_cast<std::size_t>(Right::kClaimed));
  const SigningDomain domain{"31337", EthAddress{}};
  for (const auto& call : rpc->calls) {
    if (const auto* const request = std::get_if<SignDutyRequest>(&call.what)) {
      const auto refused = refuse_request(*request, client, domain);
      HASIGNER_ASSERT(request->context || refused);
      if (refused) check_problem(*refused);
    }
    const RpcAnswer answer{.id = call.id, .result = RpcResult("null")};
    HASIGNER_ASSERT(JsonValue::parse(rpc_text(answer, "id"), "answer"));
  }
}

// ---- Whole requests

constexpr std::array kTokens = {"hs_reader", "hs_signer", "hs_steps", "hs_unprotected", "hs_unknown"};

/// A client with each of the first four tokens.
const Clients& clients_of_tokens() {
  static const auto clients = Clients::parse(
      "reader token:sha256:4e18463221bc59565f1fd086afe42fd9328ff0dbb1fcb6cc0661a12fe97aac46 read\n"
      "signer token:sha256:a6c6adfc6c34ba813df80a87b62694b66371c0f77bb514384485ff0f062efb2f sign "
      "validators=0x7e5f4552091a69125d5dfcb7b8c2659029395bdf "
      "duty-types=ATTESTATION\n"
      "steps token:sha256:fbd6ebcd42eb6290837a2073eb404f03126ab166113ba90b2f96cc3bc2bfb0fe steps "
      "validators=0x7e5f4552091a69125d5dfcb7b8c2659029395bdf\n"
      "unprotected token:sha256:ca5b95e9af224cc2a98703cbb8b44751cce2f5e43d465b975ce05ce9f72b18f5 sign,unprotected\n",
      "clients");
  return clients.value();
}

void check_rights(const Client& client, const SignDutyRequest& request) {
  HASIGNER_ASSERT(client.may(Right::kSign) && client.may_use(request.validator));
  HASIGNER_ASSERT(request.context || client.may(Right::kUnprotected));
  HASIGNER_ASSERT(!request.context || client.may_sign(request.context->duty_type));
}

void check_rights(const Client& client, const ClaimRequest& request) {
  HASIGNER_ASSERT(client.may(Right::kSteps) && client.may_use(request.validator));
  HASIGNER_ASSERT(client.may_sign(request.context.duty_type));
}

template <class T>
void check_allowed(const Client& client, std::string_view body, RequestReader<T> read) {
  const auto requests = read_requests<T>(body, kMost, read);
  if (!requests) return;
  const SigningDomain domain{"31337", EthAddress{}};
  for (const auto& request : requests->list) {
    if (!request) continue;
    if constexpr (std::is_same_v<T, SignDutyRequest>) {
      if (!refuse_request(*request, client, domain)) check_rights(client, *request);
    } else if (!refuse_steps(*request, client)) {
      check_rights(client, *request);
    }
  }
}

void check_allowed_calls(const Client& client, std::string_view body) {
  const auto rpc = parse_rpc(body, kMost, 31337, client);
  if (!rpc) return;
  const SigningDomain domain{"31337", EthAddress{}};
  for (const auto& call : rpc->calls) {
    HASIGNER_ASSERT(!std::holds_alternative<Transaction>(call.what) || client.may(Right::kTransactions));
    const auto* const request = std::get_if<SignDutyRequest>(&call.what);
    if (request && !refuse_request(*request, client, domain)) check_rights(client, *request);
  }
}

/// The first byte says which token the request has; a request with the highest bit has what it says itself.
void check_request(std::string_view text) {
  if (text.empty()) return;
  const auto choice = static_cast<std::uint8_t>(text.front());
  text.remove_prefix(1);
  boost::beast::http::request_parser<boost::beast::http::string_body> parser;
  parser.header_limit(4096);
  parser.body_limit(4096);
  parser.eager(true);
  boost::system::error_code error;
  parser.put(boost::asio::buffer(text.data(), text.size()), error);
  if (!parser.is_header_done() || refuse_header(parser.get().base(), HttpLimits{})) return;
  auto head = head_of(parser.get().base());
  if (choice < 128) head.authorization = "Bearer " + std::string(kTokens.at(choice % kTokens.size()));
  const auto& clients = clients_of_tokens();
  const std::shared_ptr<const Client> known(std::shared_ptr<void>(), clients.identify(head));
  const auto refused = refuse_head(head, {known}, HostNames());
  if (refused) {
    HASIGNER_ASSERT(refused->status >= 400 || head.path == "*");
    return;
  }
  const auto match = find_route(head.method, head.path);
  HASIGNER_ASSERT(match.route && match.method_fits && !head.is_cross_site);
  const bool is_of_session = match.route->id == RouteId::kLogin || match.route->id == RouteId::kLogout;
  HASIGNER_ASSERT(!head.has_origin || (is_of_session && head.has_own_origin));
  if (match.route->access == Access::kOpen) return;
  const auto* const client = clients.identify(head);
  HASIGNER_ASSERT(client && (!match.route->right || client->may(*match.route->right)));
  const auto& body = parser.get().body();
  if (match.route->id == RouteId::kRpc) check_allowed_calls(*client, body);
  if (match.route->id == RouteId::kSign) {
    check_allowed<SignDutyRequest>(*client, body, [client](const JsonValue& value, std::string_view json_path) {
      return read_sign_request(value, json_path, *client);
    });
  }
  if (match.route->id == RouteId::kClaim) check_allowed<ClaimRequest>(*client, body, read_claim_request);
}

void check_json_text(std::string_view text) {
  const auto value = JsonValue::parse(text, "text");
  if (!value) return;
  const auto once = json_text(*value);
  const auto again = JsonValue::parse(once, "once");
  HASIGNER_ASSERT(again && json_text(*again) == once);
}

void check_clients(std::string_view text) {
  const auto clients = Clients::parse(text, "clients");
  if (!clients) return test::check_showable(clients.error().message());
  HASIGNER_ASSERT(clients->size() > 0);
  RequestHead head;
  HASIGNER_ASSERT(clients->identify(head) == nullptr);
  head.authorization = text.substr(0, 200);
  static_cast<void>(clients->identify(head));
}

void check_small_texts(std::string_view text) {
  const auto addresses = parse_listen_addresses(text, "--listen");
  if (addresses) {
    for (const auto& address : *addresses) {
      const auto again = parse_listen_addresses(to_string(address), "--listen");
      HASIGNER_ASSERT(again && again->front() == address);
    }
  }
  const auto filter = parse_duty_query(text);
  if (!filter) test::check_showable(filter.error().message());
  const auto id = request_id(text);
  HASIGNER_ASSERT(!id.empty() && id.size() <= 64);
  test::check_showable(id);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = test::text_of(bytes, size);
  check_rpc(text);
  Client client{.name = "fuzzer", .rights = {}, .validators = {}, .duty_types = {}};
  client.rights.set();
  check_requests<SignDutyRequest>(text, [&client](const JsonValue& value, std::string_view json_path) {
    return read_sign_request(value, json_path, client);
  });
  check_requests<ClaimRequest>(text, read_claim_request);
  check_requests<RecordRequest>(text, read_record_request);
  check_requests<ReleaseRequest>(text, read_release_request);
  check_json_text(text);
  check_clients(text);
  check_small_texts(text);
  check_request(text);
  return 0;
}
