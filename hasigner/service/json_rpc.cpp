#include "hasigner/service/json_rpc.hpp"

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "hasigner/service/json_text.hpp"

namespace hasigner::service {

namespace {

using Kind = JsonValue::Kind;

struct SignMethod {
  std::string_view name;
  std::string_view payload;  ///< its name, for errors
  std::size_t validator_at;  ///< which parameter is the address; the payload is the other one
  bool typed;
};
constexpr std::array kSignMethods = {
    SignMethod{"eth_sign", "message", 0, false},
    SignMethod{"personal_sign", "message", 1, false},
    SignMethod{"eth_signTypedData", "typed data", 0, true},
    SignMethod{"eth_signTypedData_v4", "typed data", 0, true},
};

std::string with_rpc_kind(std::string detail) {
  return detail + "; the service speaks JSON-RPC 2.0";
}

Problem wrong_params(std::string detail) {
  auto problem = make_problem("invalid_input", std::move(detail));
  problem.field = "params";
  return problem;
}

Ordered<SignOrder> read_sign_params(const SignMethod& method, const std::vector<JsonValue>& params) {
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
  SignOrder order{.validator = *validator, .payload = {}, .context = {}};
  const auto& payload_at = params[1 - method.validator_at];
  auto payload =
      method.typed ? read_typed_payload(payload_at, "typed data") : read_message_payload(payload_at, "message");
  if (!payload) return std::unexpected(problem_of(payload.error()));
  order.payload = std::move(*payload);
  if (params.size() == 3 && !params[2].is(Kind::kNull)) {
    const auto context = read_context(params[2], "signing context");
    if (!context) return std::unexpected(problem_of(context.error()));
    order.context = *context;
  }
  return order;
}

std::variant<Problem, RpcQuery, SignOrder> read_query(RpcQuery query, const std::vector<JsonValue>& params) {
  if (!params.empty()) return wrong_params("the method takes no parameters");
  return query;
}

std::variant<Problem, RpcQuery, SignOrder> read_method(std::string_view name, const std::vector<JsonValue>& params) {
  if (name == "eth_accounts") return read_query(RpcQuery::kAccounts, params);
  if (name == "eth_chainId") return read_query(RpcQuery::kChainId, params);
  const auto* const method = std::ranges::find(kSignMethods, name, &SignMethod::name);
  if (method == kSignMethods.end()) {
    return make_problem("not_found", "the service has no method " + printable(name) +
                                         "; it has eth_accounts, eth_chainId, eth_sign, personal_sign, "
                                         "eth_signTypedData and eth_signTypedData_v4");
  }
  auto order = read_sign_params(*method, params);
  if (!order) return std::move(order.error());
  return std::move(*order);
}

RpcCall read_call(const JsonValue& value) {
  RpcCall call;
  const auto refuse = [&call](std::string what) {
    call.what = make_problem("bad_request", with_rpc_kind(std::move(what)));
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
  call.what = read_method(method->text(), params ? params->items() : none);
  return call;
}

std::string answer_text(const RpcAnswer& answer, const std::string& request_id) {
  const auto start = "{\"jsonrpc\":\"2.0\",\"id\":" + answer.id + ",";
  if (const auto* const result = std::get_if<std::string>(&answer.what)) return start + "\"result\":" + *result + "}";
  const auto& problem = std::get<Problem>(answer.what);
  const nlohmann::ordered_json error = {{"code", problem_kind(problem.kind).rpc_code},
                                        {"message", problem.detail},
                                        {"data", to_json(problem, request_id)}};
  return start + "\"error\":" + error.dump() + "}";
}

}  // namespace

Ordered<RpcRequest> parse_rpc(std::string_view body, std::size_t most) {
  const auto document = JsonValue::parse(body, "the body");
  if (!document) return std::unexpected(not_json(document.error()));
  RpcRequest request;
  request.batch = document->is(Kind::kArray);
  if (!request.batch) {
    request.calls.push_back(read_call(*document));
    return request;
  }
  const auto& items = document->items();
  if (items.empty()) return std::unexpected(make_problem("bad_request", "a batch must have at least one call"));
  if (items.size() > most) {
    return std::unexpected(make_problem("too_large", "a batch may have " + std::to_string(most) + " calls"));
  }
  request.calls.reserve(items.size());
  for (const auto& item : items) request.calls.push_back(read_call(item));
  return request;
}

std::string rpc_text(const std::vector<RpcAnswer>& answers, bool batch, const std::string& request_id) {
  std::string text;
  for (const auto& answer : answers) text += (text.empty() ? "" : ",") + answer_text(answer, request_id);
  return (batch ? "[" + text + "]" : text) + "\n";
}

std::string quantity(std::string_view decimal) {
  std::uint64_t number = 0;
  std::from_chars(decimal.data(), decimal.data() + decimal.size(), number);
  std::array<char, 17> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

}  // namespace hasigner::service
