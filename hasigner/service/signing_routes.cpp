#include "hasigner/service/signing_routes.hpp"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>

#include "hasigner/duty/assert.hpp"
#include "hasigner/keys/gather.hpp"
#include "hasigner/service/admin_routes.hpp"
#include "hasigner/service/answer_text.hpp"
#include "hasigner/service/audit.hpp"
#include "hasigner/service/duty_requests.hpp"
#include "hasigner/service/fair_work.hpp"
#include "hasigner/service/json_rpc.hpp"
#include "hasigner/service/read_body.hpp"
#include "hasigner/service/responses.hpp"

namespace hasigner::service {

namespace {

using nlohmann::ordered_json;
using SignRequests = std::vector<ReadResult<SignDutyRequest>>;
using SignedOrProblem = std::expected<SignedDuty, Problem>;

Problem unknown_validator(const EthAddress& validator) {
  return make_problem("unknown_validator", "no keystore file has an attester " + validator.to_string() +
                                               "; eth_accounts lists the attesters of this service");
}

/// How a request is to be signed: on the claim of the client's node, or (nullopt) by the key store, protected where its
/// context demands it. Errors: why it is not signed.
ReadResult<std::optional<ClaimedRequest>> judge(const ReadResult<SignDutyRequest>& request,
                                                const ApplicationParts& parts, const Client& client) {
  if (!request) return std::unexpected(request.error());
  auto claimed = read_claimed(*request, client, parts.domain);
  if (!claimed) return claimed;
  if (!*claimed) {
    if (auto problem = refuse_request(*request, client, parts.domain)) return std::unexpected(std::move(*problem));
  }
  if (auto refused = refuse_new(parts, request->validator)) return std::unexpected(std::move(*refused));
  if (!parts.keys.has_attester(request->validator)) return std::unexpected(unknown_validator(request->validator));
  // A client gets the right only where there is such a store.
  HASIGNER_ASSERT(!*claimed || parts.claimed);
  return claimed;
}

using SignedOrProblems = std::vector<SignedOrProblem>;

/// Signs some requests. Results are in their order.
asio::awaitable<SignedOrProblems> sign_some(ApplicationParts& parts, ActiveRequestPtr by,
                                            std::span<const ReadResult<SignDutyRequest>> requests) {
  SignedOrProblems results(requests.size(), std::unexpected(Problem{}));
  std::vector<keys::KeyStoreRequest> allowed;
  std::vector<std::size_t> indexes;
  std::vector<asio::awaitable<std::expected<Signature, Problem>>> claimed;
  std::vector<std::size_t> claimed_indexes;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto& request = requests[i];
    auto judged = judge(request, parts, by->client);
    if (!judged) {
      results[i] = std::unexpected(std::move(judged.error()));
      continue;
    }
    if (*judged) {
      (*judged)->client = by->share;
      claimed.push_back(ClaimedSigning::sign(parts.claimed, std::move(**judged), request->payload));
      claimed_indexes.push_back(i);
      continue;
    }
    // Without a context the client has the right to sign unprotected, and the data is not an Aztec payload that needs
    // protection.
    const SigningContext unprotected{.duty_type = DutyType::kAuthRequest, .slot = {}};
    allowed.push_back({request->validator, request->payload, request->context.value_or(unprotected), by->share});
    indexes.push_back(i);
  }
  if (!claimed.empty()) {
    auto signed_on_claims = co_await keys::gather(std::move(claimed));
    for (std::size_t i = 0; i < signed_on_claims.size(); ++i) {
      auto& result = results[claimed_indexes[i]];
      if (signed_on_claims[i]) {
        result = SignedDuty{*signed_on_claims[i]};
      } else {
        result = std::unexpected(std::move(signed_on_claims[i].error()));
      }
    }
  }
  auto signatures = co_await parts.keys.sign_many(std::move(allowed));
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    auto& result = results[indexes[i]];
    if (signatures[i]) {
      result = *signatures[i];
    } else {
      result = std::unexpected(problem_of(signatures[i].error()));
    }
  }
  co_return results;
}

/// Those that could be read. Nothing is asked of a key for the others.
void audit(const ApplicationParts& parts, const ActiveRequest& request,
           std::span<const ReadResult<SignDutyRequest>> requests, const SignedOrProblems& results) {
  if (!parts.audit) return;
  std::vector<AuditedDuty> duties;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (!requests[i]) continue;
    const bool is_recorded = results[i] && results[i]->is_recorded;
    duties.push_back({requests[i]->validator, keys::digest_of(*requests[i]->payload), requests[i]->context,
                      audited_outcome(results[i], is_recorded ? "recorded" : "signed")});
  }
  audit_duties(parts, request, "sign", std::move(duties));
}

/// Signs the duties of one turn.
asio::awaitable<SignedOrProblems> sign_in_turn(ApplicationParts& parts, ActiveRequestPtr request,
                                               std::shared_ptr<const SignRequests> requests, std::size_t begin) {
  const auto count = std::min(kDutiesInTurn, requests->size() - begin);
  auto entering = take_turn(parts.work->in_flight(), request, count);
  const auto in_flight = co_await std::move(entering);
  if (!in_flight) co_return SignedOrProblems(count, std::unexpected(in_flight.error()));
  auto taking = take_turn(parts.work->signing(), request, count);
  auto turn = co_await std::move(taking);
  if (!turn) co_return SignedOrProblems(count, std::unexpected(turn.error()));
  const EndsInTime ends(std::move(*turn), parts.node.executor());
  const auto some = std::span(*requests).subspan(begin, count);
  auto signing = sign_some(parts, request, some);
  auto results = co_await std::move(signing);
  audit(parts, *request, some, results);
  for (const auto& result : results) {
    if (!result) parts.problems->note(*request, result.error());
  }
  co_return results;
}

/// Signs what the client of the request may have signed, in turn with other clients. Results are in the order of the
/// requests.
asio::awaitable<SignedOrProblems> sign_requests(ApplicationParts& parts, ActiveRequestPtr request,
                                                std::shared_ptr<const SignRequests> requests) {
  std::vector<asio::awaitable<SignedOrProblems>> turns;
  for (std::size_t begin = 0; begin < requests->size(); begin += kDutiesInTurn) {
    turns.push_back(sign_in_turn(parts, request, requests, begin));
  }
  if (turns.size() == 1) {
    auto only = co_await std::move(turns.front());
    co_return only;
  }
  auto signed_in_turns = co_await keys::gather(std::move(turns));
  SignedOrProblems results;
  results.reserve(requests->size());
  for (auto& some : signed_in_turns) std::ranges::move(some, std::back_inserter(results));
  co_return results;
}

std::string answer_query(const ApplicationParts& parts, const Client& client, RpcQuery query) {
  if (query == RpcQuery::kChainId) return ordered_json(quantity(parts.domain.chain_id)).dump();
  auto accounts = ordered_json::array();
  auto addresses = parts.keys.attester_addresses();
  if (client.may(Right::kTransactions)) {
    for (const auto& publisher : parts.keys.publisher_addresses()) {
      if (std::ranges::find(addresses, publisher) == addresses.end()) addresses.push_back(publisher);
    }
  }
  for (const auto& address : addresses) {
    if (client.may_use(address)) accounts.push_back(address.to_string());
  }
  return accounts.dump();
}

/// The answers of a JSON-RPC request, and what is still to be signed for some of them.
struct RpcProgress {
  std::vector<RpcAnswer> answers;
  std::string accounts;  ///< the result of eth_accounts, once it was asked for
  std::size_t bytes_of_queries = 0;
  std::shared_ptr<SignRequests> to_sign = std::make_shared<SignRequests>();
  std::vector<std::size_t> indexes;  ///< of the answers that wait for a signature
  std::vector<Transaction> transactions;
  std::vector<std::size_t> transaction_indexes;
};

asio::awaitable<RpcResult> sign_transaction(ApplicationParts& parts, ActiveRequestPtr request,
                                            Transaction transaction) {
  auto taking = take_turn(parts.work->signing(), request, 1);
  auto turn = co_await std::move(taking);
  if (!turn) co_return std::unexpected(turn.error());
  const EndsInTime ends(std::move(*turn), parts.node.executor());
  if (auto refused = refuse_new(parts, transaction.from)) {
    audit_duty(parts, *request, "sign_transaction",
               {.signer = transaction.from, .hash = transaction.digest, .outcome = refused->kind});
    co_return std::unexpected(std::move(*refused));
  }
  auto signing = parts.keys.sign_transaction(transaction.from, transaction.digest);
  const auto signature = co_await std::move(signing);
  const auto outcome = signature ? "signed" : kind_name(signature.error());
  const AuditedDuty audited{.signer = transaction.from, .hash = transaction.digest, .outcome = outcome};
  audit_duty(parts, *request, "sign_transaction", audited);
  if (!signature) co_return std::unexpected(problem_of(signature.error()));
  co_return ordered_json(signed_transaction(transaction, *signature)).dump();
}

asio::awaitable<void> sign_transactions(ApplicationParts& parts, ActiveRequestPtr request, RpcProgress& progress) {
  if (progress.transactions.empty()) co_return;
  std::vector<asio::awaitable<RpcResult>> works;
  for (auto& transaction : progress.transactions) {
    works.push_back(sign_transaction(parts, request, std::move(transaction)));
  }
  auto results = co_await keys::gather(std::move(works));
  for (std::size_t i = 0; i < results.size(); ++i) {
    progress.answers[progress.transaction_indexes[i]].result = std::move(results[i]);
  }
}

/// Answers each call that needs no signature.
struct AnswerCall {
  const ApplicationParts& parts;
  const Client& client;
  RpcProgress& progress;

  RpcResult operator()(Problem& problem) const { return std::unexpected(std::move(problem)); }
  RpcResult operator()(RpcQuery query) const {
    if (progress.bytes_of_queries > kAnswerInFull) {
      return std::unexpected(make_problem("too_large", "the answers to the queries of this batch are too large"));
    }
    const bool asks_for_accounts = query == RpcQuery::kAccounts;
    auto result = asks_for_accounts ? progress.accounts : std::string();
    if (result.empty()) result = answer_query(parts, client, query);
    if (asks_for_accounts) progress.accounts = result;
    progress.bytes_of_queries += result.size();
    return result;
  }
  RpcResult operator()(SignDutyRequest& to_sign) const {
    progress.to_sign->push_back(std::move(to_sign));
    progress.indexes.push_back(progress.answers.size());
    return RpcResult();
  }
  RpcResult operator()(Transaction& transaction) const {
    if (!client.may_use(transaction.from)) {
      return std::unexpected(make_problem(
          "forbidden", "client " + client.name + " may not use the publisher " + transaction.from.to_string()));
    }
    progress.transactions.push_back(std::move(transaction));
    progress.transaction_indexes.push_back(progress.answers.size());
    return RpcResult();
  }
};

RpcProgress answer_calls(const ApplicationParts& parts, const Client& client, std::vector<RpcCall>& calls) {
  RpcProgress progress;
  for (auto& call : calls) {
    auto result = std::visit(AnswerCall{parts, client, progress}, call.what);
    progress.answers.push_back({.id = call.id, .result = std::move(result), .is_short = call.is_malformed});
  }
  return progress;
}

HttpResponse unreadable_rpc(const Problem& problem, const RequestHead& head) {
  const bool is_refused = problem.status == 401 || problem.status == 403;
  if (problem.status == 408 || is_refused) return to_response(problem, head);
  const RpcAnswer answer{.id = "null", .result = std::unexpected(problem)};
  HttpResponse response{.status = problem.status == 413 ? 413U : 400U, .body = rpc_text(answer, head.id) + "\n"};
  response.note = problem.kind;
  return response;
}

std::string note_of_rpc(const RpcRequest& rpc, const std::vector<RpcAnswer>& answers) {
  std::vector<std::string_view> outcomes;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const auto& result = answers[i].result;
    outcomes.push_back(result ? rpc.calls[i].method : result.error().kind);
  }
  return note_of(outcomes);
}

/// The bytes that the answer to a request will take, about; a signed transaction has what the request had.
std::size_t expected_size(const RpcProgress& progress, const ActiveRequest& request) {
  const std::size_t transactions = progress.transactions.empty() ? 0 : request.body.size();
  return progress.bytes_of_queries + kUsualEntry * progress.answers.size() + transactions;
}

/// Answers that are large together are short from then on.
HttpResponse rpc_response(const std::vector<RpcAnswer>& answers, const RpcRequest& rpc, const RequestHead& head) {
  AnswerText text;
  if (rpc.shape == RequestShape::kMany) text.add("[");
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (i > 0) text.add(",");
    text.add(rpc_text(answers[i], head.id, answers[i].is_short || text.is_large()));
  }
  text.add(rpc.shape == RequestShape::kMany ? "]\n" : "\n");
  HttpResponse response{.status = 200};
  text.move_to(response);
  response.note = note_of_rpc(rpc, answers);
  return response;
}

/// Written by hand: with the JSON library, requests of 1,000 duties take about 5 % more CPU time. Hex needs no escapes.
std::string signature_json(const SignDutyRequest& request, const SignedDuty& duty) {
  return R"({"validator":")" + request.validator.to_string() + R"(","messageHash":")" +
         keys::digest_of(*request.payload).to_string() + R"(","signature":")" + duty.signature.to_string() +
         (duty.is_recorded ? R"(","recorded":true})" : R"("})");
}

HttpResponse signed_response(const SignRequests& requests, std::vector<SignedOrProblem>& signatures, RequestShape shape,
                             const RequestHead& head) {
  std::vector<DutyResult> results;
  results.reserve(signatures.size());
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    if (signatures[i]) {
      results.emplace_back(signature_json(*requests[i], *signatures[i]));
    } else {
      results.emplace_back(std::unexpected(std::move(signatures[i].error())));
    }
  }
  return results_response(results, shape, head, "signed");
}

/// A client that cannot sign has no use for more.
constexpr std::size_t kMostWithoutSigning = 64 * 1024;

std::optional<Problem> refuse_body(const ActiveRequest& request) {
  const auto& client = request.client;
  if (client.may(Right::kSign) || client.may(Right::kTransactions)) return std::nullopt;
  if (request.body.size() <= kMostWithoutSigning) return std::nullopt;
  return make_problem("forbidden", "client " + client.name + " lacks the rights sign and transactions; without them " +
                                       "a body may have " + std::to_string(kMostWithoutSigning) + " bytes, and this " +
                                       "one has " + std::to_string(request.body.size()));
}

}  // namespace

asio::awaitable<HttpResponse> answer_rpc(ApplicationParts& parts, ActiveRequestPtr request) {
  if (const auto refused = refuse_body(*request)) co_return to_response(*refused, request->head);
  std::function<ReadResult<RpcRequest>()> read = [request, most = parts.max_duties, chain_id = parts.chain_id] {
    return parse_rpc(request->body, most, chain_id, request->client);
  };
  auto reading = read_body(parts.work, request, std::move(read));
  auto rpc = co_await std::move(reading);
  if (!rpc) co_return unreadable_rpc(rpc.error(), request->head);
  auto progress = answer_calls(parts, request->client, rpc->calls);
  if (!request->reserve_answer(expected_size(progress, *request))) co_return to_response(answers_wait(), request->head);
  co_await sign_transactions(parts, request, progress);
  if (!progress.to_sign->empty()) {
    const auto results = co_await sign_requests(parts, request, progress.to_sign);
    for (std::size_t i = 0; i < results.size(); ++i) {
      auto& result = progress.answers[progress.indexes[i]].result;
      if (results[i]) {
        result = ordered_json(results[i]->signature.to_string()).dump();
      } else {
        result = std::unexpected(results[i].error());
      }
    }
  }
  const auto answers = std::make_shared<const std::vector<RpcAnswer>>(std::move(progress.answers));
  const auto calls = std::make_shared<const RpcRequest>(std::move(*rpc));
  std::function<HttpResponse()> write = [request, answers, calls] {
    return rpc_response(*answers, *calls, request->head);
  };
  auto writing = write_answer(parts.work, request, answers->size(), std::move(write));
  auto response = co_await std::move(writing);
  co_return response;
}

asio::awaitable<HttpResponse> answer_sign(ApplicationParts& parts, ActiveRequestPtr request) {
  RequestReader<SignDutyRequest> read = [request](const JsonValue& value, std::string_view json_path) {
    return read_sign_request(value, json_path, request->client);
  };
  auto requests = co_await read_request_list<SignDutyRequest>(parts, request, std::move(read));
  if (!requests) co_return to_response(requests.error(), request->head);
  if (!request->reserve_answer(kUsualEntry * requests->list.size())) {
    co_return to_response(answers_wait(), request->head);
  }
  const auto list = std::make_shared<const SignRequests>(std::move(requests->list));
  auto signatures = co_await sign_requests(parts, request, list);
  const auto results = std::make_shared<std::vector<SignedOrProblem>>(std::move(signatures));
  std::function<HttpResponse()> write = [request, list, results, shape = requests->shape] {
    return signed_response(*list, *results, shape, request->head);
  };
  auto writing = write_answer(parts.work, request, list->size(), std::move(write));
  auto response = co_await std::move(writing);
  co_return response;
}

}  // namespace hasigner::service
