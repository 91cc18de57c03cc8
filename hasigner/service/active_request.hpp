#pragma once

#include <functional>
#include <memory>
#include <string>

#include "hasigner/service/clients.hpp"
#include "hasigner/service/http.hpp"

namespace hasigner::service {

/// A request while the application answers it.
struct ActiveRequest {
  RequestHead head;
  std::string body;
  Client client;      ///< without name and rights on a route that is open to all
  std::string share;  ///< the client whose shares of the limits it takes
  std::shared_ptr<AnswerLimit> answer_limit;
  std::function<bool()> client_has_gone;

  /// See AnswerLimit.
  [[nodiscard]] bool reserve_answer(std::size_t bytes) const { return !answer_limit || answer_limit->reserve(bytes); }
};

using ActiveRequestPtr = std::shared_ptr<const ActiveRequest>;

}  // namespace hasigner::service
