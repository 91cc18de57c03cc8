// The half of PostgresStore for inspection and maintenance.

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "hasigner/duty/assert.hpp"
#include "hasigner/store/postgres/postgres_store.hpp"
#include "hasigner/store/postgres/sql_errors.hpp"
#include "hasigner/store/postgres/sql_values.hpp"
#include "hasigner/store/rows/table_row.hpp"

namespace hasigner::postgres {

namespace {

using Row = std::vector<std::optional<std::string>>;
using Parameters = std::vector<std::optional<std::string>>;

/// How often an import is tried again when attempts came in between.
constexpr int kMostImports = 5;
constexpr milliseconds kLongestTableLockWait{10'000};
constexpr std::size_t kWatermarkColumns = 6;

DutyEntry duty_entry_of(const Row& row) {
  const auto text = [&](DutyColumn column) { return row.at(column).value_or(""); };
  return {.rollup = text(kDutyRollup),
          .validator = text(kDutyValidator),
          .slot = text(kDutySlot),
          .block_number = text(kDutyBlockNumber),
          .checkpoint_number = text(kDutyCheckpointNumber),
          .block_index = text(kDutyBlockIndex),
          .duty_type = text(kDutyType),
          .status = text(kDutyStatus),
          .message_hash = text(kDutyMessageHash),
          .signature = text(kDutySignature),
          .node_id = text(kDutyNodeId),
          .lock_token = text(kDutyLockToken),
          .started_at = text(kDutyStartedAt),
          .completed_at = text(kDutyCompletedAt),
          .expires_at = text(kDutyExpiresAt)};
}

WatermarkEntry watermark_entry_of(const Row& row, std::size_t first_column) {
  return {.rollup = row.at(first_column).value_or(""),
          .validator = row.at(first_column + 1).value_or(""),
          .duty_type = row.at(first_column + 2).value_or(""),
          .watermarks = {.low = slot_of(row.at(first_column + 3)), .high = slot_of(row.at(first_column + 4))},
          .updated_at = row.at(first_column + 5).value_or("")};
}

template <class Value>
std::optional<std::string> text_or_null(const std::optional<Value>& value) {
  return value ? std::optional(value->to_string()) : std::nullopt;
}

Parameters filter_parameters(const DutyFilter& filter) {
  Parameters parameters{text_or_null(filter.rollup), validators_between_commas(filter), text_or_null(filter.from_slot),
                        text_or_null(filter.to_slot)};
  parameters.emplace_back(filter.duty_type ? std::optional(std::string(to_string(*filter.duty_type))) : std::nullopt);
  parameters.emplace_back(filter.status ? std::optional(std::string(to_text(*filter.status))) : std::nullopt);
  parameters.emplace_back(filter.node_id);
  parameters.emplace_back(std::to_string(filter.limit));
  return parameters;
}

/// What is to be imported, checked and without repetitions.
struct Incoming {
  std::vector<TableRow> rows;
  std::size_t entries = 0;
  std::vector<std::string> conflicts;
};

/// A duty that stands twice is one duty; if one of the two is signed, it is signed.
Incoming read_incoming(const HistorySnapshot& snapshot) {
  Incoming incoming;
  incoming.entries = snapshot.duties.size();
  for (const WatermarkEntry& entry : snapshot.watermarks) {
    if (auto wrong = wrong_in(entry)) incoming.conflicts.push_back(std::move(*wrong));
  }
  std::map<std::tuple<std::string, std::string, std::int64_t, std::string, std::int32_t>, std::size_t> positions;
  for (const DutyEntry& entry : snapshot.duties) {
    auto row = table_row_of(entry);
    if (!row) {
      incoming.conflicts.push_back(row.error());
      continue;
    }
    const auto [position, is_new] = positions.try_emplace(
        {row->rollup, row->validator, row->slot, row->duty_type, row->block_index}, incoming.rows.size());
    if (is_new) {
      incoming.rows.push_back(std::move(*row));
      continue;
    }
    TableRow& there = incoming.rows[position->second];
    if (lower_case(there.message_hash) != lower_case(row->message_hash)) {
      incoming.conflicts.push_back(describe(*row) + " stands twice in what is to be imported, with different data");
    } else if (there.status == DutyStatus::kSigning && row->status == DutyStatus::kSigned) {
      there = std::move(*row);
    }
  }
  return incoming;
}

void add_time(ArrayText& array, const std::optional<UtcTime>& time) {
  if (time) {
    array.add_quoted(utc_text(*time));
  } else {
    array.add_null();
  }
}

Parameters import_parameters(const std::vector<TableRow>& rows) {
  std::array<ArrayText, kDutyColumns> columns;
  for (const TableRow& row : rows) {
    columns[kDutyRollup].add_quoted(row.rollup);
    columns[kDutyValidator].add_quoted(row.validator);
    columns[kDutySlot].add_number(row.slot);
    columns[kDutyBlockNumber].add_number(row.block_number);
    columns[kDutyCheckpointNumber].add_number(row.checkpoint_number);
    columns[kDutyBlockIndex].add_number(row.block_index);
    columns[kDutyType].add_quoted(row.duty_type);
    columns[kDutyStatus].add_quoted(to_text(row.status));
    columns[kDutyMessageHash].add_quoted(row.message_hash);
    if (row.signature) {
      columns[kDutySignature].add_quoted(*row.signature);
    } else {
      columns[kDutySignature].add_null();
    }
    columns[kDutyNodeId].add_quoted(row.node_id);
    columns[kDutyLockToken].add_quoted(row.lock_token);
    columns[kDutyStartedAt].add_quoted(utc_text(row.started_at));
    add_time(columns[kDutyCompletedAt], row.completed_at);
    add_time(columns[kDutyExpiresAt], row.expires_at);
  }
  Parameters parameters;
  for (ArrayText& column : columns) parameters.emplace_back(column.finish());
  return parameters;
}

void add_bound(ArrayText& array, const std::optional<Slot>& slot) {
  if (slot) {
    array.add_number(slot->value());
  } else {
    array.add_null();
  }
}

void append_watermarks(Parameters& parameters, const std::vector<WatermarkEntry>& entries) {
  std::array<ArrayText, 5> columns;
  for (const WatermarkEntry& entry : entries) {
    columns[0].add_quoted(entry.rollup);
    columns[1].add_quoted(entry.validator);
    columns[2].add_quoted(entry.duty_type);
    add_bound(columns[3], entry.watermarks.low);
    add_bound(columns[4], entry.watermarks.high);
  }
  for (ArrayText& column : columns) parameters.emplace_back(column.finish());
}

std::vector<std::string> describe_conflicts(const SqlRows& rows, const Incoming& incoming) {
  std::vector<std::string> sentences;
  for (const Row& row : rows.rows) {
    const TableRow& duty = incoming.rows.at(number_of<std::size_t>(row.at(0)).value() - 1);
    sentences.push_back(describe(duty) + " is there with message hash " + printable(row.at(1).value_or("")) +
                        ", and is to be imported with " + printable(duty.message_hash));
  }
  return sentences;
}

bool attempts_came_between(const SqlError& error) {
  return error.kind == SqlErrorKind::kServer &&
         (error.sqlstate == kUniqueViolation || error.sqlstate == kDivisionByZero || met_another_transaction(error));
}

/// Half the time for the lock, so that there is some left to say that it could not be had. Not long: later writers
/// wait behind it.
milliseconds table_lock_wait(MonotonicTime::duration left) {
  return std::clamp(std::chrono::duration_cast<milliseconds>(left) / 2, milliseconds(1), kLongestTableLockWait);
}

StoreError table_lock_error(const SqlError& error, milliseconds lock_wait) {
  if (!met_another_transaction(error)) return store_error(error);
  return {StoreErrorKind::kUnavailable, "writers kept validator_duties locked for " +
                                            std::to_string(lock_wait.count()) +
                                            " ms; nothing was changed, try again later"};
}

}  // namespace

asio::awaitable<StoreResult<std::vector<DutyEntry>>> PostgresStore::duties(DutyFilter filter, MonotonicTime deadline) {
  const bool being_signed = filter.status == DutyStatus::kSigning;
  Parameters parameters = filter_parameters(filter);
  const Call call{SqlPriority::kBackground, deadline};
  SqlReply reply =
      co_await run_one(being_signed ? &SqlTexts::duties_being_signed : &SqlTexts::duties, std::move(parameters), call);
  if (!reply) co_return std::unexpected(read_error(reply.error()));
  std::vector<DutyEntry> entries;
  for (const Row& row : reply->front().rows) entries.push_back(duty_entry_of(row));
  co_return entries;
}

asio::awaitable<StoreResult<std::vector<NodeEntry>>> PostgresStore::nodes(MonotonicTime deadline) {
  const Call call{SqlPriority::kBackground, deadline};
  Parameters none;
  SqlReply reply = co_await run_one(&SqlTexts::nodes, std::move(none), call);
  if (!reply) co_return std::unexpected(read_error(reply.error()));
  std::vector<NodeEntry> entries;
  for (const Row& row : reply->front().rows) {
    entries.push_back({.node_id = row.at(0).value_or(""),
                       .incarnation = row.at(1).value_or(""),
                       .heartbeat_at = row.at(2).value_or(""),
                       .alive = row.at(3) == "t",
                       .earlier_incarnations = number_of<std::size_t>(row.at(4)).value_or(0)});
  }
  co_return entries;
}

asio::awaitable<StoreResult<std::optional<Replication>>> PostgresStore::replication(MonotonicTime deadline) {
  const Call call{SqlPriority::kBackground, deadline};
  const bool by_storage = options_.without_timeline == WithoutTimeline::kStorageReplicates;
  Parameters looks_at_standbys{by_storage ? "f" : "t"};
  SqlReply reply = co_await run_one(&SqlTexts::replication, std::move(looks_at_standbys), call);
  if (!reply) co_return std::unexpected(read_error(reply.error()));
  const Row& row = reply->front().rows.at(0);
  co_return Replication{.synchronous_standbys = row.at(0).value_or(""),
                        .needed = number_of<std::size_t>(row.at(1)).value_or(0),
                        .connected = number_of<std::size_t>(row.at(2)),
                        .by_storage = by_storage};
}

asio::awaitable<StoreResult<NodeRemoval>> PostgresStore::remove_node(NodeId node_id, MonotonicTime deadline) {
  const Call call{SqlPriority::kBackground, deadline};
  Parameters parameters{node_id.str()};
  SqlReply reply = co_await run_one(&SqlTexts::remove_node, std::move(parameters), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  const Row& row = reply->front().rows.at(0);
  if (row.at(0) == "t") co_return NodeRemoval::kRemoved;
  if (row.at(1) != "t") co_return NodeRemoval::kUnknown;
  // Not removed although the snapshot shows a dead node: it came back meanwhile.
  co_return row.at(2) != "t" && row.at(3) == "t" ? NodeRemoval::kStillSigns : NodeRemoval::kAlive;
}

asio::awaitable<StoreResult<std::vector<WatermarkEntry>>> PostgresStore::watermarks(MonotonicTime deadline) {
  const Call call{SqlPriority::kBackground, deadline};
  Parameters none;
  SqlReply reply = co_await run_one(&SqlTexts::watermarks, std::move(none), call);
  if (!reply) co_return std::unexpected(read_error(reply.error()));
  std::vector<WatermarkEntry> entries;
  for (const Row& row : reply->front().rows) entries.push_back(watermark_entry_of(row, 0));
  co_return entries;
}

asio::awaitable<StoreResult<std::vector<std::string>>> PostgresStore::lacking_rights(MonotonicTime deadline) {
  const Call call{SqlPriority::kBackground, deadline};
  Parameters none;
  SqlReply reply = co_await run_one(&SqlTexts::lacking_rights, std::move(none), call);
  if (!reply) co_return std::unexpected(read_error(reply.error()));
  std::vector<std::string> rights;
  for (const Row& row : reply->front().rows) rights.push_back(row.at(0).value_or(""));
  co_return rights;
}

asio::awaitable<StoreResult<std::vector<WatermarkOutcome>>> PostgresStore::set_watermarks(
    EthAddress rollup, std::vector<WatermarkSubject> subjects, WatermarkChange change, MonotonicTime deadline) {
  const milliseconds lock_wait = table_lock_wait(deadline - clock_.now());
  std::array<ArrayText, 2> columns;
  for (const auto& [validator, duty_type] : subjects) {
    columns[0].add_quoted(validator_text(validator));
    columns[1].add_quoted(std::string(to_string(duty_type)));
  }
  Parameters parameters{rollup.to_string(), columns[0].finish(), columns[1].finish()};
  parameters.emplace_back(text_or_null(change.low.value_or(std::nullopt)));
  parameters.emplace_back(text_or_null(change.high.value_or(std::nullopt)));
  parameters.emplace_back(std::to_string(lock_wait.count()));
  for (const bool choice :
       {change.low.has_value(), change.high.has_value(), change.extent == WatermarkChange::Extent::kAny}) {
    parameters.emplace_back(choice ? "true" : "false");
  }
  const Call call{.priority = SqlPriority::kBackground, .deadline = deadline, .confirm = true};
  SqlReply reply = co_await run_one(&SqlTexts::set_watermarks, std::move(parameters), call);
  if (!reply) co_return std::unexpected(table_lock_error(reply.error(), lock_wait));
  std::vector<WatermarkOutcome> outcomes;
  for (const Row& row : reply->front().rows) {
    outcomes.push_back({.applied = row.at(0) == "t",
                        .before = {.low = slot_of(row.at(1)), .high = slot_of(row.at(2))},
                        .after = {.low = slot_of(row.at(3)), .high = slot_of(row.at(4))}});
  }
  HASIGNER_ASSERT(outcomes.size() == subjects.size());
  co_return outcomes;
}

asio::awaitable<StoreResult<std::vector<KeySwitch>>> PostgresStore::key_switches(MonotonicTime deadline) {
  const Call call{SqlPriority::kBackground, deadline};
  Parameters none;
  SqlReply reply = co_await run_one(&SqlTexts::key_switches, std::move(none), call);
  std::vector<KeySwitch> all;
  if (!reply) {
    // Before `migrate up` has made the table no key can have been disabled. A table that was there and is not is a
    // fault.
    if (reply.error().sqlstate == kUndefinedTable && !has_seen_key_switches_) co_return all;
    co_return std::unexpected(read_error(reply.error()));
  }
  has_seen_key_switches_ = true;
  for (const Row& row : reply->front().rows) {
    all.push_back({row.at(0).value_or(""), row.at(1) == "t", row.at(2).value_or(""), row.at(3).value_or("")});
  }
  co_return all;
}

asio::awaitable<StoreResult<bool>> PostgresStore::set_key_switch(EthAddress address, KeyState state, std::string by,
                                                                 MonotonicTime deadline) {
  Parameters parameters{address.to_string(), state == KeyState::kEnabled ? "true" : "false", std::move(by)};
  const Call call{SqlPriority::kBackground, deadline};
  SqlReply reply = co_await run_one(&SqlTexts::set_key_switch, std::move(parameters), call);
  if (!reply) co_return std::unexpected(store_error(reply.error()));
  co_return !reply->front().rows.empty();
}

asio::awaitable<StoreResult<HistorySnapshot>> PostgresStore::export_history(MonotonicTime deadline) {
  // Nothing is written; but an export of a large table must not be ended by the server's limit for short statements.
  const Call call{.priority = SqlPriority::kBackground, .deadline = deadline, .confirm = true};
  Parameters none;
  SqlReply reply = co_await run_one(&SqlTexts::export_history, std::move(none), call);
  if (!reply) co_return std::unexpected(read_error(reply.error()));
  HistorySnapshot snapshot;
  for (const Row& row : reply->front().rows) {
    HASIGNER_ASSERT(row.size() == kDutyColumns + kWatermarkColumns);
    if (row[kDutyRollup]) {
      snapshot.duties.push_back(duty_entry_of(row));
    } else {
      snapshot.watermarks.push_back(watermark_entry_of(row, kDutyColumns));
    }
  }
  co_return snapshot;
}

asio::awaitable<StoreResult<ImportOutcome>> PostgresStore::import_history(HistorySnapshot snapshot,
                                                                          MonotonicTime deadline) {
  const Incoming incoming = read_incoming(snapshot);
  const Parameters duties = import_parameters(incoming.rows);
  Parameters everything = duties;
  append_watermarks(everything, snapshot.watermarks);
  const Call call{.priority = SqlPriority::kBackground, .deadline = deadline, .confirm = true};
  ImportOutcome outcome;
  outcome.conflicts = incoming.conflicts;

  if (incoming.conflicts.empty()) {
    SqlReply reply;
    milliseconds lock_wait{};
    for (int tries = 0; tries < kMostImports; ++tries) {
      Parameters parameters = everything;
      lock_wait = table_lock_wait(deadline - clock_.now());
      parameters.emplace_back(std::to_string(lock_wait.count()));
      reply = co_await run_one(&SqlTexts::import_history, std::move(parameters), call);
      if (reply || !attempts_came_between(reply.error())) break;
    }
    if (!reply) co_return std::unexpected(table_lock_error(reply.error(), lock_wait));
    const Row& counts = reply->front().rows.at(0);
    const auto count = [&](std::size_t column) { return number_of<std::size_t>(counts.at(column)).value(); };
    if (count(2) == 0) {
      outcome.inserted = count(0) + count(1);
      outcome.already_there = incoming.entries - outcome.inserted;
      co_return outcome;
    }
  }
  Parameters parameters = duties;
  SqlReply reply = co_await run_one(&SqlTexts::import_conflicts, std::move(parameters), call);
  if (!reply) co_return std::unexpected(read_error(reply.error()));
  auto sentences = describe_conflicts(reply->front(), incoming);
  std::ranges::move(sentences, std::back_inserter(outcome.conflicts));
  if (outcome.conflicts.empty()) {
    co_return std::unexpected(StoreError{StoreErrorKind::kUnavailable,
                                         "the history changed during the import; nothing was imported, try again"});
  }
  co_return outcome;
}

}  // namespace hasigner::postgres
