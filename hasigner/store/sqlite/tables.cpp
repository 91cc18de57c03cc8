#include "hasigner/store/sqlite/tables.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <unordered_map>

#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/protection/foreign_nodes.hpp"
#include "hasigner/store/sqlite/statements.hpp"

namespace hasigner::sqlite {
namespace {

/// Rows that are looked at in one step of a background search: some milliseconds of the worker's time.
constexpr std::int64_t kRowsPerLook = 10'000;
/// Later than any time of a row.
constexpr const char* kEndOfTime = "9999-12-31 23:59:59.999999";

std::int64_t column_of(Slot slot) {
  return static_cast<std::int64_t>(slot.value());
}

std::optional<std::int64_t> column_of(const std::optional<Slot>& slot) {
  return slot ? std::optional(column_of(*slot)) : std::nullopt;
}

std::optional<Slot> slot_of(const std::optional<std::int64_t>& column) {
  return column ? std::optional(Slot::from_signed(*column).value()) : std::nullopt;
}

Run start_for(Statement& statement, const KeyTexts& texts) {
  return statement.start(texts.rollup, texts.slot, texts.duty_type, texts.validator, texts.block_index);
}

template <class... Values>
std::int64_t run_for(Statement& statement, const KeyTexts& texts, const Values&... values) {
  return statement.run(texts.rollup, texts.slot, texts.duty_type, texts.validator, texts.block_index, values...);
}

}  // namespace

Tables::Tables(Connection& connection, NodeLocks& locks)
    : connection_(connection),
      registry_(connection, locks),
      cluster_id_(connection, statement("cluster_id")),
      version_(connection, "pragma user_version"),
      insert_claim_(connection, statement("claim")),
      insert_signed_(connection, statement("claim_signed")),
      find_row_(connection, statement("find_row")),
      find_foreign_index_(connection, statement("find_foreign_index")),
      any_letter_case_(connection, statement("any_other_letter_case")),
      find_letter_case_(connection, statement("find_other_letter_case")),
      find_watermarks_(connection, statement("find_watermarks")),
      find_own_watermarks_(connection, statement("find_own_watermarks")),
      take_over_(connection, statement("take_over")),
      record_(connection, statement("record")),
      release_(connection, statement("release")),
      is_signed_so_(connection, statement("is_signed_so")),
      signing_rows_(connection, statement("signing_rows")),
      old_rows_(connection, statement("old_rows")),
      expired_rows_(connection, statement("expired_rows")),
      other_rollups_(connection, statement("other_rollups")),
      delete_row_(connection, statement("delete_row")),
      token_of_(connection, statement("token_of")),
      first_and_last_row_(connection, statement("first_and_last_row")),
      rows_between_(connection, statement("rows_between")),
      next_rollup_(connection, statement("next_rollup")),
      duties_of_rollup_(connection, statement("duties_of_rollup")),
      signing_duties_(connection, statement("duties_being_signed")),
      all_duties_(connection, statement("all_duties")),
      all_watermarks_(connection, statement("all_watermarks")),
      set_watermarks_(connection, statement("set_watermarks")),
      key_switches_(connection, statement("key_switches")),
      set_key_switch_(connection, statement("set_key_switch")),
      tighten_watermarks_(connection, statement("tighten_watermarks")),
      find_exact_(connection, statement("find_exact")),
      find_same_duty_(connection, statement("find_same_duty")),
      insert_row_(connection, statement("insert_row")),
      imported_state_(connection, statement("imported_state")),
      note_import_(connection, statement("note_import")) {}

void Tables::begin(UtcTime now) {
  now_ = now;
  now_text_ = utc_text(now);
  other_letter_case_.reset();
  registry_.begin();
}

std::string Tables::cluster_id() {
  Run run = cluster_id_.start();
  return run.next() ? run.text(0) : std::string();
}

std::int64_t Tables::version() {
  Run run = version_.start();
  return run.next() ? run.integer(0) : 0;
}

void Tables::insert_claim(const NodeId& node_id, const DutyClaim& claim, const std::optional<std::string>& expires_at) {
  run_for(insert_claim_, KeyTexts(claim.duty.key), static_cast<std::int64_t>(claim.duty.block_number.value()),
          static_cast<std::int64_t>(claim.duty.checkpoint_number.value()), claim.duty.message_hash.to_string(),
          node_id.str(), claim.token.str(), now_text_, expires_at);
}

SignedClaimOutcome Tables::claim_signed(const NodeId& node_id, const SignedClaim& claim,
                                        const std::optional<std::string>& expires_at) {
  const Duty& duty = claim.duty;
  DutyView there = view(duty.key);
  const bool may_stand = !there.row || is_repetition(claim, *there.row);
  if (!may_stand || there.alias || !there.watermarks.allow(duty.key.slot) ||
      !registry_.holds_lease(node_id.str(), claim.token)) {
    return {.outcome = RowOutcome::kNotMatched, .view = std::move(there)};
  }
  if (there.row) {
    const RowOutcome outcome = record({duty.key, claim.token, duty.message_hash, claim.signature});
    return {.outcome = outcome, .view = std::move(there)};
  }
  const auto added = run_for(insert_signed_, KeyTexts(duty.key), static_cast<std::int64_t>(duty.block_number.value()),
                             static_cast<std::int64_t>(duty.checkpoint_number.value()), duty.message_hash.to_string(),
                             node_id.str(), claim.token.str(), now_text_, expires_at, claim.signature.to_string());
  // A trigger that others have put on the table may leave a row out without an error.
  if (added != 1) return {.outcome = RowOutcome::kNotMatched, .view = view(duty.key)};
  return {.outcome = RowOutcome::kApplied, .view = {}};
}

DutyRow Tables::row_of(const Run& run) {
  DutyRow row;
  row.status = run.text(0) == "signed" ? DutyStatus::kSigned : DutyStatus::kSigning;
  row.message_hash = MessageHash::try_parse(run.text(1));
  if (!run.is_null(2)) row.signature = Signature::try_parse(run.text(2));
  row.node_id = run.text(3);
  row.lock_token = LockToken(run.text(4));
  if (row.status == DutyStatus::kSigning) row.holder = registry_.holder_of(row.node_id, row.lock_token);
  return row;
}

DutyView Tables::view(const DutyKey& key) {
  const KeyTexts texts(key);
  DutyView view;
  {
    Run run = start_for(find_row_, texts);
    if (run.next()) view.row = row_of(run);
  }
  view.alias = alias_of(texts);
  view.watermarks = watermarks_of(texts);
  return view;
}

std::optional<DutyRow> Tables::alias_of(const KeyTexts& texts) {
  std::optional<DutyRow> alias;
  // A block proposal with another index is another duty; any other type has one duty a slot, whatever the index.
  if (texts.duty_type != to_string(DutyType::kBlockProposal)) {
    Run run = start_for(find_foreign_index_, texts);
    if (run.next()) alias = row_of(run);
  }
  if ((!alias || alias->status == DutyStatus::kSigning) && has_rows_in_other_letter_case()) {
    Run run = start_for(find_letter_case_, texts);
    if (run.next()) alias = row_of(run);
  }
  return alias;
}

/// Nearly always there is none, and one look answers for the whole transaction: only we write in it.
bool Tables::has_rows_in_other_letter_case() {
  if (!other_letter_case_) {
    Run run = any_letter_case_.start();
    other_letter_case_ = run.next();
  }
  return *other_letter_case_;
}

Watermarks Tables::watermarks_of(const KeyTexts& texts) {
  Run run = find_watermarks_.start(texts.rollup, texts.validator, texts.duty_type);
  if (!run.next()) return {};
  return Watermarks{.low = slot_of(run.optional_integer(0)), .high = slot_of(run.optional_integer(1))};
}

RowOutcome Tables::take_over(const NodeId& node_id, const Takeover& takeover) {
  std::optional<DutyRow> row;
  {
    Run run = start_for(find_row_, KeyTexts(takeover.duty.key));
    if (run.next()) row = row_of(run);
  }
  if (!row || row->status != DutyStatus::kSigning) return RowOutcome::kNotMatched;
  const bool hash_is_same = row->message_hash == takeover.duty.message_hash;
  if (row->lock_token == takeover.token && hash_is_same) return RowOutcome::kApplied;
  switch (takeover.kind) {
    case TakeoverKind::kSameData:
      if (!hash_is_same) return RowOutcome::kNotMatched;
      break;
    case TakeoverKind::kReplace:
      if (row->holder != HolderState::kExpired) return RowOutcome::kNotMatched;
      break;
  }
  const Duty& duty = takeover.duty;
  const auto changed =
      run_for(take_over_, KeyTexts(duty.key), takeover.seen.str(), node_id.str(), takeover.token.str(), now_text_,
              duty.message_hash.to_string(), static_cast<std::int64_t>(duty.block_number.value()),
              static_cast<std::int64_t>(duty.checkpoint_number.value()));
  return changed == 1 ? RowOutcome::kApplied : RowOutcome::kNotMatched;
}

RowOutcome Tables::record(const DutyRecord& record) {
  std::optional<std::string> hash;
  if (record.message_hash) hash = record.message_hash->to_string();
  const auto changed =
      run_for(record_, KeyTexts(record.key), record.token.str(), hash, record.signature.to_string(), now_text_);
  return changed == 1 ? RowOutcome::kApplied : RowOutcome::kNotMatched;
}

RowOutcome Tables::release(const DutyRelease& release) {
  const auto changed = run_for(release_, KeyTexts(release.key), release.token.str());
  return changed == 1 ? RowOutcome::kApplied : RowOutcome::kNotMatched;
}

std::vector<bool> Tables::confirm_stored(const NodeId& node_id, const std::vector<StoredSignature>& signatures) {
  if (!registry_.confirm_stored(node_id, now_)) {
    throw std::runtime_error("node " + printable(node_id.str()) + " is not registered");
  }
  std::vector<bool> are_signed;
  for (const StoredSignature& stored : signatures) {
    const KeyTexts key(stored.key);
    Run run = is_signed_so_.start(key.rollup, key.slot, key.duty_type, key.validator, key.block_index,
                                  stored.message_hash.to_string(), stored.signature.to_string());
    are_signed.push_back(run.next());
  }
  return are_signed;
}

Tables::ForeignRows Tables::look_for_foreign_rows() {
  if (seen_.rowid != 0) {
    Run run = token_of_.start(seen_.rowid);
    if (!run.next() || run.text(0) != seen_.lock_token) seen_ = {};
  }
  std::int64_t first = 0, last = 0;
  {
    Run run = first_and_last_row_.start();
    if (!run.next() || run.is_null(0)) return ForeignRows::kNone;
    first = run.integer(0);
    last = run.integer(1);
  }
  const std::int64_t from = std::max(seen_.rowid, first - 1);
  const std::int64_t to = from + kRowsPerLook;
  Seen newest = seen_;
  bool newest_is_signed = false;
  Run run = rows_between_.start(from, to, utc_text(now_ - kForeignNodeMemory));
  while (run.next()) {
    const std::string token = run.text(2);
    if (run.integer(3) != 0 && !registry_.knows(run.text(1), LockToken(token))) return ForeignRows::kFound;
    // A signed row stays where it is, so it marks the position better than one that may be released.
    const bool is_signed = run.integer(4) != 0;
    if (is_signed || !newest_is_signed) newest = Seen{run.integer(0), token};
    newest_is_signed = newest_is_signed || is_signed;
  }
  seen_ = newest;
  return to >= last ? ForeignRows::kNone : ForeignRows::kNotAllSeen;
}

/// Returns false when `left` is used up.
template <class Take>
bool Tables::for_each_removable_signing(const RemovalRequest& request, std::size_t& left, Take take) {
  const bool any_age = request.what == Removal::kAbandoned;
  Run run = signing_rows_.start(any_age ? std::string(kEndOfTime) : utc_text(now_ - request.max_age));
  while (left > 0 && run.next()) {
    const std::string node_id = run.text(1);
    const LockToken token(run.text(2));
    const bool is_own = node_id == request.node_id.str();
    bool removable = false;
    switch (request.what) {
      case Removal::kAbandoned:
        removable = is_own && token.kind() == TokenKind::kFenced && registry_.is_former(node_id, token);
        break;
      case Removal::kStuck:
        removable = is_own && token.kind() == TokenKind::kFenced && registry_.knows(node_id, token);
        break;
      case Removal::kOld: removable = token.kind() == TokenKind::kFenced && registry_.knows(node_id, token); break;
      case Removal::kExpired:
      case Removal::kReleased:
      case Removal::kOtherRollups: break;
    }
    if (!removable) continue;
    take(run.integer(0));
    --left;
  }
  return left > 0;
}

template <class Take>
void Tables::for_each_removable(const RemovalRequest& request, std::size_t limit, Take take) {
  std::size_t left = limit;
  const auto take_all = [&](Run run) {
    while (left > 0 && run.next()) {
      take(run.integer(0));
      --left;
    }
  };
  const auto most = static_cast<std::int64_t>(std::min<std::size_t>(limit, std::numeric_limits<std::int64_t>::max()));
  const std::string cutoff = utc_text(now_ - request.max_age);
  switch (request.what) {
    case Removal::kAbandoned:
    case Removal::kStuck: for_each_removable_signing(request, left, take); return;
    case Removal::kOld:
      take_all(old_rows_.start(cutoff, most));
      for_each_removable_signing(request, left, take);
      return;
    case Removal::kExpired: take_all(expired_rows_.start(now_text_, most)); return;
    // Only PostgreSQL is shared with nodes that claim for themselves.
    case Removal::kReleased: return;
    case Removal::kOtherRollups: take_all(other_rollups_.start(request.rollup.to_string(), cutoff, most)); return;
  }
}

std::size_t Tables::remove(const RemovalRequest& request) {
  std::vector<std::int64_t> rows;
  for_each_removable(request, request.limit, [&](std::int64_t row) { rows.push_back(row); });
  for (const std::int64_t row : rows) delete_row_.run(row);
  return rows.size();
}

RemovalPreview Tables::preview(const RemovalRequest& request) {
  RemovalPreview preview;
  for_each_removable(request, std::numeric_limits<std::size_t>::max(), [&](std::int64_t) { ++preview.rows; });
  return preview;
}

std::vector<DutyEntry> Tables::entries_of(Run run) {
  std::vector<DutyEntry> entries;
  while (run.next()) {
    entries.push_back(DutyEntry{.rollup = run.text(0),
                                .validator = run.text(1),
                                .slot = run.text(2),
                                .block_number = run.text(3),
                                .checkpoint_number = run.text(4),
                                .block_index = run.text(5),
                                .duty_type = run.text(6),
                                .status = run.text(7),
                                .message_hash = run.text(8),
                                .signature = run.text(9),
                                .node_id = run.text(10),
                                .lock_token = run.text(11),
                                .started_at = run.text(12),
                                .completed_at = run.text(13),
                                .expires_at = run.text(14)});
  }
  return entries;
}

std::vector<DutyEntry> Tables::duties(const DutyFilter& filter) {
  const auto from = filter.from_slot ? column_of(*filter.from_slot) : std::numeric_limits<std::int64_t>::min();
  const auto to = filter.to_slot ? column_of(*filter.to_slot) : std::numeric_limits<std::int64_t>::max();
  const auto limit =
      static_cast<std::int64_t>(std::min<std::size_t>(filter.limit, std::numeric_limits<std::int64_t>::max()));
  std::optional<std::string> rollup, type, status;
  if (filter.rollup) rollup = filter.rollup->to_string();
  const auto validators = validators_between_commas(filter);
  if (filter.duty_type) type = std::string(to_string(*filter.duty_type));
  if (filter.status) status = std::string(to_text(*filter.status));
  if (filter.status == DutyStatus::kSigning) {
    return entries_of(signing_duties_.start(rollup, from, to, validators, type, filter.node_id, limit));
  }

  // The index has the slots of each rollup in order, so a list of the newest does not read the whole table.
  std::vector<DutyEntry> found;
  for (std::string text;;) {
    {
      Run run = next_rollup_.start(text);
      if (!run.next() || run.is_null(0)) break;
      text = run.text(0);
    }
    if (rollup && lower_case(text) != *rollup) continue;
    auto entries = entries_of(duties_of_rollup_.start(text, from, to, validators, type, status, filter.node_id, limit));
    std::ranges::move(entries, std::back_inserter(found));
  }
  const auto slot = [](const DutyEntry& entry) { return std::stoll(entry.slot); };
  std::ranges::stable_sort(found, std::greater<>(), slot);
  if (found.size() > filter.limit) found.resize(filter.limit);
  return found;
}

std::vector<WatermarkEntry> Tables::watermarks() {
  std::vector<WatermarkEntry> entries;
  Run run = all_watermarks_.start();
  while (run.next()) {
    entries.push_back(WatermarkEntry{
        .rollup = run.text(0),
        .validator = run.text(1),
        .duty_type = run.text(2),
        .watermarks = {.low = slot_of(run.optional_integer(3)), .high = slot_of(run.optional_integer(4))},
        .updated_at = run.text(5)});
  }
  return entries;
}

WatermarkOutcome Tables::set_watermarks(const EthAddress& rollup, const WatermarkSubject& subject,
                                        const WatermarkChange& change) {
  const auto whose = validator_text(subject.validator);
  Watermarks before;
  {
    Run run = find_own_watermarks_.start(rollup.to_string(), whose, to_string(subject.duty_type));
    if (run.next()) before = {.low = slot_of(run.optional_integer(0)), .high = slot_of(run.optional_integer(1))};
  }
  const Watermarks after = change.applied_to(before);
  if (!change.may_turn(before, after)) return {.applied = false, .before = before, .after = before};
  set_watermarks_.run(rollup.to_string(), whose, to_string(subject.duty_type), column_of(after.low),
                      column_of(after.high), now_text_);
  return {.applied = true, .before = before, .after = after};
}

std::vector<KeySwitch> Tables::key_switches() {
  std::vector<KeySwitch> all;
  Run run = key_switches_.start();
  while (run.next()) all.push_back({run.text(0), run.integer(1) != 0, run.text(2), run.text(3)});
  return all;
}

bool Tables::set_key_switch(const EthAddress& address, KeyState state, const std::string& by) {
  return set_key_switch_.run(address.to_string(), std::int64_t{state == KeyState::kEnabled}, by, now_text_) > 0;
}

HistorySnapshot Tables::export_history() {
  HistorySnapshot snapshot;
  snapshot.duties = entries_of(all_duties_.start());
  snapshot.watermarks = watermarks();
  return snapshot;
}

/// Other data under the duty's own key, or, where that is free, under another letter case or a foreign block index of
/// it.
std::optional<std::string> Tables::conflict_of(const TableRow& incoming) {
  const auto refusal = [&](const std::string& hash) -> std::optional<std::string> {
    if (lower_case(hash) == lower_case(incoming.message_hash)) return std::nullopt;
    return describe(incoming) + " is there with message hash " + printable(hash) + ", and is to be imported with " +
           printable(incoming.message_hash);
  };
  {
    Run own =
        find_exact_.start(incoming.rollup, incoming.slot, incoming.duty_type, incoming.validator, incoming.block_index);
    if (own.next()) return refusal(own.text(2));
  }
  Run same = find_same_duty_.start(lower_case(incoming.rollup), incoming.slot, incoming.duty_type,
                                   lower_case(incoming.validator), incoming.block_index);
  while (same.next()) {
    if (auto conflict = refusal(same.text(0))) return conflict;
  }
  return std::nullopt;
}

void Tables::insert_row(const TableRow& row) {
  std::optional<std::string> completed_at, expires_at;
  if (row.completed_at) completed_at = utc_text(*row.completed_at);
  if (row.expires_at) expires_at = utc_text(*row.expires_at);
  insert_row_.run(row.rollup, row.validator, row.slot, row.block_number, row.checkpoint_number, row.block_index,
                  row.duty_type, to_text(row.status), row.message_hash, row.signature, row.node_id, row.lock_token,
                  utc_text(row.started_at), completed_at, expires_at);
}

void Tables::import_row(const TableRow& incoming, ImportOutcome& outcome) {
  std::optional<std::int64_t> own_rowid;
  bool is_signing = false;
  {
    Run own =
        find_exact_.start(incoming.rollup, incoming.slot, incoming.duty_type, incoming.validator, incoming.block_index);
    if (own.next()) {
      own_rowid = own.integer(0);
      is_signing = own.text(1) == "signing";
    }
  }
  if (own_rowid && !(is_signing && incoming.status == DutyStatus::kSigned)) {
    ++outcome.already_there;
    return;
  }
  // What was signed elsewhere is signed; an attempt in flight here loses its lock.
  if (own_rowid) delete_row_.run(*own_rowid);
  insert_row(incoming);
  ++outcome.inserted;
}

ImportOutcome Tables::import_history(const HistorySnapshot& snapshot) {
  ImportOutcome outcome;
  std::vector<TableRow> incoming;
  std::unordered_map<std::string, std::string> hashes;
  for (const DutyEntry& entry : snapshot.duties) {
    auto row = table_row_of(entry);
    if (!row) {
      outcome.conflicts.push_back(row.error());
      continue;
    }
    if (auto conflict = conflict_of(*row)) outcome.conflicts.push_back(*conflict);
    const auto [it, is_new] = hashes.try_emplace(row->rollup + describe(*row), lower_case(row->message_hash));
    if (!is_new && it->second != lower_case(row->message_hash)) {
      outcome.conflicts.push_back(describe(*row) + " stands twice in what is to be imported, with different data");
    }
    incoming.push_back(std::move(*row));
  }
  for (const WatermarkEntry& entry : snapshot.watermarks) {
    if (auto wrong = wrong_in(entry)) outcome.conflicts.push_back(*wrong);
  }
  if (!outcome.conflicts.empty()) return outcome;

  // A duty that stands twice is one duty; if one of the two is signed, it is signed.
  std::ranges::stable_partition(incoming, [](const TableRow& row) { return row.status == DutyStatus::kSigned; });
  for (const TableRow& row : incoming) import_row(row, outcome);
  for (const WatermarkEntry& entry : snapshot.watermarks) {
    tighten_watermarks_.run(lower_case(entry.rollup), lower_case(entry.validator), entry.duty_type,
                            column_of(entry.watermarks.low), column_of(entry.watermarks.high), now_text_);
  }
  return outcome;
}

std::optional<std::string> Tables::imported_state(const std::string& source) {
  Run run = imported_state_.start(source);
  return run.next() ? std::optional(run.text(0)) : std::nullopt;
}

ImportOutcome Tables::import_once(const ImportSource& source, const HistorySnapshot& snapshot) {
  if (imported_state(source.name) == source.state) return {.already_there = snapshot.duties.size()};
  ImportOutcome outcome = import_history(snapshot);
  if (outcome.conflicts.empty()) {
    note_import_.run(source.name, source.state, static_cast<std::int64_t>(snapshot.duties.size()), now_text_);
  }
  return outcome;
}

}  // namespace hasigner::sqlite
