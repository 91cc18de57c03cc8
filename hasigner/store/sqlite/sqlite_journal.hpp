#pragma once

#include <memory>
#include <string>

#include "hasigner/protection/release_journal.hpp"

namespace hasigner::sqlite {

/// How much a journal holds.
struct JournalLimits {
  std::size_t entries = 500'000;  ///< of one rollup. Beyond, those of the lowest slots are dropped, some 50,000 at once
  std::size_t read_at_once = 50'000;  ///< of one rollup, when it is opened
};

/// A journal in one SQLite file, which one process at a time may open.
///
/// What has come while the disk was at work goes into one transaction, and so shares one wait for the disk.
/// Thread safety: one executor, which must run until close(). SQLite itself is called on a thread of its own.
class SqliteJournal final : public ReleaseJournal {
 public:
  /// Opens the file, or makes one that only this user may read and write. Its folder must be there. Blocks, while
  /// another process has the file open, for as long as `timeout`.
  ///
  /// Errors: throws std::runtime_error with a sentence that names the path and says what to do.
  SqliteJournal(const std::string& path, asio::any_io_executor executor, milliseconds timeout,
                JournalLimits limits = {});
  ~SqliteJournal() override;

  [[nodiscard]] JournalContents contents() override;
  [[nodiscard]] std::shared_ptr<Arrival<Written>> append(std::vector<JournalEntry> entries) override;
  void withdraw(std::vector<JournalEntry> entries) override;
  void leave_unsettled(std::vector<JournalEntry> entries) override;
  [[nodiscard]] std::shared_ptr<Arrival<Found>> find(std::vector<DutyKey> keys) override;
  void remember_history(std::string history) override;
  void close() override;

 private:
  class Writer;
  std::shared_ptr<Writer> writer_;
  asio::any_io_executor executor_;
};

}  // namespace hasigner::sqlite
