#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/protection/claimed_messages.hpp"
#include "hasigner/protection/history.hpp"
#include "hasigner/protection/journal_rounds.hpp"
#include "hasigner/protection/store.hpp"
#include "hasigner/store/postgres/session_check.hpp"
#include "hasigner/store/postgres/sql_errors.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"
#include "hasigner/store/postgres/sql_texts.hpp"

namespace hasigner::postgres {

struct PostgresStoreOptions {
  /// How long a clean-up by expiry (schema version 3) keeps rows of ours; nullopt: without limit.
  std::optional<std::chrono::hours> keep_duties_for;
  WithoutTimeline without_timeline = WithoutTimeline::kRefused;
  /// Of the store that this one reads beside, see session_check(); null: none.
  std::shared_ptr<const KnownDatabase> leader = nullptr;
};

/// The store on PostgreSQL: texts over an executor, each statement a transaction of its own.
///
/// What can win, record or confirm a duty is sent only to the history in which it was asked: once epoch() has changed,
/// such a request is kUnavailable, and its caller decides anew.
///
/// Works with versions 1 to 3 of the shared tables, and reads the version again with every new session and when a
/// column turns out to be unknown. Statements about many duties never wait for a row that another transaction has
/// locked; a claim, which must, is split into parts, so that one locked row does not hold up the others for long.
/// Thread safety: one executor.
class PostgresStore final : public Store, public History, public ClaimedMessages, public JournalRounds {
 public:
  /// `clock` must outlive the store. Sets the executor's session check, so the executor must not have run anything yet.
  PostgresStore(std::shared_ptr<SqlExecutor> executor, Clock& clock, PostgresStoreOptions options = {});

  /// Connects, and checks that this is a database to work with. Needed before anything else only for its answer: every
  /// later call checks too. Errors: what is wrong and the command that mends it.
  [[nodiscard]] asio::awaitable<StoreResult<void>> initialize(MonotonicTime deadline);

  [[nodiscard]] std::shared_ptr<const KnownDatabase> known() const { return known_; }
  /// Of the shared tables, as last seen; 0 before the first session.
  [[nodiscard]] int schema_version() const { return known_->schema_version; }

  [[nodiscard]] StoreCapabilities capabilities() const override;
  [[nodiscard]] std::shared_ptr<const StoreEpoch> epoch() const override { return known_->epoch; }
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
  [[nodiscard]] StoreBatch<ClaimedOutcome> release_claimed(NodeId node_id, std::vector<ClaimedMessage> messages,
                                                           MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<FoundDuty>>> about_message(ClaimedMessage message,
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
  [[nodiscard]] asio::awaitable<void> close() override;

  [[nodiscard]] bool has_rounds() const override { return known_->has_rounds; }
  [[nodiscard]] asio::awaitable<StoreResult<std::uint64_t>> begin_round(NodeRegistration node, Why why,
                                                                        MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<JournaledNode>>> journaled_nodes(
      MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<Unit>> tell(NodeRegistration node, std::uint64_t completed,
                                                        ReachedSlots slots, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<Unit>> leave(NodeRegistration node, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<Unit>> give_up(std::vector<std::string> node_ids,
                                                           MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<Unit>> forbid_up_to(EthAddress rollup, std::optional<EthAddress> validator,
                                                                std::vector<DutyType> duty_types, Slot slot,
                                                                MonotonicTime deadline) override;

  [[nodiscard]] asio::awaitable<StoreResult<std::vector<DutyEntry>>> duties(DutyFilter filter,
                                                                            MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<NodeEntry>>> nodes(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<NodeRemoval>> remove_node(NodeId node_id, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<WatermarkEntry>>> watermarks(MonotonicTime deadline) override;
  [[nodiscard]] std::optional<ConnectionCounts> connections() const override { return executor_->connections(); }
  [[nodiscard]] asio::awaitable<StoreResult<std::optional<Replication>>> replication(MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<std::vector<std::string>>> lacking_rights(MonotonicTime deadline) override;
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

 private:
  using Statements = std::vector<SqlStatement>;
  using Parameters = std::vector<std::optional<std::string>>;
  using Positions = std::vector<std::size_t>;  ///< of requests in their batch
  /// Makes the statements for the version of the schema that is there.
  using MakeStatements = std::function<Statements(const SqlTexts&)>;
  using MakeParameters = std::function<Parameters(const Positions&)>;

  struct Call {
    SqlPriority priority = SqlPriority::kBackground;
    MonotonicTime deadline;
    bool confirm = false;
    /// The statement takes as its last parameters which table and which timeline are known.
    bool in_known_history = false;
    BatchForm form = BatchForm::kMany;
    bool may_share_transaction = false;
    /// Goes behind what is known.
    std::optional<std::optional<std::string>> last_parameter = std::nullopt;
    /// The history in which this was asked, as epoch() gave it: no other one gets it. Null: any may.
    std::shared_ptr<const StoreEpoch> asked_in = nullptr;
  };

  /// A statement that changes only rows that meet its condition.
  struct RowChange {
    std::string SqlTexts::*change;
    std::string SqlTexts::*would_change;
    Call call;
    milliseconds lock_timeout{};  ///< how long rows are waited for that are all locked
  };

  /// A batch that may wait for rows that others are writing.
  struct WaitingBatch {
    std::function<Statements(const SqlTexts&, const Positions& part, milliseconds lock_timeout)> make;
    std::function<Call(const Positions& part)> call;
    std::function<void(const Positions& part, const std::vector<SqlRows>& answers)> take;
    std::function<void(std::size_t position)> give_back_locked;
    std::function<StoreError(const SqlError&)> error_of = store_error;
    /// After an error of the server something of the part may be written all the same.
    bool error_may_hide_success = false;
  };

  asio::awaitable<std::optional<StoreError>> run_in_parts(WaitingBatch batch, std::size_t size, MonotonicTime deadline);
  asio::awaitable<SqlReply> run(MakeStatements make, Call call);
  asio::awaitable<SqlReply> run_one(std::string SqlTexts::*text, Parameters parameters, Call call);
  asio::awaitable<std::optional<SqlError>> read_database(MonotonicTime deadline);
  [[nodiscard]] SqlRequest request_for(const MakeStatements& make, const Call& call, int version) const;
  asio::awaitable<StoreResult<std::vector<RowOutcome>>> change_rows(RowChange change, MakeParameters make,
                                                                    Positions positions, std::size_t count);
  asio::awaitable<StoreResult<bool>> foreign_rows_are_recent(MonotonicTime deadline);

  std::shared_ptr<SqlExecutor> executor_;
  Clock& clock_;
  PostgresStoreOptions options_;
  std::shared_ptr<KnownDatabase> known_;
  SessionCheck look_again_;
  bool has_seen_key_switches_ = false;
  // Claims and takeovers whose session was lost and may still be at work; how many of them are known to have ended.
  std::size_t losses_ = 0;
  std::size_t settled_losses_ = 0;
  /// Until when a retention of this kind that is deleting chunk after chunk need not look for foreign nodes again.
  std::optional<Removal> retention_under_way_;
  MonotonicTime retention_checked_until_;
};

}  // namespace hasigner::postgres
