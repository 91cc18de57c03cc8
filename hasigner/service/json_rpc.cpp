#include "hasigner/service/json_rpc.hpp"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "hasigner/crypto/json_text.hpp"

namespace hasigner::service {

namespace {

using Kind = JsonValue::Kind;

struct SignMethod {
  std::string_view name;
  std::string_view payload;  ///< its name, for errors
  std::size_t validator_at;  ///< index of the parameter with the address; the payload is the other parameter
  decltype(&read_typed_payload) read_payload;
};
constexpr std::array kSignMethods = {
    SignMethod{"eth_sign", "message", 0, read_message_payload},
    SignMethod{"personal_sign", "message", 1, read_message_payload},
    SignMethod{"eth_signTypedData", "typed data", 0, read_typed_payload},
    SignMethod{"eth_signTypedData_v4", "typed data", 0, read_typed_payload},
};

Problem wrong_params(std::string detail) {
  auto problem = make_problem("invalid_input", std::move(detail));
  problem.field = "params";
  return problem;
}

Problem lacks_right(const Client& client, Right right) {
  return make_problem("forbidden", "client " + client.name + " lacks the right " + std::string(to_string(right)));
}

ReadResult<SignDutyRequest> read_sign_params(const SignMethod& method, const std::vector<JsonValue>& params,
                                             const Client& client) {
  if (!client.may(Right::kSign)) return std::unexpected(lacks_right(client, Right::kSign));
  const auto name = std::string(method.name);
  if (params.size() < 2 || params.size() > 3) {
    const auto payload = std::string(method.payload);
    return std::unexpected(wrong_params(name + " takes " +
                                        (method.validator_at == 0 ? "address, " + payload : payload + ", address") +
                                        " and the signing context"));
  }
  const auto& address = params[method.validator_at];
  if (!address.is(Kind::kString)) return std::unexpected(wrong_params("the address of " + name + " must be a string"));
  const auto validator = EthAddress::parse(address.text(), "the address of " + name);
  if (!validator) return std::unexpected(problem_of(validator.error()));
  SignDutyRequest request{.validator = *validator, .payload = {}, .context = {}};
  if (params.size() == 3 && !params[2].is(Kind::kNull)) {
    const auto context = read_context(params[2], "signing context");
    if (!context) return std::unexpected(problem_of(context.error()));
    request.context = *context;
  }
  if (auto refused = refuse_unread(*validator, request.context, client)) return std::unexpected(std::move(*refused));
  auto payload = method.read_payload(params[1 - method.validator_at], method.payload);
  if (!payload) return std::unexpected(problem_of(payload.error()));
  request.payload = std::move(*payload);
  return request;
}

using What = decltype(RpcCall::what);

What read_query(RpcQuery query, const std::vector<JsonValue>& params) {
  if (!params.empty()) return wrong_params("the method takes no parameters");
  return query;
}

What read_transaction_params(const std::vector<JsonValue>& params, std::uint64_t chain_id, const Client& client) {
  if (!client.may(Right::kTransactions)) return lacks_right(client, Right::kTransactions);
  if (params.size() != 1) return wrong_params("eth_signTransaction takes one transaction");
  auto transaction = read_transaction(params[0], chain_id);
  if (!transaction) return problem_of(transaction.error());
  return std::move(*transaction);
}

What read_method(std::string_view name, const std::vector<JsonValue>& params, std::uint64_t chain_id,
                 const Client& client) {
  if (name == "eth_accounts") return read_query(RpcQuery::kAccounts, params);
  if (name == "eth_chainId") return read_query(RpcQuery::kChainId, params);
  if (name == "eth_signTransaction") return read_transaction_params(params, chain_id, client);
  const auto* const method = std::ranges::find(kSignMethods, name, &SignMethod::name);
  if (method == kSignMethods.end()) {
    return make_problem("not_found", "the service has no method " + printable(name) +
                                         "; it has eth_accounts, eth_chainId, eth_sign, personal_sign, "
                                         "eth_signTypedData, eth_signTypedData_v4 and eth_signTransaction");
  }
  auto request = read_sign_params(*method, params, client);
  if (!request) return std::move(request.error());
  return std::move(*request);
}

RpcCall read_call(const JsonValue& value, std::uint64_t chain_id, const Client& client) {
  RpcCall call;
  const auto refuse = [&call](const std::string& what) {
    call.what = make_problem("bad_request", what + "; the service speaks JSON-RPC 2.0");
    call.is_malformed = true;
    return std::move(call);
  };
  if (!value.is(Kind::kObject)) return refuse("a call must be an object");
  const auto* const id = value.find("id");
  const bool has_id = id && (id->is(Kind::kString) || id->is(Kind::kNumber) || id->is(Kind::kNull));
  if (!has_id || id->text().size() > 200) return refuse("a call must have an id, a short text or a number");
  call.id = json_text(*id);
  const auto* const version = value.find("jsonrpc");
  if (!version || !version->is(Kind::kString) || version->text() != "2.0") return refuse("jsonrpc must be \"2.0\"");
  const auto* const method = value.find("method");
  if (!method || !method->is(Kind::kString)) return refuse("a call must have a method");
  call.method = printable(method->text(), 40);
  const auto* const params = value.find("params");
  if (params && !params->is(Kind::kArray)) return refuse("params must be an array");
  static const std::vector<JsonValue> none;
  call.what = read_method(method->text(), params ? params->items() : none, chain_id, client);
  return call;
}

}  // namespace

ReadResult<RpcRequest> parse_rpc(std::string_view body, std::size_t most, std::uint64_t chain_id,
                                 const Client& client) {
  const auto document = JsonValue::parse(body, "the body");
  if (!document) return std::unexpected(not_json(document.error()));
  RpcRequest request;
  if (!document->is(Kind::kArray)) {
    request.calls.push_back(read_call(*document, chain_id, client));
    return request;
  }
  request.shape = RequestShape::kMany;
  const auto& items = document->items();
  if (items.empty()) return std::unexpected(make_problem("bad_request", "a batch must have at least one call"));
  if (items.size() > most) {
    return std::unexpected(make_problem("too_large", "a batch may have " + std::to_string(most) + " calls"));
  }
  request.calls.reserve(items.size());
  for (const auto& item : items) request.calls.push_back(read_call(item, chain_id, client));
  return request;
}

// The id goes back as the client wrote it. The JSON library would round a long number, so the envelope is text.
std::string rpc_text(const RpcAnswer& answer, const std::string& request_id, bool is_short) {
  const auto start = R"({"jsonrpc":"2.0","id":)" + answer.id;
  if (answer.result) return start + R"(,"result":)" + *answer.result + "}";
  const auto& problem = answer.result.error();
  nlohmann::ordered_json error = {{"code", problem_kind(problem.kind).rpc_code}, {"message", problem.detail}};
  if (!is_short) error["data"] = to_json(problem, request_id);
  return start + R"(,"error":)" + error.dump() + "}";
}

std::string quantity(std::string_view decimal) {
  std::uint64_t number = 0;
  std::from_chars(decimal.data(), decimal.data() + decimal.size(), number);
  std::array<char, 17> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

}  // namespace hasigner::service
