#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "hasigner/factory/open_store.hpp"
#include "hasigner/factory/runtime.hpp"
#include "hasigner/protection/ha_signer.hpp"

namespace hasigner {

/// Everything that a signer is made from.
struct HaSignerConfig {
  SignerConfig signer;
  std::string database_url;      ///< `postgresql://…`, `sqlite:PATH` or `memory:`; a secret: it may hold a password
  postgres::PoolConfig pool;     ///< of PostgreSQL; its URL is taken from database_url
  bool allow_ephemeral = false;  ///< needed for `memory:`, which forgets everything when the process ends
  milliseconds open_timeout{15'000};  ///< bound on opening the store; a server that is just starting is waited for
};

/// What a caller may bring instead of what is made by default.
struct HaSignerParts {
  /// Runs the protocol. It must run on one thread, or be a strand; the caller runs it.
  std::optional<asio::any_io_executor> executor;
  /// A pool of PostgreSQL connections that several stores share; needs `executor`, which must be the pool's own.
  std::shared_ptr<SharedSqlPool> sql_pool;
  std::shared_ptr<Metrics> metrics;
};

/// One node: a signer, its store, and the threads that they live on.
///
/// Thread safety: any thread. With an executor of the caller's own, stop() and the destructor must not run on it.
class HaNode {
 public:
  HaNode(std::unique_ptr<Runtime> runtime, std::shared_ptr<Clock> clock, OpenedStore store,
         std::shared_ptr<HaSigner> signer, milliseconds stop_grace);
  /// Stops.
  ~HaNode();
  HaNode(const HaNode&) = delete;
  HaNode& operator=(const HaNode&) = delete;

  /// Call start_blocking() (or await start()) before the first signature.
  [[nodiscard]] HaSigner& signer() { return *signer_; }
  /// Store and history are to be used on the node's executor: `node.runtime().run(node.store().look(…))`.
  [[nodiscard]] Store& store() { return *store_.store; }
  [[nodiscard]] History& history() { return *store_.history; }
  [[nodiscard]] const std::string& shown_url() const { return store_.shown_url; }
  [[nodiscard]] Clock& clock() { return *clock_; }
  [[nodiscard]] Runtime& runtime() { return *runtime_; }

  /// Makes a sign function of one that computes or blocks: it is called on a thread of the node's own for such work.
  /// One that hangs does not take the place of others (see BlockingCalls).
  ///
  /// It should own what it uses: one that outlasts its time-out may go on for a while after stop().
  [[nodiscard]] SignFunction blocking(BlockingCalls::Function function) const {
    return blocking_sign_function(*runtime_, std::move(function));
  }

  /// Finishes or refuses what is in flight, gives the node id back, closes the store, ends the threads. Bounded, also
  /// on an executor that no thread runs any more; harmless when called twice.
  void stop();

 private:
  std::unique_ptr<Runtime> runtime_;
  std::shared_ptr<Clock> clock_;
  OpenedStore store_;
  std::shared_ptr<HaSigner> signer_;
  milliseconds stop_within_;
  std::mutex stopping_;
  bool stopped_ = false;
};

/// Checks the configuration, opens the store and checks its tables, and makes a signer that is ready to be started.
///
/// Errors: throws StartupError.
/// With an executor of the caller's own, call it from another thread than that one's.
[[nodiscard]] std::unique_ptr<HaNode> create_ha_signer(HaSignerConfig config, HaSignerParts parts = {});

}  // namespace hasigner
