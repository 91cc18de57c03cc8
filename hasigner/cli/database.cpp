#include "hasigner/cli/database.hpp"

#include <filesystem>

#include "hasigner/cli/signer_settings.hpp"
#include "hasigner/factory/database_url.hpp"
#include "hasigner/protection/system_clock.hpp"

namespace hasigner::cli {

namespace {

/// Long enough for a server that restarts, short enough for a person who waits.
constexpr milliseconds kOpenTimeout{5'000};

void require_lasting(const DatabaseUrl& url) {
  if (url.kind != DatabaseUrl::Kind::kMemory) return;
  throw CommandError(ExitCode::kUsage, "memory: exists within one process, so another command finds nothing in it");
}

void require_file(const DatabaseUrl& url) {
  std::error_code error;
  if (url.kind != DatabaseUrl::Kind::kSqlite || std::filesystem::exists(url.path, error)) return;
  throw CommandError(ExitCode::kUsage, "there is no database " + printable(url.path, 200) +
                                           ": correct the path, or make one with `ha-signer migrate up`");
}

}  // namespace

Database::Database(const Settings& settings, MissingFile missing_file) {
  const auto url = accepted(DatabaseUrl::parse(settings.required(SettingId::kDatabaseUrl)));
  require_lasting(url);
  if (missing_file == MissingFile::kRefuse) require_file(url);
  StoreSettings store = store_settings(settings);
  // A command asks one thing after the other; the server's connections are for the signers.
  store.pool.max = 2;
  store.pool.min = 0;
  store.open_timeout = kOpenTimeout;
  // A command ends too soon to meet a former primary, so it needs no timeline.
  store.storage_replicates = true;
  runtime_ = std::make_unique<Runtime>();
  clock_ = std::make_shared<SystemClock>(runtime_->executor());
  opened_ = runtime_->run(open_store(std::move(store), runtime_->executor(), clock_));
}

Database::~Database() {
  if (opened_.store) runtime_->run(opened_.store->close());
  opened_ = {};
  clock_.reset();
}

}  // namespace hasigner::cli
