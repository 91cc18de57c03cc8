#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "hasigner/protection/history.hpp"
#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner {

/// A row of validator_duties as its columns hold it: text where any client may have written what it likes.
struct TableRow {
  std::string rollup;
  std::string validator;
  std::int64_t slot = 0;
  std::int64_t block_number = 0;
  std::int64_t checkpoint_number = 0;
  std::int32_t block_index = kNoBlockIndex;
  std::string duty_type;
  DutyStatus status = DutyStatus::kSigning;
  std::string message_hash;
  std::optional<std::string> signature;
  std::string node_id;
  std::string lock_token;
  UtcTime started_at;
  std::optional<UtcTime> completed_at;
  std::optional<UtcTime> expires_at;  ///< nullopt: never
};

/// The row of a fresh claim.
[[nodiscard]] TableRow signing_row(const Duty& duty, const NodeId& node_id, const LockToken& token, UtcTime now);

/// What the protocol looks at.
/// Whether a row is what an earlier try of the same claim has left.
[[nodiscard]] bool is_repetition(const SignedClaim& claim, const DutyRow& row);

[[nodiscard]] DutyRow duty_row_of(const TableRow& row, HolderState holder);

/// What people and programs are shown.
[[nodiscard]] DutyEntry duty_entry_of(const TableRow& row);

/// Reads an entry to import. Errors: a sentence that names the duty, the field and what is allowed.
///
/// Accepts what the table can hold, a published node's odd rows (a slot below zero, a text that is not a hash)
/// included: what one store exports another must be able to import.
[[nodiscard]] std::expected<TableRow, std::string> table_row_of(const DutyEntry& entry);

/// Why a watermark cannot be imported; nullopt when it can.
[[nodiscard]] std::optional<std::string> wrong_in(const WatermarkEntry& entry);

/// The validators of the filter for a statement: `,0x…,0x…,`. Returns nullopt when rows of any are wanted.
[[nodiscard]] std::optional<std::string> validators_between_commas(const DutyFilter& filter);

/// `signing` or `signed`.
[[nodiscard]] std::string_view to_text(DutyStatus status);

/// ASCII letters in lower case, the rest untouched: what lower(… collate "C") and SQLite's lower() do.
[[nodiscard]] std::string lower_case(std::string_view text);

/// The duty as its row names it, for messages: `ATTESTATION of 0x… for slot 5`.
[[nodiscard]] std::string describe(const TableRow& row);

}  // namespace hasigner
