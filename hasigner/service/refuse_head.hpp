#pragma once

#include <memory>
#include <optional>

#include "hasigner/service/clients.hpp"
#include "hasigner/service/host_names.hpp"
#include "hasigner/service/http.hpp"

namespace hasigner::service {

/// Who sends a request.
struct Caller {
  std::shared_ptr<const Client> client;  ///< null: unknown
  bool is_any = false;                   ///< without a clients file the service serves every caller
  bool by_session = false;               ///< it is known by a session of the console
};

/// Decides by its head whether a request is answered at all: its path and method, that no web page sends it, that its
/// client is known and has the right that the route asks, and that its body says that it is JSON. Returns the refusal.
[[nodiscard]] std::optional<HttpResponse> refuse_head(const RequestHead& head, const Caller& caller,
                                                      const HostNames& hosts);

}  // namespace hasigner::service
