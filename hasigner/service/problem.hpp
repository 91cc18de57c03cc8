#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/protection/errors.hpp"
#include "hasigner/service/http.hpp"

namespace hasigner::service {

/// Why a request was refused, with the fields that a program needs to act on it.
///
/// Source: RFC 9457 (problem details).
struct Problem {
  unsigned status = 500;
  std::string kind;    ///< stable; the last part of the member `type`
  std::string detail;  ///< one sentence for a person, without secrets

  // Fields that only some kinds have; empty otherwise.
  std::optional<DutyKey> duty;
  std::string signed_by_node;
  std::string signature;
  bool signature_unusable = false;
  std::string existing_message_hash;
  std::string attempted_message_hash;
  std::string watermark_bound;  ///< `low` or `high`
  std::string watermark;
  std::string field;  ///< the wrong input
};

/// A kind of problem.
struct ProblemKind {
  std::string_view kind;
  unsigned status;
  int rpc_code;  ///< of JSON-RPC
  std::string_view title;
};

/// The kind of that name, which must exist.
[[nodiscard]] const ProblemKind& problem_kind(std::string_view kind);

[[nodiscard]] Problem make_problem(std::string_view kind, std::string detail);
[[nodiscard]] Problem problem_of(const SigningError& error);
[[nodiscard]] Problem problem_of(const InvalidInput& input);
/// The problem of a body that is not JSON, for which JSON-RPC has its own code.
[[nodiscard]] Problem not_json(const InvalidInput& why);

[[nodiscard]] nlohmann::ordered_json to_json(const Problem& problem, const std::string& request_id);
/// The same without the fields of its kind, and with the title for the detail: for an answer that is large already.
[[nodiscard]] nlohmann::ordered_json short_json(const Problem& problem, const std::string& request_id);
/// As `application/problem+json`.
[[nodiscard]] HttpResponse to_response(const Problem& problem, const RequestHead& head);

}  // namespace hasigner::service
