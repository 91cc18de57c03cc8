#include "hasigner/store/memory/memory_tables.hpp"

#include <algorithm>
#include <limits>

#include "hasigner/duty/assert.hpp"
#include "hasigner/protection/foreign_nodes.hpp"

namespace hasigner::memory {
namespace {

constexpr UtcTime kStartOfTables = std::chrono::sys_days(std::chrono::year(2026) / 1 / 1);

/// Earlier incarnations that are remembered although no row names them: a late request of theirs may still make one.
constexpr std::size_t kFormerKept = 1000;

std::optional<std::int64_t> column_of(const std::optional<Slot>& slot) {
  if (!slot) return std::nullopt;
  return static_cast<std::int64_t>(slot->value());
}

std::optional<Slot> slot_of(const std::optional<std::int64_t>& column) {
  if (!column) return std::nullopt;
  return Slot::from_signed(*column).value();
}

/// The bound that allows less.
template <class Choose>
std::optional<std::int64_t> stricter(std::optional<std::int64_t> a, std::optional<std::int64_t> b, Choose choose) {
  if (!a) return b;
  return b ? std::optional(choose(*a, *b)) : a;
}

/// Hashes are compared without letter case: another client may have written them in upper case.
bool same_hash(const TableRow& a, const TableRow& b) {
  return lower_case(a.message_hash) == lower_case(b.message_hash);
}

bool matches(const TableRow& row, const DutyFilter& filter) {
  const auto slot = row.slot;
  const auto validators = validators_between_commas(filter);
  return (!filter.rollup || lower_case(row.rollup) == filter.rollup->to_string()) &&
         (!validators || validators->contains("," + lower_case(row.validator) + ",")) &&
         (!filter.from_slot || slot >= *column_of(filter.from_slot)) &&
         (!filter.to_slot || slot <= *column_of(filter.to_slot)) &&
         (!filter.duty_type || row.duty_type == to_string(*filter.duty_type)) &&
         (!filter.status || row.status == *filter.status) && (!filter.node_id || row.node_id == *filter.node_id);
}

}  // namespace

RowKey key_of(const DutyKey& key) {
  const std::string rollup = key.rollup.to_string(), validator = key.validator.to_string();
  return RowKey{rollup,
                validator,
                static_cast<std::int64_t>(key.slot.value()),
                std::string(to_string(key.duty_type)),
                key.block_index,
                rollup,
                validator};
}

RowKey key_of(const TableRow& row) {
  return RowKey{lower_case(row.rollup), lower_case(row.validator), row.slot, row.duty_type, row.block_index, row.rollup,
                row.validator};
}

MemoryTables::MemoryTables(const Clock& clock, std::string cluster_id)
    : clock_(clock),
      start_(clock.now()),
      epoch_(std::make_shared<const StoreEpoch>(StoreEpoch{.cluster_id = std::move(cluster_id), .system_id = {}})) {}

UtcTime MemoryTables::now() const {
  return kStartOfTables + std::chrono::duration_cast<std::chrono::microseconds>(clock_.now() - start_);
}

std::vector<bool> MemoryTables::insert_claims(const NodeId& node_id, std::span<const DutyClaim> claims) {
  std::vector<bool> inserted;
  for (const DutyClaim& claim : claims) {
    inserted.push_back(
        rows_.try_emplace(key_of(claim.duty.key), signing_row(claim.duty, node_id, claim.token, now())).second);
  }
  return inserted;
}

DutyView MemoryTables::view(const DutyKey& key) const {
  DutyView view;
  if (const auto own = rows_.find(key_of(key)); own != rows_.end()) {
    view.row = duty_row_of(own->second, holder_of(own->second));
  }
  if (const TableRow* alias = alias_of(key)) view.alias = duty_row_of(*alias, holder_of(*alias));
  view.watermarks = watermarks_of(key);
  return view;
}

/// All rows about the duty, whatever their letter case. A block proposal with another index is another duty; any other
/// type has one duty a slot, whatever the index.
std::vector<const TableRow*> MemoryTables::rows_of_duty(const RowKey& key) const {
  RowKey from = key;
  from.block_index = std::numeric_limits<std::int32_t>::min();
  from.rollup_text.clear();
  const auto without_index = [](const RowKey& k) { return std::tie(k.rollup, k.validator, k.slot, k.duty_type); };
  const bool has_block_index = key.duty_type == to_string(DutyType::kBlockProposal);
  std::vector<const TableRow*> found;
  for (auto it = rows_.lower_bound(from); it != rows_.end() && without_index(it->first) == without_index(key); ++it) {
    if (!has_block_index || it->first.block_index == key.block_index) found.push_back(&it->second);
  }
  return found;
}

/// Of several, a signed one counts first: it refuses for good.
const TableRow* MemoryTables::alias_of(const DutyKey& key) const {
  const RowKey own = key_of(key);
  const TableRow* alias = nullptr;
  for (const TableRow* row : rows_of_duty(own)) {
    if (key_of(*row) == own) continue;
    if (!alias || (alias->status != DutyStatus::kSigned && row->status == DutyStatus::kSigned)) alias = row;
  }
  return alias;
}

Watermarks MemoryTables::watermarks_of(const DutyKey& key) const {
  StoredWatermarks found;
  for (const auto& whose : {key.validator.to_string(), std::string(kEveryValidator)}) {
    const auto it = watermarks_.find({key.rollup.to_string(), whose, std::string(to_string(key.duty_type))});
    if (it == watermarks_.end()) continue;
    found.low = stricter(found.low, it->second.low, [](auto a, auto b) { return std::max(a, b); });
    found.high = stricter(found.high, it->second.high, [](auto a, auto b) { return std::min(a, b); });
  }
  return Watermarks{.low = slot_of(found.low), .high = slot_of(found.high)};
}

HolderState MemoryTables::holder_of(const TableRow& row) const {
  const LockToken token(row.lock_token);
  if (token.kind() != TokenKind::kFenced || !is_registered(row)) return HolderState::kUnfenced;
  const RegisteredNode& node = nodes_.find(row.node_id)->second;
  return node.incarnation == *token.incarnation() && now() < node.lease_until ? HolderState::kAlive
                                                                              : HolderState::kExpired;
}

bool MemoryTables::is_registered(const TableRow& row) const {
  const auto node = nodes_.find(row.node_id);
  const auto incarnation = LockToken(row.lock_token).incarnation();
  if (node == nodes_.end() || !incarnation) return false;
  return node->second.incarnation == *incarnation || std::ranges::count(node->second.former, *incarnation) > 0;
}

bool MemoryTables::holds_lease(const NodeId& node_id, const LockToken& token) const {
  const auto node = nodes_.find(node_id.str());
  return node != nodes_.end() && token.incarnation() == node->second.incarnation && now() < node->second.lease_until;
}

SignedClaimOutcome MemoryTables::claim_signed(const NodeId& node_id, const SignedClaim& claim) {
  DutyView there = view(claim.duty.key);
  const bool may_stand = !there.row || is_repetition(claim, *there.row);
  if (!may_stand || there.alias || !there.watermarks.allow(claim.duty.key.slot) || !holds_lease(node_id, claim.token)) {
    return {.outcome = RowOutcome::kNotMatched, .view = std::move(there)};
  }
  if (!there.row) {
    TableRow row = signing_row(claim.duty, node_id, claim.token, now());
    row.status = DutyStatus::kSigned;
    row.signature = claim.signature.to_string();
    row.completed_at = row.started_at;
    insert_row(std::move(row));
  }
  return {.outcome = RowOutcome::kApplied, .view = {}};
}

RowOutcome MemoryTables::take_over(const NodeId& node_id, const Takeover& takeover) {
  const auto it = rows_.find(key_of(takeover.duty.key));
  if (it == rows_.end() || it->second.status != DutyStatus::kSigning) return RowOutcome::kNotMatched;
  TableRow& row = it->second;
  const bool hash_is_same = MessageHash::try_parse(row.message_hash) == takeover.duty.message_hash;
  if (row.lock_token == takeover.token.str() && hash_is_same) return RowOutcome::kApplied;
  if (row.lock_token != takeover.seen.str()) return RowOutcome::kNotMatched;
  switch (takeover.kind) {
    case TakeoverKind::kSameData:
      if (!hash_is_same) return RowOutcome::kNotMatched;
      break;
    case TakeoverKind::kReplace:
      if (holder_of(row) != HolderState::kExpired) return RowOutcome::kNotMatched;
      break;
  }
  const auto expires_at = row.expires_at;
  row = signing_row(takeover.duty, node_id, takeover.token, now());
  row.expires_at = expires_at;
  return RowOutcome::kApplied;
}

RowOutcome MemoryTables::record(const DutyRecord& record) {
  const auto it = rows_.find(key_of(record.key));
  if (it == rows_.end()) return RowOutcome::kNotMatched;
  TableRow& row = it->second;
  const std::string signature = record.signature.to_string();
  const bool may_become_signed =
      row.status == DutyStatus::kSigning || (row.signature && lower_case(*row.signature) == signature);
  if (row.lock_token != record.token.str() || !may_become_signed || !watermarks_of(record.key).allow(record.key.slot) ||
      (record.message_hash && MessageHash::try_parse(row.message_hash) != record.message_hash)) {
    return RowOutcome::kNotMatched;
  }
  if (row.status == DutyStatus::kSigning) row.completed_at = std::max(now(), row.started_at);
  row.status = DutyStatus::kSigned;
  row.signature = signature;
  return RowOutcome::kApplied;
}

RowOutcome MemoryTables::release(const DutyRelease& release) {
  const auto it = rows_.find(key_of(release.key));
  if (it == rows_.end() || it->second.status != DutyStatus::kSigning || it->second.lock_token != release.token.str()) {
    return RowOutcome::kNotMatched;
  }
  rows_.erase(it);
  return RowOutcome::kApplied;
}

std::vector<bool> MemoryTables::confirm_stored(const NodeId& node_id, std::span<const StoredSignature> signatures) {
  std::vector<bool> confirmed;
  for (const auto& stored : signatures) {
    const auto seen = view(stored.key);
    confirmed.push_back(nodes_.contains(node_id.str()) && seen.row && seen.row->status == DutyStatus::kSigned &&
                        seen.row->message_hash == stored.message_hash && seen.row->signature == stored.signature &&
                        seen.watermarks.allow(stored.key.slot));
  }
  return confirmed;
}

RegistrationOutcome MemoryTables::register_node(const NodeRegistration& registration) {
  const UtcTime at = now();
  const auto [it, is_new] = nodes_.try_emplace(registration.node_id.str());
  RegisteredNode& node = it->second;
  if (!is_new && node.incarnation != registration.incarnation) {
    const bool silent =
        !registration.silent_heartbeat.empty() && registration.silent_heartbeat == utc_text(node.heartbeat_at);
    if (at < node.lease_until && !silent) {
      return RegistrationOutcome{.registered = false,
                                 .holder = hex_of(node.incarnation),
                                 .heartbeat = utc_text(node.heartbeat_at),
                                 .certainly_alive = false};
    }
    const auto is_held = [&](const Incarnation& incarnation) {
      return std::ranges::any_of(rows_, [&](const auto& entry) {
        return entry.second.status == DutyStatus::kSigning && entry.second.node_id == registration.node_id.str() &&
               LockToken(entry.second.lock_token).incarnation() == incarnation;
      });
    };
    std::erase(node.former, registration.incarnation);
    node.former.push_back(node.incarnation);
    for (auto former = node.former.begin(); node.former.size() > kFormerKept && former != node.former.end();) {
      former = is_held(*former) ? former + 1 : node.former.erase(former);
    }
  }
  node.incarnation = registration.incarnation;
  node.registered_at = node.heartbeat_at = at;
  node.lease_until = at + registration.lease;
  return RegistrationOutcome{.registered = true, .holder = {}, .heartbeat = {}};
}

void MemoryTables::set_lease(const std::string& node_id, UtcTime lease_until) {
  RegisteredNode& node = nodes_[node_id];
  node.heartbeat_at = now();
  node.lease_until = lease_until;
}

bool MemoryTables::renew(const NodeRegistration& registration) {
  const auto it = nodes_.find(registration.node_id.str());
  if (it == nodes_.end() || it->second.incarnation != registration.incarnation) return false;
  it->second.heartbeat_at = now();
  it->second.lease_until = now() + registration.lease;
  return true;
}

void MemoryTables::end_lease(const NodeRegistration& registration) {
  const auto it = nodes_.find(registration.node_id.str());
  if (it == nodes_.end() || it->second.incarnation != registration.incarnation) return;
  it->second.lease_until = std::min(it->second.lease_until, now());
}

RegisteredNode* MemoryTables::registered(const NodeRegistration& registration) {
  const auto it = nodes_.find(registration.node_id.str());
  return it == nodes_.end() || it->second.incarnation != registration.incarnation ? nullptr : &it->second;
}

std::optional<std::uint64_t> MemoryTables::begin_round(const NodeRegistration& registration, JournalRounds::Why why) {
  auto* self = registered(registration);
  if (!self) return std::nullopt;
  std::uint64_t latest = 0;
  for (const auto& [node_id, node] : nodes_) {
    if (node.journal) latest = std::max({latest, node.journal->asked, node.journal->completed});
  }
  if (!self->journal) self->journal.emplace();
  self->journal->incarnation = registration.incarnation;
  self->journal->asked = latest + 1;
  if (why == JournalRounds::Why::kLoss) self->journal->lost = latest + 1;
  return latest + 1;
}

std::vector<JournaledNode> MemoryTables::journaled_nodes() const {
  std::vector<JournaledNode> found;
  for (const auto& [node_id, node] : nodes_) {
    if (!node.journal || !node.journal->incarnation) continue;
    found.push_back({.node_id = node_id,
                     .heartbeat = utc_text(node.heartbeat_at),
                     .is_alive = now() < node.lease_until,
                     .keeps_journal = node.journal->incarnation == node.incarnation,
                     .asked = node.journal->asked,
                     .completed = node.journal->completed,
                     .lost = node.journal->lost,
                     .slots = node.journal->slots});
  }
  return found;
}

bool MemoryTables::tell(const NodeRegistration& registration, std::uint64_t completed, const ReachedSlots& slots) {
  auto* self = registered(registration);
  if (!self) return false;
  if (!self->journal) self->journal.emplace();
  self->journal->incarnation = registration.incarnation;
  self->journal->completed = std::max(self->journal->completed, completed);
  self->journal->slots = slots;
  return true;
}

void MemoryTables::leave(const NodeRegistration& registration) {
  auto* self = registered(registration);
  if (!self || !self->journal) return;
  self->journal->incarnation.reset();
  self->journal->slots = {};
}

void MemoryTables::give_up(const std::vector<std::string>& node_ids) {
  for (const auto& node_id : node_ids) {
    const auto it = nodes_.find(node_id);
    if (it == nodes_.end() || !it->second.journal || now() < it->second.lease_until) continue;
    it->second.journal->incarnation.reset();
    it->second.journal->slots = {};
  }
}

void MemoryTables::forbid_up_to(const EthAddress& rollup, const std::optional<EthAddress>& validator,
                                const std::vector<DutyType>& duty_types, Slot slot) {
  WatermarkChange change;
  change.low = slot;
  change.extent = WatermarkChange::Extent::kTightenOnly;
  for (const auto type : duty_types) set_watermarks(rollup, validator, type, change);
}

bool MemoryTables::may_remove(const TableRow& row, const RemovalRequest& request) const {
  const bool is_signed = row.status == DutyStatus::kSigned;
  const bool is_old = row.started_at <= now() - request.max_age;
  const auto kind = LockToken(row.lock_token).kind();
  switch (request.what) {
    case Removal::kAbandoned:
      return !is_signed && row.node_id == request.node_id.str() && kind == TokenKind::kFenced && is_registered(row) &&
             LockToken(row.lock_token).incarnation() != nodes_.find(row.node_id)->second.incarnation;
    case Removal::kStuck:
      return !is_signed && is_old && row.node_id == request.node_id.str() && kind == TokenKind::kFenced &&
             is_registered(row);
    case Removal::kOld: return is_old && (is_signed || holder_of(row) != HolderState::kUnfenced);
    case Removal::kExpired: return is_signed && row.expires_at && *row.expires_at <= now();
    // Only PostgreSQL is shared with nodes that claim for themselves.
    case Removal::kReleased: return false;
    case Removal::kOtherRollups: return is_signed && is_old && lower_case(row.rollup) != request.rollup.to_string();
  }
  return false;
}

bool MemoryTables::has_recent_foreign_rows() const {
  const UtcTime since = now() - kForeignNodeMemory;
  return std::ranges::any_of(
      rows_, [&](const auto& entry) { return entry.second.started_at > since && !is_registered(entry.second); });
}

RemovalOutcome MemoryTables::remove(const RemovalRequest& request) {
  if (deletes_signed(request.what) && has_recent_foreign_rows()) return {.refused_for_foreign_nodes = true};
  RemovalOutcome outcome;
  for (auto it = rows_.begin(); it != rows_.end() && outcome.removed < request.limit;) {
    if (!may_remove(it->second, request)) {
      ++it;
      continue;
    }
    raise_low_watermark(it->second);
    it = rows_.erase(it);
    ++outcome.removed;
  }
  return outcome;
}

void MemoryTables::raise_low_watermark(const TableRow& deleted) {
  // A slot below zero bounds nothing.
  if (deleted.status != DutyStatus::kSigned || deleted.slot < 0) return;
  StoredWatermarks& stored =
      watermarks_[{lower_case(deleted.rollup), lower_case(deleted.validator), deleted.duty_type}];
  if (stored.low && *stored.low >= deleted.slot) return;
  stored.low = deleted.slot;
  stored.updated_at = now();
}

std::vector<DutyEntry> MemoryTables::duties(const DutyFilter& filter) const {
  std::vector<const TableRow*> found;
  for (const auto& [key, row] : rows_) {
    if (matches(row, filter)) found.push_back(&row);
  }
  std::ranges::stable_sort(found, [](const TableRow* a, const TableRow* b) { return a->slot > b->slot; });
  if (found.size() > filter.limit) found.resize(filter.limit);
  std::vector<DutyEntry> entries;
  for (const TableRow* row : found) entries.push_back(duty_entry_of(*row));
  return entries;
}

std::vector<NodeEntry> MemoryTables::nodes() const {
  std::vector<NodeEntry> entries;
  for (const auto& [node_id, node] : nodes_) {
    entries.push_back(NodeEntry{.node_id = node_id,
                                .incarnation = hex_of(node.incarnation),
                                .heartbeat_at = utc_text(node.heartbeat_at),
                                .alive = now() < node.lease_until,
                                .earlier_incarnations = node.former.size()});
  }
  return entries;
}

NodeRemoval MemoryTables::remove_node(const std::string& node_id) {
  const auto node = nodes_.find(node_id);
  if (node == nodes_.end()) return NodeRemoval::kUnknown;
  if (node->second.lease_until > now()) return NodeRemoval::kAlive;
  const auto is_being_signed_by_it = [&](const auto& entry) {
    return entry.second.status == DutyStatus::kSigning && entry.second.node_id == node_id;
  };
  if (std::ranges::any_of(rows_, is_being_signed_by_it)) return NodeRemoval::kStillSigns;
  nodes_.erase(node);
  return NodeRemoval::kRemoved;
}

std::vector<WatermarkEntry> MemoryTables::watermarks() const {
  std::vector<WatermarkEntry> entries;
  for (const auto& [key, stored] : watermarks_) {
    entries.push_back(WatermarkEntry{.rollup = key.rollup,
                                     .validator = key.validator,
                                     .duty_type = key.duty_type,
                                     .watermarks = {.low = slot_of(stored.low), .high = slot_of(stored.high)},
                                     .updated_at = utc_text(stored.updated_at)});
  }
  return entries;
}

WatermarkOutcome MemoryTables::set_watermarks(const EthAddress& rollup, const std::optional<EthAddress>& validator,
                                              DutyType type, const WatermarkChange& change) {
  const WatermarkKey key{rollup.to_string(), validator_text(validator), std::string(to_string(type))};
  const auto found = watermarks_.find(key);
  Watermarks before;
  if (found != watermarks_.end()) before = {.low = slot_of(found->second.low), .high = slot_of(found->second.high)};
  const Watermarks after = change.applied_to(before);
  if (!change.may_turn(before, after)) return {.applied = false, .before = before, .after = before};
  watermarks_[key] = StoredWatermarks{.low = column_of(after.low), .high = column_of(after.high), .updated_at = now()};
  return {.applied = true, .before = before, .after = after};
}

std::vector<KeySwitch> MemoryTables::key_switches() const {
  std::vector<KeySwitch> all;
  for (const auto& [address, key_switch] : key_switches_) all.push_back(key_switch);
  return all;
}

bool MemoryTables::set_key_switch(const EthAddress& address, KeyState state, std::string by) {
  const auto text = address.to_string();
  const auto found = key_switches_.find(text);
  const bool was_enabled = found == key_switches_.end() || found->second.is_enabled;
  const bool is_enabled = state == KeyState::kEnabled;
  if (was_enabled == is_enabled) return false;
  key_switches_[text] = KeySwitch{text, is_enabled, std::move(by), utc_text(now())};
  return true;
}

RemovalPreview MemoryTables::preview(const RemovalRequest& request) const {
  const auto count = std::ranges::count_if(rows_, [&](const auto& entry) { return may_remove(entry.second, request); });
  return RemovalPreview{.rows = static_cast<std::size_t>(count)};
}

HistorySnapshot MemoryTables::export_history() const {
  HistorySnapshot snapshot;
  for (const auto& [key, row] : rows_) snapshot.duties.push_back(duty_entry_of(row));
  snapshot.watermarks = watermarks();
  return snapshot;
}

/// Other data under the duty's own key, or, where that is free, under another letter case or a foreign block index of
/// it.
std::optional<std::string> MemoryTables::conflict_of(const TableRow& incoming) const {
  const RowKey key = key_of(incoming);
  const auto other_hash = [&](const TableRow& row) {
    return describe(incoming) + " is there with message hash " + printable(row.message_hash) +
           ", and is to be imported with " + printable(incoming.message_hash);
  };
  if (const auto own = rows_.find(key); own != rows_.end()) {
    return same_hash(own->second, incoming) ? std::nullopt : std::optional(other_hash(own->second));
  }
  for (const TableRow* row : rows_of_duty(key)) {
    if (!same_hash(*row, incoming)) return other_hash(*row);
  }
  return std::nullopt;
}

void MemoryTables::import_row(TableRow incoming, ImportOutcome& outcome) {
  const auto [it, is_new] = rows_.try_emplace(key_of(incoming), incoming);
  TableRow& row = it->second;
  if (!is_new && row.status == DutyStatus::kSigning && incoming.status == DutyStatus::kSigned) {
    // What was signed elsewhere is signed; an attempt in flight here loses its lock.
    row = std::move(incoming);
    ++outcome.inserted;
  } else {
    ++(is_new ? outcome.inserted : outcome.already_there);
  }
}

ImportOutcome MemoryTables::import_history(const HistorySnapshot& snapshot) {
  ImportOutcome outcome;
  std::vector<TableRow> incoming;
  std::map<RowKey, std::string> hashes;
  for (const DutyEntry& entry : snapshot.duties) {
    auto row = table_row_of(entry);
    if (!row) {
      outcome.conflicts.push_back(row.error());
      continue;
    }
    if (auto conflict = conflict_of(*row)) outcome.conflicts.push_back(*conflict);
    const auto [it, is_new] = hashes.try_emplace(key_of(*row), lower_case(row->message_hash));
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
  for (TableRow& row : incoming) import_row(std::move(row), outcome);
  for (const WatermarkEntry& entry : snapshot.watermarks) {
    StoredWatermarks& stored = watermarks_[{lower_case(entry.rollup), lower_case(entry.validator), entry.duty_type}];
    const auto low =
        stricter(stored.low, column_of(entry.watermarks.low), [](auto a, auto b) { return std::max(a, b); });
    const auto high =
        stricter(stored.high, column_of(entry.watermarks.high), [](auto a, auto b) { return std::min(a, b); });
    if (low != stored.low || high != stored.high || stored.updated_at == UtcTime{}) stored = {low, high, now()};
  }
  return outcome;
}

bool MemoryTables::insert_row(TableRow row) {
  const RowKey key = key_of(row);
  return rows_.try_emplace(key, std::move(row)).second;
}

TableRow* MemoryTables::row(const RowKey& key) {
  const auto it = rows_.find(key);
  return it == rows_.end() ? nullptr : &it->second;
}

bool MemoryTables::delete_row(const RowKey& key) {
  const auto it = rows_.find(key);
  if (it == rows_.end()) return false;
  raise_low_watermark(it->second);
  rows_.erase(it);
  return true;
}

}  // namespace hasigner::memory
