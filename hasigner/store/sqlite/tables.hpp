#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hasigner/protection/history.hpp"
#include "hasigner/store/rows/table_row.hpp"
#include "hasigner/store/sqlite/import_source.hpp"
#include "hasigner/store/sqlite/registry.hpp"

namespace hasigner::sqlite {

/// The texts of a key as the columns hold them.
struct KeyTexts {
  explicit KeyTexts(const DutyKey& key)
      : rollup(key.rollup.to_string()),
        validator(key.validator.to_string()),
        duty_type(to_string(key.duty_type)),
        slot(static_cast<std::int64_t>(key.slot.value())),
        block_index(key.block_index) {}

  std::string rollup, validator;
  std::string_view duty_type;
  std::int64_t slot;
  std::int32_t block_index;
};

/// What a store does with the tables, as SQL. Every function runs inside a transaction of the caller's: between
/// begin() and the caller's commit or rollback.
///
/// SQLite has one writer at a time, so within a writing transaction nothing changes between an insert and a look.
/// Errors: SqliteError.
/// Thread safety: one thread at a time.
class Tables {
 public:
  Tables(Connection& connection, NodeLocks& locks);

  /// To be called when a transaction has begun; `now` is the time of everything in it.
  void begin(UtcTime now);
  [[nodiscard]] std::string cluster_id();
  [[nodiscard]] std::int64_t version();
  [[nodiscard]] Registry& registry() { return registry_; }
  [[nodiscard]] UtcTime now() const { return now_; }

  /// Inserts a *signing* row unless one is there.
  void insert_claim(const NodeId& node_id, const DutyClaim& claim, const std::optional<std::string>& expires_at);
  /// Inserts a *signed* row unless something refuses it. A repetition is written again.
  SignedClaimOutcome claim_signed(const NodeId& node_id, const SignedClaim& claim,
                                  const std::optional<std::string>& expires_at);
  [[nodiscard]] DutyView view(const DutyKey& key);
  RowOutcome take_over(const NodeId& node_id, const Takeover& takeover);
  RowOutcome record(const DutyRecord& record);
  RowOutcome release(const DutyRelease& release);
  /// Writes the node's row in the registry, and says of each signature whether the row holds it, and may be signed.
  /// Errors: std::runtime_error if the node is not registered.
  std::vector<bool> confirm_stored(const NodeId& node_id, const std::vector<StoredSignature>& signatures);

  /// Whether retention must not go on: what is known about recent rows of nodes that obey no watermark.
  enum class ForeignRows : std::uint8_t { kNone, kFound, kNotAllSeen };
  /// Looks at some more rows; kNotAllSeen: call again, in the same transaction or another.
  [[nodiscard]] ForeignRows look_for_foreign_rows();
  std::size_t remove(const RemovalRequest& request);

  [[nodiscard]] std::vector<DutyEntry> duties(const DutyFilter& filter);
  [[nodiscard]] std::vector<WatermarkEntry> watermarks();
  WatermarkOutcome set_watermarks(const EthAddress& rollup, const WatermarkSubject& subject,
                                  const WatermarkChange& change);
  [[nodiscard]] std::vector<KeySwitch> key_switches();
  bool set_key_switch(const EthAddress& address, KeyState state, const std::string& by);
  [[nodiscard]] RemovalPreview preview(const RemovalRequest& request);
  [[nodiscard]] HistorySnapshot export_history();
  ImportOutcome import_history(const HistorySnapshot& snapshot);
  [[nodiscard]] std::optional<std::string> imported_state(const std::string& source);
  /// As import_history(), and notes it; does nothing where this state is noted already.
  ImportOutcome import_once(const ImportSource& source, const HistorySnapshot& snapshot);

 private:
  /// The columns of a row that a view shows, in the order in which all statements of views give them.
  [[nodiscard]] DutyRow row_of(const Run& run);
  [[nodiscard]] std::optional<DutyRow> alias_of(const KeyTexts& texts);
  [[nodiscard]] Watermarks watermarks_of(const KeyTexts& texts);
  [[nodiscard]] bool has_rows_in_other_letter_case();

  /// Calls `take` with the rowid of each row that the request removes, `limit` at most.
  template <class Take>
  void for_each_removable(const RemovalRequest& request, std::size_t limit, Take take);
  /// Calls `take` with each signing row that the request removes.
  template <class Take>
  bool for_each_removable_signing(const RemovalRequest& request, std::size_t& left, Take take);

  [[nodiscard]] std::optional<std::string> conflict_of(const TableRow& incoming);
  void import_row(const TableRow& incoming, ImportOutcome& outcome);
  void insert_row(const TableRow& row);
  [[nodiscard]] std::vector<DutyEntry> entries_of(Run run);

  Connection& connection_;
  Registry registry_;
  UtcTime now_;
  std::string now_text_;
  std::optional<bool> other_letter_case_;

  /// Up to this row no recent row of a foreign node was found. The token tells whether the rowid has been given anew.
  struct Seen {
    std::int64_t rowid = 0;
    std::string lock_token;
  };
  Seen seen_;

  Statement cluster_id_;
  Statement version_;
  Statement insert_claim_;
  Statement insert_signed_;
  Statement find_row_;
  Statement find_foreign_index_;
  Statement any_letter_case_;
  Statement find_letter_case_;
  Statement find_watermarks_;
  Statement find_own_watermarks_;
  Statement take_over_;
  Statement record_;
  Statement release_;
  Statement is_signed_so_;
  Statement signing_rows_;
  Statement old_rows_;
  Statement expired_rows_;
  Statement other_rollups_;
  Statement delete_row_;
  Statement token_of_;
  Statement first_and_last_row_;
  Statement rows_between_;
  Statement next_rollup_;
  Statement duties_of_rollup_;
  Statement signing_duties_;
  Statement all_duties_;
  Statement all_watermarks_;
  Statement set_watermarks_;
  Statement key_switches_;
  Statement set_key_switch_;
  Statement tighten_watermarks_;
  Statement find_exact_;
  Statement find_same_duty_;
  Statement insert_row_;
  Statement imported_state_;
  Statement note_import_;
};

}  // namespace hasigner::sqlite
