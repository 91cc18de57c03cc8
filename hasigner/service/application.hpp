#pragma once

#include <memory>

#include "hasigner/service/active_request.hpp"
#include "hasigner/service/application_parts.hpp"
#include "hasigner/service/console_sessions.hpp"
#include "hasigner/service/duty_events.hpp"
#include "hasigner/service/http.hpp"
#include "hasigner/service/readiness.hpp"
#include "hasigner/service/routes.hpp"
#include "hasigner/service/status_routes.hpp"
#include "hasigner/service/unknown_client_log.hpp"

namespace hasigner::service {

/// Decides which client may ask for what, and passes each request to the function of its route.
///
/// Thread safety: the executor of the node.
class Application final : public HttpHandler {
 public:
  explicit Application(ApplicationParts parts);

  [[nodiscard]] std::optional<std::string> client_name(const RequestHead& head) const override;
  [[nodiscard]] std::optional<HttpResponse> refuse(const RequestHead& head) override;
  [[nodiscard]] asio::awaitable<HttpResponse> respond(HttpRequest request) override;
  [[nodiscard]] HttpResponse failure(const RequestHead& head, unsigned status, const std::string& detail) override;
  void answered(const RequestHead& head, const HttpResponse& response, std::chrono::nanoseconds took) override;

  /// What would change if these took the place of the clients that the service has.
  [[nodiscard]] ReloadChanges changes_by(const Clients& clients) const;
  /// Streams of events end: a client may have been removed, or have fewer rights.
  void replace_clients(std::shared_ptr<const Clients> clients) {
    parts_.clients = std::move(clients);
    sessions_.end_without_client(*parts_.clients);
    events_.end_streams();
  }
  /// From now on the service says that it is not ready, and streams of events end.
  void begin_to_drain();

 private:
  [[nodiscard]] std::optional<ConsoleSessions::Session> session_of(const RequestHead& head) const;
  [[nodiscard]] std::shared_ptr<const Client> client_of(const RequestHead& head) const;
  [[nodiscard]] std::optional<Problem> refuse_now(const ActiveRequest& request, RequestHead head) const;
  [[nodiscard]] asio::awaitable<HttpResponse> dispatch(RouteId route, ActiveRequestPtr request);
  [[nodiscard]] ReadyDetails ready_details(const RequestHead& head) const;
  [[nodiscard]] HttpResponse answer_events(const ActiveRequest& request);
  [[nodiscard]] HttpResponse log_out(const ActiveRequest& request);

  ApplicationParts parts_;
  std::shared_ptr<Readiness> readiness_;
  ConsoleSessions sessions_;
  DutyEvents events_;
  UnknownClientLog unknown_clients_;
};

}  // namespace hasigner::service
