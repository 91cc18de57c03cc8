#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "hasigner/async/asio.hpp"
#include "hasigner/factory/ha_node.hpp"
#include "hasigner/protection/claimed_messages.hpp"
#include "hasigner/protection/history.hpp"
#include "hasigner/protection/journal_rounds.hpp"
#include "hasigner/protection/store.hpp"
#include "hasigner/store/postgres/sql_pool.hpp"

namespace hasigner {

/// Which store, and how it is to be reached.
struct StoreSettings {
  std::string database_url;   ///< `postgresql://…`, `sqlite:PATH` or `memory:`; a secret: it may hold a password
  postgres::PoolConfig pool;  ///< of PostgreSQL; its URL is taken from database_url
  /// A pool of the caller's own, in place of one made by `pool`. It may serve several stores and outlives them: it is
  /// never closed here. It must work on the executor that the store is opened on.
  std::shared_ptr<SharedSqlPool> sql_pool;
  std::optional<std::chrono::hours> retention;  ///< how long rows made here are kept; nullopt: they are never removed
  /// The folder `signing-protection` of a published node that this store takes the place of (SQLite only). What it
  /// holds is imported before the store is given out, once for each state that it has; a folder that is not there, or
  /// is empty, holds nothing.
  std::string node_history = {};
  bool allow_ephemeral = false;  ///< needed for `memory:`, which forgets everything when the process ends
  /// The storage below PostgreSQL replicates each commit before it is confirmed, so that no failover loses one:
  /// standbys are not expected, and the server need not tell its timeline. See docs/operating.md, Managed databases.
  bool storage_replicates = false;
  /// Where the reads of the history go. Not for `memory:`, nor with a pool of the caller's own.
  enum class Reads : std::uint8_t {
    kWithTheStore,
    kAside,  ///< to a connection of their own, so that people who read take nothing from what signs
  };
  Reads reads = Reads::kWithTheStore;
  milliseconds open_timeout{15'000};
};

/// A store that has been checked and may be used.
struct OpenedStore {
  std::shared_ptr<Store> store;
  std::shared_ptr<History> history;  ///< the same object, or one that reads aside
  std::string shown_url;             ///< for a person: without secrets
  std::string imported = {};         ///< what was imported from node_history, for a person; empty: nothing
  std::shared_ptr<Store> reader =
      {};  ///< what the history reads by, to be closed with the store; null: the store itself
  /// The same object too, where nodes that claim for themselves can share the store; otherwise null.
  std::shared_ptr<ClaimedMessages> claimed_messages = {};
  /// The same object too, where nodes with journals can wait for each other; otherwise null.
  std::shared_ptr<JournalRounds> journal_rounds = {};
};

/// Opens the store that the URL names and checks that its tables are the ones that this program knows.
///
/// Effects: SQLite files are made and migrated; PostgreSQL is not changed; `node_history` is imported.
/// Errors: throws StartupError.
/// Must be awaited on `executor`, which the store then lives on.
[[nodiscard]] asio::awaitable<OpenedStore> open_store(StoreSettings settings, asio::any_io_executor executor,
                                                      std::shared_ptr<Clock> clock);

}  // namespace hasigner
