#pragma once

#include <memory>
#include <string>

#include "hasigner/protection/history.hpp"
#include "hasigner/store/sqlite/import_source.hpp"

namespace hasigner::sqlite {

class Tables;
class Worker;

struct SqliteOptions {
  /// Rows of this store are to be deleted after this long (their expires_at); nullopt: they are kept.
  std::optional<milliseconds> retention;
  /// Requests that may wait for the database; more are refused.
  std::size_t max_waiting = 200'000;
};

/// A store in one SQLite file, which several processes of one machine may share.
///
/// A confirmed record is in the log of the file and the disk has said that it is safe there. All calls that have come
/// while the disk was at work go into the next transaction together. A node is alive as long as its process holds the
/// kernel's lock on its byte of the file PATH-nodes, so a killed process's duties may be replaced at once. Another file
/// in the place of the one that was opened is noticed before anything is confirmed: kIncompatible, for good. Thread
/// safety: one executor. SQLite itself is called on a thread of the store's own.
class SqliteStore final : public Store, public History {
 public:
  /// Opens the file, or makes one that only this user may read and write, and brings its tables up to date.
  ///
  /// Errors: kIncompatible (the path leads to something else, or to a file of a newer version; nothing was changed),
  /// kUnavailable (another process held the file until `deadline`). Each names the path and says what to do.
  /// Must be awaited on `executor`, which the store then lives on and must not outlive.
  [[nodiscard]] static asio::awaitable<StoreResult<std::shared_ptr<SqliteStore>>> open(std::string path,
                                                                                       std::shared_ptr<Clock> clock,
                                                                                       asio::any_io_executor executor,
                                                                                       SqliteOptions options,
                                                                                       MonotonicTime deadline);
  ~SqliteStore() override;

  [[nodiscard]] StoreCapabilities capabilities() const override;
  [[nodiscard]] std::shared_ptr<const StoreEpoch> epoch() const override { return epoch_; }
  [[nodiscard]] StoreBatch<ClaimOutcome> claim(NodeId node_id, std::vector<DutyClaim> claims,
                                               MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<SignedClaimOutcome> claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                                            MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<DutyView> look(std::vector<DutyKey> keys, MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<RowOutcome> take_over(NodeId node_id, std::vector<Takeover> takeovers,
                                                 MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<RowOutcome> record(std::vector<DutyRecord> records, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<ReleaseReply>> release(std::vector<DutyRelease> releases,
                                                                   MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<bool> confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                                MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RegistrationOutcome>> register_node(NodeRegistration registration,
                                                                                MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<bool>> renew(NodeRegistration registration,
                                                         MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<void>> end_lease(NodeRegistration registration,
                                                             MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RemovalOutcome>> remove(RemovalRequest request,
                                                                    MonotonicTime deadline) override;
  /// Waits for the transaction that is under way, not for requests that wait for one.
  [[nodiscard]] asio::awaitable<void> close() override;

  [[nodiscard]] asio::awaitable<StoreResult<std::vector<DutyEntry>>> duties(DutyFilter filter,
                                                                            MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<NodeEntry>>> nodes(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<NodeRemoval>> remove_node(NodeId node_id, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<WatermarkEntry>>> watermarks(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<WatermarkOutcome>>> set_watermarks(
      EthAddress rollup, std::vector<WatermarkSubject> subjects, WatermarkChange change,
      MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<KeySwitch>>> key_switches(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<bool>> set_key_switch(EthAddress address, KeyState state, std::string by,
                                                                  MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RemovalPreview>> preview(RemovalRequest request,
                                                                     MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<HistorySnapshot>> export_history(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<ImportOutcome>> import_history(HistorySnapshot snapshot,
                                                                           MonotonicTime deadline) override;
  /// In which state import_once() has imported the history of that name. Returns nullopt when it never has.
  [[nodiscard]] asio::awaitable<StoreResult<std::optional<std::string>>> imported_state(std::string source,
                                                                                        MonotonicTime deadline);
  /// As import_history(), and notes the source in the same transaction; does nothing where its state is noted already.
  [[nodiscard]] asio::awaitable<StoreResult<ImportOutcome>> import_once(ImportSource source, HistorySnapshot snapshot,
                                                                        MonotonicTime deadline);

 private:
  struct Call;

  SqliteStore(std::shared_ptr<Clock> clock, asio::any_io_executor executor, SqliteOptions options);

  /// Has the worker do `work` and waits for what it gives, until the deadline.
  template <class R>
  [[nodiscard]] asio::awaitable<StoreResult<R>> call(Call call, std::move_only_function<R(Tables&)> work);

  std::shared_ptr<Clock> clock_;
  asio::any_io_executor executor_;
  SqliteOptions options_;
  std::shared_ptr<const StoreEpoch> epoch_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace hasigner::sqlite
