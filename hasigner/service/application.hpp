#pragma once

#include <functional>
#include <memory>
#include <string>

#include "hasigner/factory/ha_node.hpp"
#include "hasigner/keys/ha_key_store.hpp"
#include "hasigner/service/aztec_payload.hpp"
#include "hasigner/service/clients.hpp"
#include "hasigner/service/duty_events.hpp"
#include "hasigner/service/http.hpp"
#include "hasigner/service/log.hpp"
#include "hasigner/service/problem.hpp"
#include "hasigner/service/readiness.hpp"
#include "hasigner/service/routes.hpp"
#include "hasigner/service/service_metrics.hpp"

namespace hasigner::service {

/// What the application is made of; all of it outlives the application.
struct ApplicationParts {
  HaNode& node;
  keys::HaKeyStore& keys;
  SigningDomain domain;
  std::shared_ptr<const Clients> clients;
  std::shared_ptr<ServiceMetrics> metrics;
  std::shared_ptr<Log> log;
  std::size_t max_duties = 10'000;  ///< of one request
  std::function<Gauges()> gauges;
  /// Loads keys, clients and certificates again; the sentence says what was loaded, or what is wrong with them.
  std::function<asio::awaitable<std::expected<std::string, std::string>>()> reload;
};

/// Answers requests: who may ask, what is asked, and what the signer says to it.
///
/// A signature gets into an answer in one way only: the key store has returned it, and that one is asked through the
/// signer for every protected duty.
/// Thread safety: the executor of the node.
class Application final : public HttpHandler {
 public:
  explicit Application(ApplicationParts parts);

  [[nodiscard]] std::optional<HttpResponse> refuse(const RequestHead& head) override;
  [[nodiscard]] asio::awaitable<HttpResponse> respond(HttpRequest request) override;
  [[nodiscard]] HttpResponse failure(const RequestHead& head, unsigned status, const std::string& detail) override;
  void answered(const RequestHead& head, const HttpResponse& response, std::chrono::nanoseconds took) override;

  void replace_clients(std::shared_ptr<const Clients> clients) { parts_.clients = std::move(clients); }
  /// From now on the service says that it is not ready, and streams of events end.
  void begin_to_drain();

 private:
  struct Asked;
  using Answer = asio::awaitable<HttpResponse>;

  [[nodiscard]] const Client* client_of(const RequestHead& head) const { return parts_.clients->identify(head); }
  [[nodiscard]] Answer dispatch(RouteId route, std::shared_ptr<Asked> asked);
  [[nodiscard]] HttpResponse refused(const Problem& problem, const Asked& asked) const;

  [[nodiscard]] Answer answer_ready(std::shared_ptr<Asked> asked);
  [[nodiscard]] Answer answer_metrics();
  [[nodiscard]] Answer answer_reload(std::shared_ptr<Asked> asked);
  [[nodiscard]] Answer answer_rpc(std::shared_ptr<Asked> asked);
  [[nodiscard]] Answer answer_sign(std::shared_ptr<Asked> asked);
  [[nodiscard]] Answer answer_claim(std::shared_ptr<Asked> asked);
  [[nodiscard]] Answer answer_record(std::shared_ptr<Asked> asked);
  [[nodiscard]] Answer answer_release(std::shared_ptr<Asked> asked);
  [[nodiscard]] Answer answer_duties(std::shared_ptr<Asked> asked);
  [[nodiscard]] Answer answer_nodes(std::shared_ptr<Asked> asked);
  [[nodiscard]] Answer answer_watermarks(std::shared_ptr<Asked> asked);
  [[nodiscard]] HttpResponse answer_events(const Asked& asked);

  ApplicationParts parts_;
  std::shared_ptr<Readiness> readiness_;
  DutyEvents events_;
};

}  // namespace hasigner::service
