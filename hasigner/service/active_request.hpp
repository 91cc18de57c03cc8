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
  std::string share;  ///< by whose share of the service's work the request is done
  std::function<bool()> client_has_gone;
};

using ActiveRequestPtr = std::shared_ptr<const ActiveRequest>;

}  // namespace hasigner::service
