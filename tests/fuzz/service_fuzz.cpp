// Requests of clients, and the clients file.

#include <string>

#include "hasigner/crypto/json_text.hpp"
#include "hasigner/service/clients.hpp"
#include "hasigner/service/duty_query.hpp"
#include "hasigner/service/duty_requests.hpp"
#include "hasigner/service/json_rpc.hpp"
#include "hasigner/service/listen_address.hpp"
#include "hasigner/service/request_id.hpp"
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
  std::vector<RpcAnswer> answers;
  for (const auto& call : rpc->calls) {
    if (const auto* const request = std::get_if<SignDutyRequest>(&call.what)) {
      const auto refused = refuse_request(*request, client, domain);
      HASIGNER_ASSERT(request->context || refused);
      if (refused) check_problem(*refused);
    }
    answers.push_back({call.id, RpcResult("null")});
  }
  HASIGNER_ASSERT(JsonValue::parse(rpc_text(answers, rpc->shape, "id"), "answer"));
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
  return 0;
}
