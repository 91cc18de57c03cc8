#include "hasigner/protection/write_back.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace hasigner {

namespace {

std::string shown(const std::optional<MessageHash>& hash) {
  return hash ? hash->to_string() : std::string("a text that is not a hash");
}

/// What of the view contradicts the entry.
Contradiction contradiction_of(const DutyView& view, const JournalEntry& entry) {
  Contradiction found{.key = entry.key, .message_hash = {}, .node_id = {}, .is_settled = entry.is_settled};
  if (view.row && view.row->status == DutyStatus::kSigned) {
    found.message_hash = shown(view.row->message_hash);
    found.node_id = view.row->node_id;
  } else if (view.released) {
    found.message_hash = shown(view.released->message_hash);
    found.node_id = view.released->node_id;
  } else if (view.alias) {
    found.message_hash = shown(view.alias->message_hash);
    found.node_id = view.alias->node_id;
  }
  return found;
}

/// A row that an entry needs: claimed, or taken over.
struct Wanted {
  const JournalEntry* entry;
  LockToken token;
};

class WriteBack {
 public:
  WriteBack(WriteBackParts parts, std::vector<JournalEntry> entries, MonotonicTime deadline)
      : parts_(std::move(parts)), entries_(std::move(entries)), deadline_(deadline) {
    std::ranges::sort(entries_, {}, &JournalEntry::key);
  }

  static asio::awaitable<StoreResult<WriteBackOutcome>> run(std::shared_ptr<WriteBack> self);

 private:
  static asio::awaitable<StoreResult<Unit>> leave_out_confirmed(std::shared_ptr<WriteBack> self);
  static asio::awaitable<StoreResult<Unit>> confirm_what_stands(std::shared_ptr<WriteBack> self);
  static asio::awaitable<StoreResult<Unit>> claim(std::shared_ptr<WriteBack> self);
  static asio::awaitable<StoreResult<Unit>> take_over(std::shared_ptr<WriteBack> self);
  static asio::awaitable<StoreResult<Unit>> record(std::shared_ptr<WriteBack> self);

  void plan(const std::vector<DutyView>& views);
  [[nodiscard]] LockToken token_for(const JournalEntry& entry);
  [[nodiscard]] static Duty duty_of(const JournalEntry& entry) {
    return {.key = entry.key, .block_number = {}, .checkpoint_number = {}, .message_hash = entry.message_hash};
  }

  WriteBackParts parts_;
  std::vector<JournalEntry> entries_;
  MonotonicTime deadline_;
  WriteBackOutcome outcome_;
  std::vector<StoredSignature> stored_;  ///< as they were read, perhaps from a server that a failover left behind
  std::vector<Wanted> to_claim_;
  std::vector<std::pair<Wanted, Takeover>> to_take_over_;
  std::vector<Wanted> gained_;
};

/// The message may have left, so that its row must never be given to other data: it is as one that was taken over.
LockToken WriteBack::token_for(const JournalEntry& entry) {
  if (!entry.signature) return entry.handed_out;
  std::array<std::uint8_t, 7> random{};
  parts_.random->fill(random);
  return LockToken::make(parts_.incarnation, TokenKind::kTakenOver, random);
}

/// One statement confirms what stands as it was released, in the current history; mostly that is all of it.
asio::awaitable<StoreResult<Unit>> WriteBack::leave_out_confirmed(std::shared_ptr<WriteBack> self) {
  std::vector<StoredSignature> stored;
  std::vector<std::size_t> positions;
  for (std::size_t i = 0; i < self->entries_.size(); ++i) {
    const auto& entry = self->entries_[i];
    if (!entry.signature) continue;
    stored.push_back({entry.key, entry.message_hash, *entry.signature});
    positions.push_back(i);
  }
  if (stored.empty()) co_return Unit{};
  auto confirming = self->parts_.store->confirm_stored(self->parts_.node_id, std::move(stored), self->deadline_);
  const auto confirmed = co_await std::move(confirming);
  if (!confirmed) co_return std::unexpected(confirmed.error());
  std::vector<bool> is_confirmed(self->entries_.size());
  for (std::size_t i = 0; i < positions.size(); ++i) is_confirmed[positions[i]] = (*confirmed)[i];
  std::vector<JournalEntry> left;
  for (std::size_t i = 0; i < self->entries_.size(); ++i) {
    if (!is_confirmed[i]) left.push_back(std::move(self->entries_[i]));
  }
  self->entries_ = std::move(left);
  co_return Unit{};
}

void WriteBack::plan(const std::vector<DutyView>& views) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const auto& entry = entries_[i];
    const auto& view = views[i];
    const auto found = entry_in_store(view, entry);
    if (found == EntryInStore::kStands) {
      const auto& row = view.row;
      const bool is_to_confirm = row && row->status == DutyStatus::kSigned && row->signature;
      // Below a watermark nothing is confirmed, and nothing needs to be.
      if (is_to_confirm && view.watermarks.allow(entry.key.slot)) {
        stored_.push_back({entry.key, entry.message_hash, *row->signature});
      }
      continue;
    }
    if (found == EntryInStore::kContradicted) {
      outcome_.contradicted.push_back(contradiction_of(view, entry));
      continue;
    }
    outcome_.missing.push_back(entry.key);
    if (found == EntryInStore::kBusy) outcome_.busy.push_back(entry.key);
    outcome_.is_complete = false;  // Until all of them are recorded.
    if (found == EntryInStore::kMissing) {
      to_claim_.push_back({&entry, token_for(entry)});
    } else if (found == EntryInStore::kHeld || found == EntryInStore::kAbandoned) {
      const auto token = token_for(entry);
      const auto kind = found == EntryInStore::kHeld ? TakeoverKind::kSameData : TakeoverKind::kReplace;
      to_take_over_.emplace_back(Wanted{&entry, token}, Takeover{kind, duty_of(entry), view.row->lock_token, token});
    }
  }
}

asio::awaitable<StoreResult<Unit>> WriteBack::confirm_what_stands(std::shared_ptr<WriteBack> self) {
  if (self->stored_.empty()) co_return Unit{};
  auto confirming = self->parts_.store->confirm_stored(self->parts_.node_id, self->stored_, self->deadline_);
  const auto confirmed = co_await std::move(confirming);
  if (!confirmed) co_return std::unexpected(confirmed.error());
  if (std::ranges::find(*confirmed, false) != confirmed->end()) self->outcome_.is_complete = false;
  co_return Unit{};
}

asio::awaitable<StoreResult<Unit>> WriteBack::claim(std::shared_ptr<WriteBack> self) {
  if (self->to_claim_.empty()) co_return Unit{};
  std::vector<DutyClaim> claims;
  for (const auto& [entry, token] : self->to_claim_) claims.push_back({duty_of(*entry), token});
  auto claiming = self->parts_.store->claim(self->parts_.node_id, std::move(claims), self->deadline_);
  const auto outcomes = co_await std::move(claiming);
  if (!outcomes) co_return std::unexpected(outcomes.error());
  for (std::size_t i = 0; i < outcomes->size(); ++i) {
    const auto& [outcome, token, view] = (*outcomes)[i];
    if (outcome == RowOutcome::kApplied) {
      self->gained_.push_back({self->to_claim_[i].entry, token});
    }
  }
  co_return Unit{};
}

asio::awaitable<StoreResult<Unit>> WriteBack::take_over(std::shared_ptr<WriteBack> self) {
  if (self->to_take_over_.empty()) co_return Unit{};
  std::vector<Takeover> takeovers;
  for (const auto& [wanted, takeover] : self->to_take_over_) takeovers.push_back(takeover);
  auto taking = self->parts_.store->take_over(self->parts_.node_id, std::move(takeovers), self->deadline_);
  const auto outcomes = co_await std::move(taking);
  if (!outcomes) co_return std::unexpected(outcomes.error());
  for (std::size_t i = 0; i < outcomes->size(); ++i) {
    if ((*outcomes)[i] == RowOutcome::kApplied) self->gained_.push_back(self->to_take_over_[i].first);
  }
  co_return Unit{};
}

asio::awaitable<StoreResult<Unit>> WriteBack::record(std::shared_ptr<WriteBack> self) {
  std::vector<DutyRecord> records;
  std::size_t done = 0;
  std::ranges::sort(self->gained_, {}, [](const Wanted& wanted) { return wanted.entry->key; });
  for (const auto& [entry, token] : self->gained_) {
    if (!entry->signature) {
      ++done;
    } else {
      records.push_back({entry->key, token, entry->message_hash, *entry->signature});
    }
  }
  if (!records.empty()) {
    auto recording = self->parts_.store->record(records, self->deadline_);
    const auto outcomes = co_await std::move(recording);
    if (!outcomes) co_return std::unexpected(outcomes.error());
    done += static_cast<std::size_t>(std::ranges::count(*outcomes, RowOutcome::kApplied));
  }
  self->outcome_.written_back = done;
  if (done == self->outcome_.missing.size()) self->outcome_.is_complete = true;
  co_return Unit{};
}

asio::awaitable<StoreResult<WriteBackOutcome>> WriteBack::run(std::shared_ptr<WriteBack> self) {
  auto confirming = leave_out_confirmed(self);
  auto step = co_await std::move(confirming);
  if (!step) co_return std::unexpected(std::move(step.error()));
  if (self->entries_.empty()) co_return std::move(self->outcome_);
  std::vector<DutyKey> keys;
  for (const auto& entry : self->entries_) keys.push_back(entry.key);
  auto looking = self->parts_.store->look(std::move(keys), self->deadline_);
  const auto views = co_await std::move(looking);
  if (!views) co_return std::unexpected(views.error());
  self->plan(*views);
  using Step = asio::awaitable<StoreResult<Unit>> (*)(std::shared_ptr<WriteBack>);
  for (const Step next : {Step{&WriteBack::claim}, Step{&WriteBack::take_over}, Step{&WriteBack::record},
                          Step{&WriteBack::confirm_what_stands}}) {
    auto running = next(self);
    step = co_await std::move(running);
    if (!step) co_return std::unexpected(std::move(step.error()));
  }
  co_return std::move(self->outcome_);
}

}  // namespace

EntryInStore entry_in_store(const DutyView& view, const JournalEntry& entry) {
  const auto& hash = entry.message_hash;
  const auto& row = view.row;
  if (row && row->status == DutyStatus::kSigned) {
    return row->message_hash == hash ? EntryInStore::kStands : EntryInStore::kContradicted;
  }
  if (view.released) return view.released->message_hash == hash ? EntryInStore::kStands : EntryInStore::kContradicted;
  if (!view.watermarks.allow(entry.key.slot)) return EntryInStore::kStands;
  if (view.alias && view.alias->status == DutyStatus::kSigned) {
    return view.alias->message_hash == hash ? EntryInStore::kStands : EntryInStore::kContradicted;
  }
  if (view.alias) return view.alias->message_hash == hash ? EntryInStore::kStands : EntryInStore::kBusy;
  if (!row) return EntryInStore::kMissing;
  if (row->message_hash == hash) return entry.signature ? EntryInStore::kHeld : EntryInStore::kStands;
  return row->holder == HolderState::kExpired ? EntryInStore::kAbandoned : EntryInStore::kBusy;
}

asio::awaitable<StoreResult<WriteBackOutcome>> write_back(WriteBackParts parts, std::vector<JournalEntry> entries,
                                                          MonotonicTime deadline) {
  return WriteBack::run(std::make_shared<WriteBack>(std::move(parts), std::move(entries), deadline));
}

}  // namespace hasigner
