#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/factory/ha_node.hpp"
#include "hasigner/keys/open_key_store.hpp"
#include "hasigner/service/health_watch.hpp"
#include "hasigner/service/http_limits.hpp"
#include "hasigner/service/listen_address.hpp"
#include "hasigner/service/log.hpp"
#include "hasigner/service/tls_context.hpp"

namespace hasigner::service {

/// The configuration of a service.
struct ServiceConfig {
  HaSignerConfig signer;  ///< the service always checks signatures
  keys::KeyStoreSettings keys = {};
  std::optional<HealthCheck> health = {};  ///< its certificate must come from the authorities of remote signers
  std::uint64_t chain_id = 0;
  std::optional<EthAddress> empire_slashing_proposer = {};  ///< see SigningDomain
  std::vector<ListenAddress> listen = {};
  std::vector<int> inherited_sockets = {};  ///< descriptors that already listen
  std::optional<TlsFiles> tls = {};         ///< for every TCP address, not for Unix sockets
  std::optional<std::filesystem::path> clients_file = {};
  std::vector<std::string> allowed_hosts = {};  ///< other names of the service than its addresses
  bool allow_plain_http =
      false;  ///< accept clients of other machines without TLS; a reader of the traffic has their tokens
  HttpLimits http = {};
  std::size_t max_duties = 10'000;      ///< of one request
  std::size_t max_open_claims = 2'000;  ///< of one client: neither recorded nor released
  milliseconds drain_grace{10'000};
  std::optional<std::filesystem::path> audit_log = {};  ///< of this service alone
  std::string version = {};
};

/// What decides whether other machines may reach a service.
struct Exposure {
  bool has_tls = false;
  bool plain_http_allowed = false;
  bool knows_clients = false;  ///< there is a clients file
};
/// Why the service must not listen on an address: one that other machines can reach needs known clients, and TLS unless
/// the operator has waived it.
[[nodiscard]] std::optional<std::string> refuse_exposure(const ListenAddress& address, const Exposure& exposure);

/// The signing service: a node, its keys, and an HTTP server.
///
/// Thread safety: any thread but the node's own.
class SigningService {
 public:
  /// Opens the store and the keys, registers the node, and listens.
  ///
  /// Errors: throws StartupError.
  SigningService(ServiceConfig config, std::shared_ptr<Log> log);
  /// Stops.
  ~SigningService();
  SigningService(const SigningService&) = delete;
  SigningService& operator=(const SigningService&) = delete;

  /// The addresses on which it listens, with the ports that were chosen.
  [[nodiscard]] const std::vector<ListenAddress>& addresses() const { return addresses_; }
  [[nodiscard]] const std::string& shown_url() const;

  /// Begins to load keystore files, clients and certificates again: all of them, or, when one is wrong, none. Signing
  /// goes on meanwhile, protected as before. The log has the result; then `ended` is called, on the node's thread. A
  /// reload that begins while another one is running follows it, so that the newest files are loaded.
  void begin_reload(std::function<void()> ended);

  /// Calls `alive` at once and then each `period` on the node's own thread: the calls stop when that thread hangs.
  void notify_service_manager(milliseconds period, std::function<void()> alive);

  /// Accepts no more requests, finishes requests in flight within the grace period, then stops the node. Gives up a
  /// running reload. A second call has no effect.
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::vector<ListenAddress> addresses_;
};

}  // namespace hasigner::service
