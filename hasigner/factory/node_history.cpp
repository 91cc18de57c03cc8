#include "hasigner/factory/node_history.hpp"

#include <algorithm>
#include <filesystem>

#include "hasigner/async/signals_blocked.hpp"
#include "hasigner/store/lmdb/node_folder.hpp"
#include "hasigner/store/rows/highest_slots.hpp"

namespace hasigner {
namespace {

constexpr milliseconds kImportTimeout{600'000};
constexpr std::size_t kConflictsShown = 3;

using Kind = StartupError::Kind;

StartupError startup_error(const lmdb::FolderError& error) {
  const bool is_in_use = error.kind == lmdb::FolderError::Kind::kInUse;
  return {is_in_use ? Kind::kUnavailable : Kind::kIncompatible,
          "the history of the node that this one takes the place of is not imported: " + error.sentence};
}

StartupError startup_error(const StoreError& error) {
  return {error.kind == StoreErrorKind::kIncompatible ? Kind::kIncompatible : Kind::kUnavailable, error.reason};
}

StartupError conflict_error(const std::string& folder, const std::vector<std::string>& conflicts) {
  std::string sentence =
      "the history in \"" + folder +
      "\" and this node's database have other data for the same duty; nothing was imported. Find out "
      "which of the two has signed before you sign with either: ";
  const std::size_t shown = std::min(conflicts.size(), kConflictsShown);
  for (std::size_t i = 0; i < shown; ++i) sentence += (i == 0 ? "" : "; ") + conflicts[i];
  if (conflicts.size() > shown) sentence += "; and " + std::to_string(conflicts.size() - shown) + " more";
  return {Kind::kIncompatible, sentence};
}

std::string sentence_of(const std::string& folder, const lmdb::NodeHistory& history, const ImportOutcome& outcome) {
  const auto signing = std::ranges::count(history.snapshot.duties, std::string("signing"), &DutyEntry::status);
  const auto watermarks = history.snapshot.watermarks.size();
  return "imported the protection history in \"" + folder +
         "\" into this node's database: " + std::to_string(outcome.inserted) + " of " +
         std::to_string(history.snapshot.duties.size()) + " duties, " + std::to_string(signing) +
         " of them still signing, and " + std::to_string(watermarks) +
         (watermarks == 1 ? " watermark" : " watermarks") +
         (history.has_version ? "" : "; its db_version is missing, so all that was found was imported");
}

asio::awaitable<lmdb::FolderResult<lmdb::NodeHistory>> read(std::string folder) {
  auto history = lmdb::read_history(folder);
  if (history) raise_to_highest_slots(history->snapshot);
  co_return history;
}

/// On a thread of its own: the protocol goes on meanwhile.
asio::awaitable<lmdb::FolderResult<lmdb::NodeHistory>> read_aside(std::string folder) {
  std::optional<asio::thread_pool> thread;
  {
    const SignalsBlocked signals_blocked;
    thread.emplace(1);
  }
  auto reading = asio::co_spawn(*thread, read(std::move(folder)), asio::use_awaitable);
  auto history = co_await std::move(reading);
  co_return history;
}

}  // namespace

asio::awaitable<std::expected<std::string, StartupError>> import_node_history(
    std::shared_ptr<sqlite::SqliteStore> store, std::string folder, std::shared_ptr<Clock> clock) {
  const auto state = lmdb::state_of(folder);
  if (!state) co_return std::unexpected(startup_error(state.error()));
  if (!*state) co_return std::string();

  // The folder moves together with the database beside it, so its path may change.
  sqlite::ImportSource source{.name = "lmdb:" + std::filesystem::path(folder).filename().string(), .state = **state};
  const auto deadline = clock->now() + kImportTimeout;
  auto noted = co_await store->imported_state(source.name, deadline);
  if (!noted) co_return std::unexpected(startup_error(noted.error()));
  if (*noted == source.state) co_return std::string();

  auto history = co_await read_aside(folder);
  if (!history) co_return std::unexpected(startup_error(history.error()));
  source.state = history->state;
  HistorySnapshot snapshot = history->snapshot;
  auto outcome = co_await store->import_once(std::move(source), std::move(snapshot), deadline);
  if (!outcome) co_return std::unexpected(startup_error(outcome.error()));
  if (!outcome->conflicts.empty()) co_return std::unexpected(conflict_error(folder, outcome->conflicts));
  co_return sentence_of(folder, *history, *outcome);
}

}  // namespace hasigner
