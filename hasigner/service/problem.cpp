#include "hasigner/service/problem.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "hasigner/duty/assert.hpp"
#include "hasigner/service/duty_json.hpp"

namespace hasigner::service {

namespace {

// The JSON-RPC codes avoid -32000 to -32006, which EIP-1474 defines.
constexpr std::array kProblemKinds = {
    ProblemKind{"duty_already_signed", 409, -32010, "The duty has been signed already"},
    ProblemKind{"slashing_protection", 412, -32011, "Other data has been signed for the duty"},
    ProblemKind{"outside_watermark", 412, -32012, "The slot is outside the watermarks"},
    ProblemKind{"duty_not_claimed", 412, -32025, "No node has claimed the duty"},
    ProblemKind{"signing_lock_lost", 409, -32013, "The duty was taken from this attempt"},
    ProblemKind{"in_doubt", 503, -32014, "The store has not confirmed the signature"},
    ProblemKind{"unavailable", 503, -32015, "The store does not answer"},
    ProblemKind{"sign_function_failed", 502, -32016, "The key could not sign"},
    ProblemKind{"sign_timed_out", 504, -32017, "The key did not sign in time"},
    ProblemKind{"node_id_taken", 503, -32018, "Another process has this node id"},
    ProblemKind{"not_running", 503, -32019, "The signer is not running"},
    ProblemKind{"draining", 503, -32028, "The service is drained"},
    ProblemKind{"key_disabled", 403, -32027, "An operator has disabled the key"},
    ProblemKind{"unhealthy", 503, -32029, "The node is not healthy"},
    ProblemKind{"too_many_open_claims", 429, -32026, "The client has too many open claims"},
    ProblemKind{"overloaded", 429, -32020, "Too many duties are in flight"},
    ProblemKind{"context_missing", 400, -32602, "The signing context is missing"},
    ProblemKind{"invalid_input", 400, -32602, "A value is wrong"},
    ProblemKind{"unknown_validator", 404, -32021, "The validator has no key here"},
    ProblemKind{"unauthorized", 401, -32022, "The client is not known"},
    ProblemKind{"forbidden", 403, -32023, "The client may not do this"},
    ProblemKind{"reload_failed", 422, -32024, "The configuration was not reloaded"},
    ProblemKind{"not_json", 400, -32700, "The body is not JSON"},
    ProblemKind{"bad_request", 400, -32600, "The request cannot be read"},
    ProblemKind{"not_found", 404, -32601, "The path or method does not exist"},
    ProblemKind{"method_not_allowed", 405, -32600, "The method is not for this path"},
    ProblemKind{"client_gone", 408, -32600, "The client has gone"},
    ProblemKind{"request_timeout", 408, -32600, "The request was not complete in time"},
    ProblemKind{"too_large", 413, -32600, "The request is too large"},
    ProblemKind{"unsupported_media_type", 415, -32600, "The body must be JSON, and not compressed"},
    ProblemKind{"expectation_failed", 417, -32600, "The expectation cannot be met"},
    ProblemKind{"too_many_requests", 429, -32020, "The service is busy"},
    ProblemKind{"header_too_large", 431, -32600, "The header is too large"},
    ProblemKind{"internal", 500, -32603, "Unexpected"},
    ProblemKind{"not_implemented", 501, -32600, "The transfer coding is not supported"},
    ProblemKind{"http_version", 505, -32600, "The HTTP version is not supported"},
};

struct Fill {
  Problem problem;

  Problem operator()(const DutyAlreadySigned& e) && {
    problem.duty = e.duty;
    problem.signed_by_node = e.signed_by;
    if (e.signature) problem.signature = e.signature->to_string();
    problem.signature_unusable = e.has_unusable_signature;
    return std::move(problem);
  }
  Problem operator()(const SlashingProtection& e) && {
    problem.duty = e.duty;
    problem.signed_by_node = e.signed_by;
    problem.existing_message_hash = e.existing_hash;
    problem.attempted_message_hash = e.attempted_hash.to_string();
    return std::move(problem);
  }
  Problem operator()(const OutsideWatermark& e) && {
    problem.duty = e.duty;
    problem.watermark = e.watermark.to_string();
    problem.watermark_bound = e.bound == OutsideWatermark::Bound::kLow ? "low" : "high";
    return std::move(problem);
  }
  Problem operator()(const SigningLockLost& e) && { return about(e.duty); }
  Problem operator()(const InDoubt& e) && { return about(e.duty); }
  Problem operator()(const InvalidInput& e) && {
    problem.field = e.field;
    return std::move(problem);
  }
  Problem operator()(const auto&) && { return std::move(problem); }

 private:
  Problem about(const DutyKey& duty) {
    problem.duty = duty;
    return std::move(problem);
  }
};

}  // namespace

const ProblemKind& problem_kind(std::string_view kind) {
  const auto* const found = std::ranges::find(kProblemKinds, kind, &ProblemKind::kind);
  HASIGNER_ASSERT(found != kProblemKinds.end());
  return *found;
}

Problem make_problem(std::string_view kind, std::string detail) {
  return {.status = problem_kind(kind).status, .kind = std::string(kind), .detail = std::move(detail)};
}

Problem problem_of(const SigningError& error) {
  auto problem = make_problem(kind_name(error), printable(message(error), 2'000));
  return std::visit([&](const auto& e) { return Fill{std::move(problem)}(e); }, error);
}

Problem problem_of(const InvalidInput& input) {
  auto problem = make_problem("invalid_input", printable(input.message(), 2'000));
  problem.field = input.field;
  return problem;
}

Problem not_json(const InvalidInput& why) {
  return make_problem("not_json", printable(why.message(), 2'000));
}

nlohmann::ordered_json to_json(const Problem& problem, const std::string& request_id) {
  nlohmann::ordered_json object = {{"type", "urn:ha-signer:problem:" + problem.kind},
                                   {"title", problem_kind(problem.kind).title},
                                   {"status", problem.status},
                                   {"detail", problem.detail},
                                   {"requestId", request_id}};
  const auto add = [&object](const char* name, const std::string& value) {
    if (!value.empty()) object[name] = printable(value, 300);
  };
  if (problem.duty) object["duty"] = duty_key_json(*problem.duty);
  add("signedByNode", problem.signed_by_node);
  add("signature", problem.signature);
  if (problem.signature_unusable) object["signatureUnusable"] = true;
  add("existingMessageHash", problem.existing_message_hash);
  add("attemptedMessageHash", problem.attempted_message_hash);
  add("watermarkBound", problem.watermark_bound);
  add("watermark", problem.watermark);
  add("field", problem.field);
  return object;
}

nlohmann::ordered_json short_json(const Problem& problem, const std::string& request_id) {
  const auto& kind = problem_kind(problem.kind);
  return to_json({.status = problem.status, .kind = problem.kind, .detail = std::string(kind.title)}, request_id);
}

HttpResponse to_response(const Problem& problem, const RequestHead& head) {
  HttpResponse response{.status = problem.status,
                        .content_type = "application/problem+json",
                        .body = to_json(problem, head.id).dump() + "\n"};
  response.note = problem.kind;
  if (problem.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"ha-signer\"");
  if (problem.status == 429 || problem.status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace hasigner::service
