#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "hasigner/service/clients.hpp"
#include "hasigner/service/http.hpp"
#include "hasigner/service/problem.hpp"

namespace hasigner::service {

/// A request while the application answers it.
struct ActiveRequest {
  RequestHead head;
  std::string body;
  Client client;      ///< without name and rights on a route that is open to all
  std::string share;  ///< the client whose shares of the limits it takes
  std::shared_ptr<AnswerLimit> answer_limit;
  std::function<bool()> client_has_gone;
  /// Why its client may not have it done any more; null on a route that is open to all.
  std::function<std::optional<Problem>(const ActiveRequest&)> refuse_now;

  /// The same.
  [[nodiscard]] std::optional<Problem> refuse_lost_rights() const {
    return refuse_now ? refuse_now(*this) : std::nullopt;
  }
  /// Why nothing more is begun for it after a wait for others: its client went away, or may not have it done any more.
  [[nodiscard]] std::optional<Problem> refuse_after_wait() const {
    if (client_has_gone()) {
      return make_problem("client_gone", "the client closed the connection while the request waited");
    }
    return refuse_lost_rights();
  }
  /// See AnswerLimit.
  [[nodiscard]] bool reserve_answer(std::size_t bytes) const { return !answer_limit || answer_limit->reserve(bytes); }
};

using ActiveRequestPtr = std::shared_ptr<const ActiveRequest>;

}  // namespace hasigner::service
