#pragma once

#include <memory>
#include <string>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/settings.hpp"
#include "hasigner/factory/open_store.hpp"
#include "hasigner/factory/runtime.hpp"

namespace hasigner::cli {

/// What to do when the SQLite file does not exist.
enum class MissingFile : std::uint8_t {
  kRefuse,  ///< a command that only reads must not make an empty database from a misspelt path
  kMake,
};

/// The store of the settings, opened for one command of inspection or maintenance.
///
/// Errors: CommandError and StartupError, from the constructor and from wait_for().
/// Thread safety: none; its calls run on a thread of their own and are waited for.
class Database {
 public:
  Database(const Settings& settings, MissingFile missing_file);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  [[nodiscard]] History& history() { return *opened_.history; }
  [[nodiscard]] std::shared_ptr<History> shared_history() { return opened_.history; }
  [[nodiscard]] Store& store() { return *opened_.store; }
  /// For people: without secrets.
  [[nodiscard]] const std::string& shown_url() const { return opened_.shown_url; }
  [[nodiscard]] static MonotonicTime within(milliseconds time) { return std::chrono::steady_clock::now() + time; }

  /// The answer of a call of the store or its history.
  template <class T>
  T wait_for(asio::awaitable<StoreResult<T>> call) {
    StoreResult<T> result = runtime_->run(std::move(call));
    if (!result) throw CommandError(result.error());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
  }

 private:
  std::unique_ptr<Runtime> runtime_;
  std::shared_ptr<Clock> clock_;
  OpenedStore opened_;
};

/// Long enough for a busy server, short enough for a person.
inline constexpr milliseconds kLookTimeout{15'000};
/// For what reads or writes a whole history.
inline constexpr milliseconds kBulkTimeout{600'000};

}  // namespace hasigner::cli
