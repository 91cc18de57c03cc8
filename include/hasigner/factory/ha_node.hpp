#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "hasigner/async/asio.hpp"
#include "hasigner/protection/clock.hpp"
#include "hasigner/protection/config.hpp"
#include "hasigner/protection/ha_signer.hpp"
#include "hasigner/protection/history.hpp"
#include "hasigner/protection/store.hpp"
#include "hasigner/store/postgres/sql_pool.hpp"

namespace hasigner {

class ClaimedMessages;
class JournaledStore;
class NodeHealth;
class PlausibleSlots;

/// Why a signer or a store could not be made ready: one sentence that says what to do next, without secrets.
class StartupError : public std::runtime_error {
 public:
  enum class Kind : std::uint8_t {
    kConfiguration,  ///< a setting is wrong; nothing was asked of any store
    kUnavailable,    ///< the store did not answer; asking again may help
    kIncompatible,   ///< this is not the database that was expected: schema, version, something else altogether
  };

  StartupError(Kind kind, const std::string& sentence) : std::runtime_error(sentence), kind_(kind) {}

  [[nodiscard]] Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// Everything that a signer is made from.
struct HaSignerConfig {
  SignerConfig signer;
  std::string database_url;      ///< `postgresql://…`, `sqlite:PATH` or `memory:`; a secret: it may hold a password
  postgres::PoolConfig pool;     ///< of PostgreSQL; its URL is taken from database_url
  bool allow_ephemeral = false;  ///< needed for `memory:`, which forgets everything when the process ends
  /// The storage below PostgreSQL replicates each commit before it is confirmed, so that no failover loses one:
  /// standbys are not expected, and the server need not tell its timeline. See docs/operating.md, Managed databases.
  bool storage_replicates = false;
  /// File of this node's own journal of what it has released, which no other process uses: whatever the database
  /// forgets, this node then releases no second message of a duty. Empty: none is kept.
  std::string journal = {};
  /// Refuses slots that cannot have begun, with an InvalidInput; nullopt: every slot is signed.
  std::optional<SlotRules> slots = std::nullopt;
  milliseconds open_timeout{15'000};  ///< bound on opening the store; a server that is just starting is waited for
};

/// What a caller may bring instead of what is made by default.
struct HaSignerParts {
  /// Runs the protocol. It must run on one thread, or be a strand; the caller runs it.
  std::optional<asio::any_io_executor> executor;
  /// A pool of PostgreSQL connections that several stores share; needs `executor`, which must be the pool's own.
  std::shared_ptr<SharedSqlPool> sql_pool;
  std::shared_ptr<Metrics> metrics;
  /// For programs of this project: whether this node should take duties. Used on the node's executor.
  std::shared_ptr<const NodeHealth> health;
  /// Is told when an exception has interrupted work in the background, once for each work; the work goes on. Called on
  /// the node's executor; must not throw.
  std::function<void(std::string_view work, std::exception_ptr failure)> report_failure;
};

/// A sign function for callers without coroutines: it returns when the signature is made, or cannot be made.
using BlockingSignFunction = std::function<SignOutcome(const SignRequest&)>;

/// One node: a signer, its store, and the threads that they live on.
///
/// Thread safety: any thread. With an executor of the caller's own, stop() and the destructor must not run on it.
class HaNode {
 public:
  struct State;
  explicit HaNode(std::unique_ptr<State> state);
  /// Stops.
  ~HaNode();
  HaNode(const HaNode&) = delete;
  HaNode& operator=(const HaNode&) = delete;

  /// Call start_blocking() (or await start()) before the first signature.
  [[nodiscard]] HaSigner& signer();
  /// Store and history are to be used on the node's executor: `node.run(node.store().look(…))`.
  [[nodiscard]] Store& store();
  [[nodiscard]] History& history();
  /// For programs of this project; null for a store that no other nodes share.
  [[nodiscard]] std::shared_ptr<ClaimedMessages> claimed_messages() const;
  /// For programs of this project; null without a journal.
  [[nodiscard]] std::shared_ptr<JournaledStore> journaled_store() const;
  /// For programs of this project; null when every slot is signed (HaSignerConfig::slots).
  [[nodiscard]] std::shared_ptr<const PlausibleSlots> plausible_slots() const;
  /// The database URL for a person: without secrets.
  [[nodiscard]] const std::string& shown_url() const;
  [[nodiscard]] Clock& clock();
  [[nodiscard]] std::shared_ptr<Clock> shared_clock();

  /// The protocol's.
  [[nodiscard]] const asio::any_io_executor& executor() const;
  /// For work that computes and never blocks: as many threads as the machine has processors.
  [[nodiscard]] const asio::any_io_executor& work_executor() const;
  /// Runs a coroutine on the protocol's executor and waits for it. Must not be called there.
  template <class T>
  T run(asio::awaitable<T> coroutine) {
    return asio::co_spawn(executor(), std::move(coroutine), asio::use_future).get();
  }

  /// Makes a sign function of one that computes or blocks: it is called on a thread of the node's own for such work.
  /// While calls hang, others get threads of their own (up to a bound).
  ///
  /// It should own what it uses: one that outlasts its time-out may go on for a while after stop().
  [[nodiscard]] SignFunction blocking(BlockingSignFunction function) const;

  /// Finishes or refuses what is in flight, gives the node id back, closes the store, ends the threads. Bounded, also
  /// on an executor that no thread runs any more; harmless when called twice.
  void stop();

 private:
  std::unique_ptr<State> state_;
};

/// Checks the configuration, opens the store and checks its tables, and makes a signer that is ready to be started.
///
/// Errors: throws StartupError.
/// With an executor of the caller's own, call it from another thread than that one's.
[[nodiscard]] std::unique_ptr<HaNode> create_ha_signer(HaSignerConfig config, HaSignerParts parts = {});

}  // namespace hasigner
