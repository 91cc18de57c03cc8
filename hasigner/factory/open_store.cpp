#include "hasigner/factory/open_store.hpp"

#include "hasigner/store/memory/memory_store.hpp"

namespace hasigner {

namespace {

[[noreturn]] void refuse(const std::string& sentence) {
  throw StartupError(StartupError::Kind::kConfiguration, sentence);
}

/// A memory store with what it refers to.
struct MemoryNode {
  explicit MemoryNode(std::shared_ptr<Clock> clock_in)
      : clock(std::move(clock_in)), store(std::make_shared<memory::MemoryWorld>(*clock), *clock) {}

  std::shared_ptr<Clock> clock;
  memory::MemoryStore store;
};

OpenedStore open_memory(const StoreSettings& settings, std::shared_ptr<Clock> clock) {
  if (!settings.allow_ephemeral) {
    refuse("The store memory: forgets what was signed when the process ends, so a restart could sign other data; use "
           "sqlite:PATH, or set VALIDATOR_ALLOW_EPHEMERAL_SIGNING_PROTECTION=true where being slashed does not matter");
  }
  auto node = std::make_shared<MemoryNode>(std::move(clock));
  const std::shared_ptr<memory::MemoryStore> store(node, &node->store);
  return {store, store, "memory:"};
}

}  // namespace

asio::awaitable<OpenedStore> open_store(StoreSettings settings, asio::any_io_executor /*executor*/,
                                        std::shared_ptr<Clock> clock) {
  const auto url = DatabaseUrl::parse(settings.database_url);
  if (!url) refuse(url.error().message());
  if (settings.sql_pool && url->kind != DatabaseUrl::Kind::kPostgres) {
    refuse("A shared SQL pool was given, but VALIDATOR_HA_DATABASE_URL names no PostgreSQL database");
  }
  switch (url->kind) {
    case DatabaseUrl::Kind::kMemory: co_return open_memory(settings, std::move(clock));
    case DatabaseUrl::Kind::kSqlite: break;
    case DatabaseUrl::Kind::kPostgres: break;
  }
  refuse("not there yet");
}

}  // namespace hasigner
