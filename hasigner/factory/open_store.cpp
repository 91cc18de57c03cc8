#include "hasigner/factory/open_store.hpp"

#include "hasigner/factory/database_url.hpp"
#include "hasigner/factory/node_history.hpp"
#include "hasigner/factory/read_aside.hpp"
#include "hasigner/store/memory/memory_store.hpp"
#include "hasigner/store/postgres/connection_string.hpp"
#include "hasigner/store/postgres/libpq_executor.hpp"
#include "hasigner/store/postgres/postgres_store.hpp"
#include "hasigner/store/postgres/sql_errors.hpp"
#include "hasigner/store/sqlite/sqlite_store.hpp"

namespace hasigner {

namespace {

/// Of the connection for reads: more are refused.
constexpr std::size_t kMostReadsWaiting = 64;
/// The server ends a statement of that connection after this long.
constexpr milliseconds kLongestRead{5'000};

[[noreturn]] void refuse_store(const std::string& sentence) {
  throw StartupError(StartupError::Kind::kConfiguration, sentence);
}

[[noreturn]] void fail(const StoreError& error) {
  const bool incompatible = error.kind == StoreErrorKind::kIncompatible;
  throw StartupError(incompatible ? StartupError::Kind::kIncompatible : StartupError::Kind::kUnavailable, error.reason);
}

/// A store with the clock that it refers to.
struct MemoryNode {
  explicit MemoryNode(std::shared_ptr<Clock> clock_in)
      : clock(std::move(clock_in)), store(std::make_shared<memory::MemoryTables>(*clock), *clock) {}

  std::shared_ptr<Clock> clock;
  memory::MemoryStore store;
};

struct PostgresNode {
  PostgresNode(std::shared_ptr<postgres::SqlExecutor> executor, std::shared_ptr<Clock> clock_in,
               postgres::PostgresStoreOptions options)
      : clock(std::move(clock_in)), store(std::move(executor), *clock, options) {}

  std::shared_ptr<Clock> clock;
  postgres::PostgresStore store;
};

OpenedStore open_memory(const StoreSettings& settings, std::shared_ptr<Clock> clock) {
  if (!settings.allow_ephemeral) {
    refuse_store(
        "The store memory: forgets what was signed when the process ends, so a restart could sign other data; use "
        "sqlite:PATH, or set allow_ephemeral where being slashed does not matter");
  }
  auto node = std::make_shared<MemoryNode>(std::move(clock));
  const std::shared_ptr<memory::MemoryStore> store(node, &node->store);
  return {store, store, "memory:"};
}

asio::awaitable<OpenedStore> open_sqlite(StoreSettings settings, std::string path, asio::any_io_executor executor,
                                         std::shared_ptr<Clock> clock) {
  const auto deadline = clock->now() + settings.open_timeout;
  const sqlite::SqliteOptions options{.retention = settings.retention};
  auto opened = co_await sqlite::SqliteStore::open(path, clock, executor, options, deadline);
  if (!opened) fail(opened.error());
  OpenedStore store{*opened, *opened, "sqlite:" + path};
  if (settings.reads == StoreSettings::Reads::kAside) {
    const sqlite::SqliteOptions reading{.retention = {}, .max_waiting = kMostReadsWaiting};
    auto reader = co_await sqlite::SqliteStore::open(path, clock, executor, reading, deadline);
    if (!reader) fail(reader.error());
    store.history = std::make_shared<ReadAside>(*opened, *reader);
    store.reader = *reader;
  }
  if (!settings.node_history.empty()) {
    auto imported = co_await import_node_history(*opened, settings.node_history, clock);
    if (!imported) {
      co_await store.store->close();
      throw StartupError(imported.error());
    }
    store.imported = *std::move(imported);
  }
  co_return store;
}

/// A pool of this store's own, with its first connection: what waiting cannot mend fails at once.
asio::awaitable<std::optional<StoreError>> connect(std::shared_ptr<postgres::LibpqExecutor> pool,
                                                   MonotonicTime deadline) {
  auto connected = co_await pool->connect_first(deadline);
  if (connected) co_return std::nullopt;
  co_return postgres::store_error(connected.error());
}

asio::awaitable<OpenedStore> open_postgres(StoreSettings settings, asio::any_io_executor executor,
                                           std::shared_ptr<Clock> clock) {
  const auto deadline = clock->now() + settings.open_timeout;
  settings.pool.url = settings.database_url;
  std::string shown = postgres::mask_password(settings.database_url);
  std::shared_ptr<postgres::LibpqExecutor> own_pool;
  if (!settings.sql_pool) {
    auto created = postgres::LibpqExecutor::create(executor, settings.pool);
    if (!created) refuse_store(created.error().message());
    own_pool = *created;
  }
  std::shared_ptr<postgres::SqlExecutor> pool = own_pool;
  if (settings.sql_pool) pool = settings.sql_pool->share();
  using postgres::WithoutTimeline;
  const postgres::PostgresStoreOptions options{.keep_duties_for = settings.retention,
                                               .without_timeline = settings.storage_replicates
                                                                       ? WithoutTimeline::kStorageReplicates
                                                                       : WithoutTimeline::kRefused};
  auto node = std::make_shared<PostgresNode>(pool, clock, options);
  std::optional<StoreError> error;
  if (own_pool) error = co_await connect(own_pool, deadline);
  if (!error) {
    auto initialized = co_await node->store.initialize(deadline);
    if (!initialized) error = initialized.error();
  }
  if (error) {
    co_await node->store.close();
    fail(*error);
  }
  const std::shared_ptr<postgres::PostgresStore> store(node, &node->store);
  OpenedStore opened{.store = store, .history = store, .shown_url = std::move(shown)};
  opened.claimed_messages = store;
  opened.journal_rounds = store;
  if (settings.reads == StoreSettings::Reads::kAside && own_pool) {
    // It connects when something is read. A failover that the store has noticed leaves its session with a server that
    // has been replaced, so that session is asked before each read.
    auto reading = settings.pool;
    reading.max = 1;
    reading.min = 0;
    reading.statement_timeout = kLongestRead;
    reading.check_holds = milliseconds(0);
    reading.checks_every_request = true;
    auto created = postgres::LibpqExecutor::create(executor, std::move(reading));
    if (!created) refuse_store(created.error().message());
    auto reading_options = options;
    reading_options.leader = store->known();
    auto node_for_reads = std::make_shared<PostgresNode>(*created, clock, reading_options);
    const std::shared_ptr<postgres::PostgresStore> reader(node_for_reads, &node_for_reads->store);
    opened.history = std::make_shared<ReadAside>(store, reader);
    opened.reader = reader;
  }
  co_return opened;
}

}  // namespace

asio::awaitable<OpenedStore> open_store(StoreSettings settings, asio::any_io_executor executor,
                                        std::shared_ptr<Clock> clock) {
  const auto url = DatabaseUrl::parse(settings.database_url);
  if (!url) refuse_store(url.error().message());
  if (settings.sql_pool && url->kind != DatabaseUrl::Kind::kPostgres) {
    refuse_store("A shared SQL pool was given, but database_url does not name a PostgreSQL database");
  }
  if (!settings.node_history.empty() && url->kind != DatabaseUrl::Kind::kSqlite) {
    refuse_store("The history of a node was given, but database_url does not name a SQLite database");
  }
  switch (url->kind) {
    case DatabaseUrl::Kind::kMemory: co_return open_memory(settings, std::move(clock));
    case DatabaseUrl::Kind::kSqlite: {
      auto opened = co_await open_sqlite(std::move(settings), url->path, executor, std::move(clock));
      co_return opened;
    }
    case DatabaseUrl::Kind::kPostgres: break;
  }
  auto opened = co_await open_postgres(std::move(settings), executor, std::move(clock));
  co_return opened;
}

}  // namespace hasigner
