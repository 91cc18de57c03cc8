#include "hasigner/factory/node_history.hpp"

#include <algorithm>
#include <filesystem>

#include "hasigner/async/signals_blocked.hpp"
#include "hasigner/protection/plausible_slots.hpp"
#include "hasigner/store/lmdb/node_folder.hpp"
#include "hasigner/store/rows/highest_slots.hpp"

namespace hasigner {
namespace {

constexpr milliseconds kImportTimeout{600'000};
constexpr std::size_t kShown = 3;

using Kind = StartupError::Kind;

StartupError startup_error(const lmdb::FolderError& error) {
  const bool is_in_use = error.kind == lmdb::FolderError::Kind::kInUse;
  return {is_in_use ? Kind::kUnavailable : Kind::kIncompatible,
          "the history of the node that this one takes the place of is not imported: " + error.sentence};
}

StartupError startup_error(const StoreError& error) {
  return {error.kind == StoreErrorKind::kIncompatible ? Kind::kIncompatible : Kind::kUnavailable, error.reason};
}

/// The first of them, and how many more there are.
std::string listed(const std::vector<std::string>& sentences) {
  std::string text;
  const std::size_t shown = std::min(sentences.size(), kShown);
  for (std::size_t i = 0; i < shown; ++i) text += (i == 0 ? "" : "; ") + sentences[i];
  if (sentences.size() > shown) text += "; and " + std::to_string(sentences.size() - shown) + " more";
  return text;
}

StartupError conflict_error(const std::string& folder, const std::vector<std::string>& conflicts) {
  return {Kind::kIncompatible,
          "the history in \"" + folder +
              "\" and this node's database have other data for the same duty; nothing was imported. Find out "
              "which of the two has signed before you sign with either: " +
              listed(conflicts)};
}

/// The highest signed slot becomes a low watermark, so an absurd one would silence its validator.
std::vector<std::string> implausible_duties(const HistorySnapshot& snapshot) {
  const PlausibleSlots slots{SlotRules()};
  std::vector<std::string> sentences;
  for (const auto& duty : snapshot.duties) {
    const auto slot = Slot::parse(duty.slot);
    const auto refused = slot ? slots.refuse(*slot) : std::nullopt;
    if (!refused) continue;
    sentences.push_back("the duty " + printable(duty.duty_type) + " of validator " + printable(duty.validator) + ": " +
                        refused->message());
  }
  return sentences;
}

StartupError implausible_error(const std::string& folder, const std::vector<std::string>& sentences) {
  return {Kind::kIncompatible,
          "the history in \"" + folder +
              "\" has slots that cannot have begun; nothing was imported. Import it yourself (ha-signer import --lmdb; "
              "with --slots-ahead if these slots are right), then move the folder away: " +
              listed(sentences)};
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
  if (const auto implausible = implausible_duties(history->snapshot); !implausible.empty()) {
    co_return std::unexpected(implausible_error(folder, implausible));
  }
  HistorySnapshot snapshot = history->snapshot;
  auto outcome = co_await store->import_once(std::move(source), std::move(snapshot), deadline);
  if (!outcome) co_return std::unexpected(startup_error(outcome.error()));
  if (!outcome->conflicts.empty()) co_return std::unexpected(conflict_error(folder, outcome->conflicts));
  co_return sentence_of(folder, *history, *outcome);
}

}  // namespace hasigner
