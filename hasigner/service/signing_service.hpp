#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/factory/ha_node.hpp"
#include "hasigner/keys/open_key_store.hpp"
#include "hasigner/service/http_limits.hpp"
#include "hasigner/service/listen_address.hpp"
#include "hasigner/service/log.hpp"
#include "hasigner/service/tls_context.hpp"

namespace hasigner::service {

/// Everything that a service is made from.
struct ServiceConfig {
  HaSignerConfig signer;
  keys::KeyStoreSettings keys = {};
  std::uint64_t chain_id = 0;
  std::vector<ListenAddress> listen = {};
  std::vector<int> inherited_sockets = {};  ///< descriptors that already listen
  std::optional<TlsFiles> tls = {};         ///< spoken on every TCP address; never on Unix sockets
  std::optional<std::filesystem::path> clients_file = {};
  bool allow_plain_http = false;  ///< beyond this machine, without TLS: whoever sees the traffic has the tokens
  HttpLimits http = {};
  std::size_t max_duties = 10'000;  ///< of one request
  milliseconds drain_grace{10'000};
  std::string version = {};
};

/// The signing service: a node, its keys, and an HTTP server before them.
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

  /// Where it listens, with the ports that were chosen.
  [[nodiscard]] const std::vector<ListenAddress>& addresses() const { return addresses_; }
  [[nodiscard]] const std::string& shown_url() const;

  /// Begins to load keystore files, clients and certificates again: all of them, or, when one is wrong, none. Signing
  /// goes on meanwhile, protected as before. What came of it is in the log; then `ended` is called, on the node's
  /// thread. Whoever begins while another reload is at work gets one after it, so that the newest files count.
  void begin_reload(std::function<void()> ended);

  /// Calls `alive` at once and then each `period` on the node's own thread: the calls stop when that thread hangs.
  void notify_service_manager(milliseconds period, std::function<void()> alive);

  /// Accepts nothing more, finishes what is in flight within the grace, then stops the node. A reload is given up.
  /// Harmless when called twice.
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::vector<ListenAddress> addresses_;
};

}  // namespace hasigner::service
