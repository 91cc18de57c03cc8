#include "hasigner/protection/journaled_store.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include "hasigner/duty/assert.hpp"
#include "hasigner/protection/protocol.hpp"

namespace hasigner {

namespace {

/// Duties of a rollup that are kept in memory; others are looked up in the journal.
constexpr std::size_t kMostRemembered = 50'000;
/// A journal that has not answered for so long is taken for one that cannot be written.
constexpr milliseconds kLongestSilence{2'000};
constexpr milliseconds kCompareTimeout{10'000};
constexpr std::size_t kMostTold = 1'000;
constexpr std::size_t kMostUntold = 100;
/// How often the store is asked for the latest entries, and what it has lost is tried again.
constexpr milliseconds kCompletePause{500};
/// The longest pause where nothing could be written back: a row may be *signing* with another message for good.
constexpr milliseconds kLongestCompletePause{4'000};
/// The same while other nodes are waited for, or wait for this one.
constexpr milliseconds kRoundPause{100};
/// How long others may sign another message for a duty before its slot is forbidden, so that it can be taken for
/// settled.
constexpr milliseconds kBusyWait{2'000};
/// How long an entry waits of which a kill has left open whether its message was released: other nodes first write back
/// what they know to have released, and attempts that are under way end.
constexpr milliseconds kUnsettledWait{5'000};
/// Duties that are asked for so often, and that are compared in one go.
constexpr std::size_t kLatest = 16;
constexpr std::size_t kChunk = 1'000;
/// Duties that the log names of those that one comparison finds missing.
constexpr std::size_t kMostDutiesNamed = 20;
/// Validators that were asked for with slots in the future.
constexpr std::size_t kMostFar = 100;

StoreError not_writable() {
  return {StoreErrorKind::kUnavailable, "this node's journal cannot be written, so it claims and releases nothing"};
}

/// Said of a request after which a row may stand, and nothing may be released.
StoreError not_confirmed() {
  return {StoreErrorKind::kInDoubt, "this node's journal has not confirmed its entry"};
}

bool is_same(const std::shared_ptr<const StoreEpoch>& a, const std::shared_ptr<const StoreEpoch>& b) {
  return a == b || (a && b && *a == *b);
}

StoreError asked_elsewhere() {
  return {StoreErrorKind::kInDoubt, "another server has answered since this was asked; ask again"};
}

JournaledStore::News news_of(FailoverGuard::News news) {
  switch (news) {
    case FailoverGuard::News::kHolds: return JournaledStore::News::kHolds;
    case FailoverGuard::News::kWaits: return JournaledStore::News::kWaits;
    case FailoverGuard::News::kCleared: return JournaledStore::News::kCleared;
    case FailoverGuard::News::kForbids: return JournaledStore::News::kForbids;
    case FailoverGuard::News::kReleased: return JournaledStore::News::kReleased;
    case FailoverGuard::News::kUnsupported: break;
  }
  return JournaledStore::News::kUnguarded;
}

/// The key under which an attempt of ours would ask: a published node may have written another block index.
DutyKey own_key(DutyKey key) {
  if (key.duty_type != DutyType::kBlockProposal) key.block_index = kNoBlockIndex;
  return key;
}

/// Whether the store has this message, which was released with a signature, or signs none for the duty any more.
bool stands(const DutyView& view, const DutyKey& key, const MessageHash& hash) {
  return entry_in_store(view, {.key = key, .message_hash = hash, .signature = Signature()}) == EntryInStore::kStands;
}

/// A caller of the step API may sign as soon as it has such a token.
bool is_unfenced(const LockToken& token) {
  return token.kind() != TokenKind::kFenced;
}

std::optional<JournalEntry> handed_out(const Duty& duty, const LockToken& token) {
  if (!is_unfenced(token)) return std::nullopt;
  return JournalEntry{.key = duty.key, .message_hash = duty.message_hash, .signature = {}, .handed_out = token};
}

}  // namespace

// What each kind of request tells: its duty and message, the entry that it needs, how it is answered without the store,
// and whether the store's answer lets something out.

struct JournaledStore::Claiming {
  using Request = DutyClaim;
  using Outcome = ClaimOutcome;
  static const MessageHash& hash(const Request& claim) { return claim.duty.message_hash; }
  static std::optional<JournalEntry> entry(const Request& claim) { return handed_out(claim.duty, claim.token); }
  static Outcome refused(Verdict verdict, const Request& claim, DutyView view) {
    if (verdict == Verdict::kBusy) return {.outcome = RowOutcome::kLocked, .token = claim.token, .view = {}};
    return claim_outcome(claim.token, std::move(view));
  }
  static StoreBatch<Outcome> send(Store& store, NodeId node_id, std::vector<Request> claims, MonotonicTime deadline) {
    return store.claim(std::move(node_id), std::move(claims), deadline);
  }
  static bool lets_out(const Outcome& outcome) {
    return outcome.view.row && !outcome.token.empty() && outcome.view.row->lock_token == outcome.token;
  }
  /// A claim makes a row also where a watermark refuses, and the attempt releases it again.
  static bool makes_row(const Outcome& outcome, const DutyKey& key) {
    return lets_out(outcome) && outcome.view.watermarks.allow(key.slot);
  }
};

struct JournaledStore::ClaimingSigned {
  using Request = SignedClaim;
  using Outcome = SignedClaimOutcome;
  static const MessageHash& hash(const Request& claim) { return claim.duty.message_hash; }
  static std::optional<JournalEntry> entry(const Request& claim) {
    return JournalEntry{.key = claim.duty.key, .message_hash = claim.duty.message_hash, .signature = claim.signature};
  }
  static Outcome refused(Verdict verdict, const Request&, DutyView view) {
    return {.outcome = verdict == Verdict::kBusy ? RowOutcome::kLocked : RowOutcome::kNotMatched,
            .view = std::move(view)};
  }
  static StoreBatch<Outcome> send(Store& store, NodeId node_id, std::vector<Request> claims, MonotonicTime deadline) {
    return store.claim_signed(std::move(node_id), std::move(claims), deadline);
  }
  static bool lets_out(const Outcome& outcome) { return outcome.outcome == RowOutcome::kApplied; }
  static bool makes_row(const Outcome& outcome, const DutyKey&) { return lets_out(outcome); }
};

struct JournaledStore::TakingOver {
  using Request = Takeover;
  using Outcome = RowOutcome;
  static const MessageHash& hash(const Request& takeover) { return takeover.duty.message_hash; }
  static std::optional<JournalEntry> entry(const Request& takeover) {
    return handed_out(takeover.duty, takeover.token);
  }
  static Outcome refused(Verdict verdict, const Request&, const DutyView&) {
    return verdict == Verdict::kBusy ? RowOutcome::kLocked : RowOutcome::kNotMatched;
  }
  static StoreBatch<Outcome> send(Store& store, NodeId node_id, std::vector<Request> takeovers,
                                  MonotonicTime deadline) {
    return store.take_over(std::move(node_id), std::move(takeovers), deadline);
  }
  static bool lets_out(const Outcome& outcome) { return outcome == RowOutcome::kApplied; }
  static bool makes_row(const Outcome&, const DutyKey&) { return false; }
};

struct JournaledStore::Recording {
  using Request = DutyRecord;
  using Outcome = RowOutcome;
  static const MessageHash& hash(const Request& record) { return *record.message_hash; }
  static std::optional<JournalEntry> entry(const Request& record) {
    return JournalEntry{.key = record.key, .message_hash = *record.message_hash, .signature = record.signature};
  }
  static Outcome refused(Verdict verdict, const Request&, const DutyView&) {
    return verdict == Verdict::kBusy ? RowOutcome::kLocked : RowOutcome::kNotMatched;
  }
  static StoreBatch<Outcome> send(Store& store, NodeId, std::vector<Request> records, MonotonicTime deadline) {
    return store.record(std::move(records), deadline);
  }
  static bool lets_out(const Outcome& outcome) { return outcome == RowOutcome::kApplied; }
  static bool makes_row(const Outcome&, const DutyKey&) { return false; }
};

struct JournaledStore::ConfirmingStored {
  using Request = StoredSignature;
  using Outcome = bool;
  static const MessageHash& hash(const Request& stored) { return stored.message_hash; }
  static std::optional<JournalEntry> entry(const Request& stored) {
    return JournalEntry{.key = stored.key, .message_hash = stored.message_hash, .signature = stored.signature};
  }
  static Outcome refused(Verdict, const Request&, const DutyView&) { return false; }
  static StoreBatch<Outcome> send(Store& store, NodeId node_id, std::vector<Request> signatures,
                                  MonotonicTime deadline) {
    return store.confirm_stored(std::move(node_id), std::move(signatures), deadline);
  }
  static bool lets_out(const Outcome& is_confirmed) { return is_confirmed; }
  static bool makes_row(const Outcome&, const DutyKey&) { return false; }
};

JournaledStore::JournaledStore(Parts parts) : JournaledStore(parts, parts.journal->contents()) {}

JournaledStore::JournaledStore(Parts parts, const JournalContents& contents)
    : parts_(std::move(parts)),
      closing_(std::make_shared<Arrival<Unit>>(parts_.executor)),
      guard_({.clock = parts_.clock,
              .store = parts_.store,
              .rounds = parts_.rounds,
              .node_id = parts_.node_id,
              .tell = [this](FailoverGuard::News news, const std::string& text) { tell(news_of(news), text); },
              .remember = [this](const std::string& history) { parts_.journal->remember_history(history); }},
             contents.history) {
  for (const auto& [rollup, slot] : contents.unread) memory_[rollup].unread = slot;
  for (const auto& [rollup, slot] : contents.forgotten) memory_[rollup].forgotten = slot;
  for (const auto& entry : contents.entries) remember(entry);
}

JournaledStore::~JournaledStore() = default;

void JournaledStore::on_news(std::function<void(News, const std::string&)> tell) {
  tell_ = std::move(tell);
  for (const auto& [news, text] : std::exchange(untold_, {})) tell_(news, text);
}

void JournaledStore::tell(News news, const std::string& text) {
  if (tell_) return tell_(news, text);
  if (untold_.size() < kMostUntold) untold_.emplace_back(news, text);
}

std::size_t JournaledStore::remembered() const {
  std::size_t duties = 0;
  for (const auto& [rollup, memory] : memory_) duties += memory.size;
  return duties;
}

// --- what is known

const JournaledStore::Known* JournaledStore::find(const DutyKey& key) const {
  const auto memory = memory_.find(key.rollup);
  if (memory == memory_.end()) return nullptr;
  const auto slot = memory->second.slots.find(key.slot);
  if (slot == memory->second.slots.end()) return nullptr;
  const auto duty = slot->second.find(key);
  return duty == slot->second.end() ? nullptr : &duty->second;
}

JournaledStore::Known* JournaledStore::find(const DutyKey& key) {
  return const_cast<Known*>(std::as_const(*this).find(key));
}

/// What is known of the duty; if nothing was, this message is from now on.
JournaledStore::Known& JournaledStore::known(const DutyKey& key, const MessageHash& hash) {
  auto& memory = memory_[key.rollup];
  const auto slot = memory.slots.try_emplace(key.slot, &duties_memory_).first;
  const auto [duty, is_new] = slot->second.try_emplace(key, Known{.hash = hash});
  if (is_new) ++memory.size;
  return duty->second;
}

/// An entry that was in the journal: it may have been released.
void JournaledStore::remember(const JournalEntry& entry) {
  if (find(entry.key)) return;
  auto& it = known(entry.key, entry.message_hash);
  it.is_released = it.is_written = true;
  it.is_settled = entry.is_settled;
  it.has_signature = entry.signature.has_value();
  it.handed_out = entry.handed_out;
}

void JournaledStore::forget(const DutyKey& key) {
  auto& memory = memory_[key.rollup];
  const auto slot = memory.slots.find(key.slot);
  memory.size -= slot->second.erase(key);
  if (slot->second.empty()) memory.slots.erase(slot);
}

/// Leaves the lowest slots to the journal, but not those that are being worked on.
void JournaledStore::forget_lowest(Memory& memory) {
  if (lookup_.use_count() > 1) return;
  while (memory.size > kMostRemembered && memory.slots.size() > 1) {
    const auto lowest = memory.slots.begin();
    const auto is_needed = [](const auto& duty) { return duty.second.pending > 0 || !duty.second.is_written; };
    if (std::ranges::any_of(lowest->second, is_needed)) return;
    memory.unread = std::max(memory.unread.value_or(lowest->first), lowest->first);
    memory.size -= lowest->second.size();
    memory.slots.erase(lowest);
  }
}

/// `it` is what is known about the duty; null: nothing.
JournaledStore::Verdict JournaledStore::judge(const Known* it, const DutyKey& key, const MessageHash& hash) const {
  if (it) {
    if (it->hash == hash) return Verdict::kAllowed;
    return it->is_released ? Verdict::kContradicts : Verdict::kBusy;
  }
  const auto memory = memory_.find(key.rollup);
  const bool is_forgotten =
      memory != memory_.end() && memory->second.forgotten && key.slot <= *memory->second.forgotten;
  return is_forgotten ? Verdict::kForgotten : Verdict::kAllowed;
}

/// What a store would show that has what the journal has.
DutyView JournaledStore::refusing_view(const DutyKey& key) const {
  DutyView view;
  if (const auto* it = find(key)) {
    view.row = DutyRow{.status = DutyStatus::kSigned,
                       .message_hash = it->hash,
                       .signature = std::nullopt,
                       .node_id = parts_.node_id.str(),
                       .lock_token = {},
                       .holder = HolderState::kUnfenced};
  } else {
    view.watermarks.low = memory_.at(key.rollup).forgotten;
  }
  return view;
}

bool JournaledStore::was_released_signed(const Known* it) {
  return it && it->is_released && it->is_settled && it->has_signature;
}

bool JournaledStore::is_far(const EthAddress& rollup, const Slot& slot) const {
  const auto latest = parts_.latest_slot ? parts_.latest_slot(rollup) : std::nullopt;
  return latest && slot > *latest;
}

/// What a node was asked for shows how far all have come: a node that does not come back had been asked for the same in
/// its last second. A slot in the future shows that for its validator only; and others are told each such validator, so
/// there may not be any number of them. Returns false where there is one too many.
bool JournaledStore::note_reached(const DutyKey& key) {
  const auto near = reached_.near.find(key.rollup);
  if (near != reached_.near.end() && key.slot <= near->second) return true;
  if (!is_far(key.rollup, key.slot)) {
    reached_.near.insert_or_assign(key.rollup, key.slot);
    return true;
  }
  if (reached_.far.size() >= kMostFar && !reached_.far.contains({key.rollup, key.validator})) return false;
  note_far(key);
  return true;
}

void JournaledStore::note_far(const DutyKey& key) {
  auto& slot = reached_.far[{key.rollup, key.validator}];
  slot = std::max(slot, key.slot);
}

ReachedSlots JournaledStore::reached() {
  for (const auto& [rollup, memory] : memory_) {
    for (const auto& [slot, duties] : memory.slots | std::views::reverse) {
      if (!is_far(rollup, slot)) {
        auto& near = reached_.near[rollup];
        near = std::max(near, slot);
        break;
      }
      for (const auto& [key, known] : duties) note_far(key);
    }
  }
  std::erase_if(reached_.far, [this](const auto& far) {
    const auto near = reached_.near.find(far.first.first);
    return near != reached_.near.end() && far.second <= near->second;
  });
  return reached_;
}

void JournaledStore::count_refusal(const DutyKey& key) {
  ++status_.refused;
  // A store that remembers would have refused, too.
  const auto* it = find(key);
  if (!was_released_signed(it) || std::exchange(comparing_, true)) return;
  asio::co_spawn(parts_.executor, compare(shared_from_this(), key, it->hash), asio::detached);
}

asio::awaitable<void> JournaledStore::compare(std::shared_ptr<JournaledStore> self, DutyKey key, MessageHash hash) {
  try {
    std::vector<DutyKey> one{key};
    auto looking = self->parts_.store->look(std::move(one), self->parts_.clock->now() + kCompareTimeout);
    const auto views = co_await std::move(looking);
    if (views && !stands(views->front(), key, hash)) self->note_forgotten(key);
  } catch (...) {
    // It is asked again at the next refusal.
  }
  self->comparing_ = false;
}

void JournaledStore::note_forgotten(const DutyKey& key) {
  if (told_.size() >= kMostTold) told_.clear();
  if (!told_.insert(key).second) return;
  ++status_.forgotten;
  is_complete_ = false;
  found_missing_ = has_lost_ = true;
  tell(News::kForgot, key.describe());
}

// --- what the store has lost

JournaledStore::Chunk JournaledStore::chunk_below(const EthAddress& rollup, std::optional<Slot> below,
                                                  std::size_t size) {
  Chunk chunk;
  const auto memory = memory_.find(rollup);
  if (memory == memory_.end()) return chunk;
  const auto& slots = memory->second.slots;
  for (auto slot = below ? slots.lower_bound(*below) : slots.end(); slot != slots.begin();) {
    --slot;
    chunk.lowest = slot->first;
    for (const auto& [key, known] : slot->second) {
      if (known.pending == 0 && known.is_released) chunk.keys.push_back(key);
      // What the journal does not have yet is not written back from it, so it is not compared either.
      skipped_pending_ = skipped_pending_ || (known.is_released && (known.pending > 0 || !known.is_written));
    }
    if (chunk.keys.size() >= size) break;
  }
  return chunk;
}

/// Whether the store has what was released last. An error of the store counts as yes: it is asked again soon.
asio::awaitable<bool> JournaledStore::has_latest(MonotonicTime deadline) {
  std::vector<DutyKey> keys;
  for (const auto& [rollup, memory] : memory_) {
    const auto latest = chunk_below(rollup, std::nullopt, kLatest).keys;
    std::ranges::copy_if(latest, std::back_inserter(keys),
                         [this](const auto& key) { return was_released_signed(find(key)); });
  }
  if (keys.empty()) co_return true;
  std::ranges::sort(keys);
  auto looking = parts_.store->look(keys, deadline);
  const auto views = co_await std::move(looking);
  if (!views) co_return true;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto* it = find(keys[i]);
    if (it && !stands((*views)[i], keys[i], it->hash)) co_return false;
  }
  co_return true;
}

asio::awaitable<StoreResult<std::vector<JournalEntry>>> JournaledStore::entries_of(std::vector<DutyKey> keys,
                                                                                   MonotonicTime deadline) {
  auto finding = parts_.journal->find(std::move(keys));
  auto waiting = Arrival<ReleaseJournal::Found>::wait(std::move(finding), *parts_.clock, deadline);
  auto found = co_await std::move(waiting);
  if (!found) co_return std::unexpected(not_writable());
  if (!*found) co_return std::unexpected(std::move(found->error()));
  std::vector<JournalEntry> entries;
  for (auto& entry : (*found)->entries) {
    const auto* it = find(entry.key);
    skipped_pending_ = skipped_pending_ || (it && it->pending > 0);
    if (!it || it->pending > 0 || it->hash != entry.message_hash) continue;
    // Of a caller whose record failed: it has been told so.
    if (!it->has_signature) entry.signature.reset();
    entry.is_settled = it->is_settled;
    entries.push_back(std::move(entry));
  }
  co_return entries;
}

/// A duty that was only handed out may have been given back through another node, so that its row alone shows no loss:
/// it is written back only where a signed one beside it is missing.
asio::awaitable<StoreResult<WriteBackOutcome>> JournaledStore::complete_duties(std::vector<DutyKey> keys) {
  const auto deadline = parts_.clock->now() + kCompareTimeout;
  const WriteBackParts parts{.store = parts_.store,
                             .random = parts_.random,
                             .node_id = parts_.node_id,
                             .incarnation = registration_->incarnation};
  auto reading = entries_of(std::move(keys), deadline);
  auto entries = co_await std::move(reading);
  if (!entries) co_return std::unexpected(std::move(entries.error()));
  const auto is_signed = [](const JournalEntry& entry) { return entry.signature.has_value(); };
  const auto signed_end = std::ranges::stable_partition(*entries, is_signed).begin();
  std::vector<JournalEntry> handed_out(std::make_move_iterator(signed_end), std::make_move_iterator(entries->end()));
  entries->erase(signed_end, entries->end());
  const bool leaves_unsettled = parts_.clock->now() < incomplete_since_.value_or(MonotonicTime{}) + kUnsettledWait;
  const auto is_unsettled = [](const JournalEntry& entry) { return !entry.is_settled; };
  const bool is_left = leaves_unsettled && std::erase_if(*entries, is_unsettled) > 0;
  if (entries->empty()) co_return WriteBackOutcome{.is_complete = !is_left};
  auto writing = write_back(parts, std::move(*entries), deadline);
  auto outcome = co_await std::move(writing);
  if (!outcome) co_return outcome;
  note(*outcome);
  outcome->is_complete = outcome->is_complete && !is_left;
  if (outcome->missing.empty()) co_return outcome;
  // A caller may have given a duty back meanwhile.
  std::erase_if(handed_out, [this](const JournalEntry& entry) {
    const auto* it = find(entry.key);
    return !it || it->hash != entry.message_hash || it->handed_out != entry.handed_out;
  });
  if (handed_out.empty()) co_return outcome;
  auto writing_rest = write_back(parts, std::move(handed_out), deadline);
  const auto rest = co_await std::move(writing_rest);
  if (!rest) co_return std::unexpected(rest.error());
  note(*rest);
  outcome->is_complete = outcome->is_complete && rest->is_complete;
  co_return outcome;
}

/// Returns whether nothing is missing any more; an error where the store or the journal did not answer. What a store
/// lacks it lacks from some moment on, so nothing is looked
/// at below a chunk of which it has everything; but below all that was missing before.
asio::awaitable<StoreResult<bool>> JournaledStore::complete_rollup(EthAddress rollup) {
  bool is_complete = true;
  std::optional<Slot> below;
  for (;;) {
    auto chunk = chunk_below(rollup, below, kChunk);
    if (chunk.keys.empty()) co_return is_complete;
    below = chunk.lowest;
    const auto missing = missing_from_.find(rollup);
    const bool was_missing = missing != missing_from_.end() && missing->second <= chunk.lowest;
    const auto lowest_missing = was_missing ? missing->second : chunk.lowest;
    auto completing = complete_duties(std::move(chunk.keys));
    auto outcome = co_await std::move(completing);
    // Some of it may have been written: then the next comparison finds nothing missing here, and must go on below.
    if (!outcome || !outcome->is_complete || !outcome->missing.empty()) missing_from_[rollup] = lowest_missing;
    if (!outcome) co_return std::unexpected(std::move(outcome.error()));
    if (closing_->has_come()) co_return false;
    is_complete = is_complete && outcome->is_complete;
    if (outcome->missing.empty() && has_compared_all_ && !was_missing) co_return is_complete;
  }
}

/// As complete_rollup(), of all of them.
asio::awaitable<StoreResult<bool>> JournaledStore::complete_store() {
  std::vector<EthAddress> rollups;
  for (const auto& [rollup, memory] : memory_) rollups.push_back(rollup);
  StoreResult<bool> is_complete = true;
  for (const auto& rollup : rollups) {
    auto completing = complete_rollup(rollup);
    auto is_this_complete = co_await std::move(completing);
    if (is_this_complete && *is_this_complete) missing_from_.erase(rollup);
    // An error says more than that something is missing.
    if (is_complete && !is_this_complete.value_or(false)) is_complete = std::move(is_this_complete);
  }
  if (is_complete && !closing_->has_come()) has_compared_all_ = true;
  co_return is_complete;
}

void JournaledStore::note(const WriteBackOutcome& outcome) {
  std::size_t named = 0;
  busy_.insert(outcome.busy.begin(), outcome.busy.end());
  for (const auto& key : outcome.missing) {
    if (!was_released_signed(find(key))) continue;
    has_lost_ = true;
    if (named++ < kMostDutiesNamed) {
      note_forgotten(key);
    } else {
      ++status_.forgotten;
    }
  }
  std::vector<JournalEntry> unsettled;
  for (const auto& [key, message_hash, node_id, is_settled] : outcome.contradicted) {
    const auto* it = find(key);
    if (contradicted_.size() >= kMostTold) contradicted_.clear();
    if (it && !is_settled) unsettled.push_back({.key = key, .message_hash = it->hash, .signature = {}});
    if (!is_settled || !it || !it->has_signature || !contradicted_.insert(key).second) continue;
    ++status_.contradicted;
    tell(News::kContradicted, key.describe() + ": the database has " + message_hash + ", signed by " + node_id +
                                  ", and this node has released " + it->hash.to_string());
  }
  if (!unsettled.empty()) parts_.journal->leave_unsettled(std::move(unsettled));
  if (outcome.written_back == 0) return;
  status_.written_back += outcome.written_back;
  tell(News::kWrittenBack, std::to_string(outcome.written_back) + " duties");
}

/// Returns whether the store lacks what cannot be written back now, though it answers.
asio::awaitable<bool> JournaledStore::compare_once() {
  const auto epoch = parts_.store->epoch();
  const bool is_same_epoch = is_same(epoch, completed_epoch_);
  // Read before anything is compared, so that all that was released before the round began is.
  const auto round = guard_.open_round();
  if (is_complete_ && is_same_epoch && !round) {
    auto asking = has_latest(parts_.clock->now() + kCompareTimeout);
    const bool has = co_await std::move(asking);
    if (has) co_return false;
    // First of all the others are to wait.
    auto noting = guard_.note_loss(*registration_);
    const bool is_noted = co_await std::move(noting);
    if (!is_noted) has_lost_ = true;
  }
  if (!incomplete_since_ || !is_same_epoch) incomplete_since_ = parts_.clock->now();
  // What another server has lost may lie below more new duties than are compared in one go.
  if (!is_same_epoch || round) has_compared_all_ = false;
  const auto written_before = status_.written_back;
  is_complete_ = found_missing_ = skipped_pending_ = false;
  busy_.clear();
  auto completing = complete_store();
  const auto is_complete = co_await std::move(completing);
  // After something was found missing all is compared once more.
  is_complete_ = is_complete.value_or(false) && !found_missing_;
  completed_epoch_ = epoch;
  const bool waits_long = parts_.clock->now() >= incomplete_since_.value_or(MonotonicTime::max()) + kBusyWait;
  if (round && is_complete && !busy_.empty() && waits_long) {
    auto forbidding = forbid_busy();
    co_await std::move(forbidding);
  }
  if (is_complete_) incomplete_since_.reset();
  if (is_complete_ && round && !skipped_pending_ && is_same(epoch, parts_.store->epoch())) guard_.complete(*round);
  co_return is_complete && !*is_complete && status_.written_back == written_before;
}

/// A row that is *signing* with another message may stay so for good, and its holder may sign that message.
/// So no one may sign for its slot any more.
asio::awaitable<void> JournaledStore::forbid_busy() {
  const auto busy = busy_;
  for (const auto& key : busy) {
    std::vector<DutyType> types{key.duty_type};
    auto forbidding = parts_.rounds->forbid_up_to(key.rollup, key.validator, std::move(types), key.slot,
                                                  parts_.clock->now() + kCompareTimeout);
    const auto done = co_await std::move(forbidding);
    if (done) tell(News::kForbids, key.describe() + " and lower slots: the database has another message being signed");
  }
}

/// Tells of what was found, and learns what others found.
asio::awaitable<void> JournaledStore::look_at_rounds() {
  auto looking = guard_.look(*registration_, MonotonicTime::max());
  co_await std::move(looking);
  if (!std::exchange(has_lost_, false)) co_return;
  auto noting = guard_.note_loss(*registration_);
  const bool is_noted = co_await std::move(noting);
  if (!is_noted) has_lost_ = true;
}

asio::awaitable<void> JournaledStore::keep_complete_once() {
  if (!registration_ || has_left_) co_return;
  auto looking = look_at_rounds();
  co_await std::move(looking);
  const bool is_stuck = stuck_until_ && parts_.clock->now() < *stuck_until_ && !guard_.open_round();
  // On a disk that is full, too: all that was released is on it, and other nodes wait until the store has it.
  if (!is_silent() && !is_stuck) {
    auto comparing = compare_once();
    const bool stays_stuck = co_await std::move(comparing);
    stuck_pause_ = stays_stuck ? std::clamp(stuck_pause_ * 2, kCompletePause, kLongestCompletePause) : milliseconds(0);
    stuck_until_ = parts_.clock->now() + stuck_pause_;
  }
  if (has_left_) co_return;
  auto settling = guard_.settle(*registration_, reached(), MonotonicTime::max());
  co_await std::move(settling);
}

asio::awaitable<void> JournaledStore::keep_complete(std::shared_ptr<JournaledStore> self) {
  while (!self->closing_->has_come()) {
    const bool is_awaited = self->guard_.holds() || (self->guard_.open_round() && self->stuck_pause_.count() == 0);
    const auto pause = is_awaited ? kRoundPause : kCompletePause;
    auto closing = self->closing_;
    auto waiting = Arrival<Unit>::wait(std::move(closing), *self->parts_.clock, self->parts_.clock->now() + pause);
    const auto is_closing = co_await std::move(waiting);
    if (is_closing) co_return;
    auto keeping = self->keep_complete_once();
    co_await std::move(keeping);
  }
}

// --- the journal

/// Whether it can be written, as far as is known.
bool JournaledStore::is_writable() const {
  return status_.failure.empty() && !is_silent();
}

bool JournaledStore::is_silent() const {
  const auto now = parts_.clock->now();
  return std::ranges::any_of(in_flight_, [&](const Admission& admission) {
    return !admission.written->has_come() && now - admission.begun > kLongestSilence;
  });
}

void JournaledStore::note_outcome(const std::optional<ReleaseJournal::Written>& outcome) {
  if (outcome && *outcome) {
    if (!std::exchange(status_.failure, {}).empty()) tell(News::kWorks, "the journal can be written again");
    return;
  }
  if (outcome && outcome->error().kind == StoreErrorKind::kIncompatible) return;
  auto failure = outcome ? outcome->error().reason : std::string("the disk of the journal does not answer in time");
  if (std::exchange(status_.failure, failure) != failure) tell(News::kFails, failure);
}

asio::awaitable<void> JournaledStore::try_journal(std::shared_ptr<JournaledStore> self, MonotonicTime deadline) {
  if (!self->is_writable()) {
    auto trying = self->parts_.journal->append({});
    auto waiting = Arrival<ReleaseJournal::Written>::wait(std::move(trying), *self->parts_.clock, deadline);
    const auto outcome = co_await std::move(waiting);
    self->note_outcome(outcome);
  }
  if (!self->is_writable() || self->not_taken_up_.empty()) co_return;
  const auto rows = self->not_taken_up_;
  auto appending = self->parts_.journal->append(rows);
  auto waiting = Arrival<ReleaseJournal::Written>::wait(std::move(appending), *self->parts_.clock, deadline);
  const auto outcome = co_await std::move(waiting);
  self->note_outcome(outcome);
  if (outcome && *outcome) self->note_written(rows);
}

void JournaledStore::note_written(const std::vector<JournalEntry>& entries) {
  for (const auto& entry : entries) {
    auto* it = find(entry.key);
    if (!it || it->hash != entry.message_hash) continue;
    it->is_written = true;
    it->has_signature = it->has_signature || entry.signature;
  }
  std::erase_if(not_taken_up_, [this](const JournalEntry& row) {
    const auto* it = find(row.key);
    return !it || it->is_written;
  });
}

asio::awaitable<StoreResult<std::size_t>> JournaledStore::take_up(std::shared_ptr<JournaledStore> self,
                                                                  std::vector<JournalEntry> signed_rows,
                                                                  MonotonicTime deadline) {
  std::vector<DutyKey> keys;
  for (const auto& row : signed_rows) keys.push_back(row.key);
  auto preparing = self->prepare(std::move(keys), deadline);
  auto refusal = co_await std::move(preparing);
  if (refusal) co_return std::unexpected(std::move(*refusal));
  std::erase_if(signed_rows, [&self](const JournalEntry& row) {
    return self->find(row.key) || self->judge(row.key, row.message_hash) != Verdict::kAllowed;
  });
  if (signed_rows.empty()) co_return 0;
  const bool is_new = self->remembered() == 0;
  // Before they are durable, too: they refuse what the store refuses now. What is released on one of them is written
  // again.
  for (auto& row : signed_rows) {
    row.is_settled = true;
    self->remember(row);
    auto& it = self->known(row.key, row.message_hash);
    it.is_written = it.has_signature = false;
  }
  const auto count = signed_rows.size();
  auto appending = self->parts_.journal->append(signed_rows);
  auto waiting = Arrival<ReleaseJournal::Written>::wait(std::move(appending), *self->parts_.clock, deadline);
  const auto outcome = co_await std::move(waiting);
  self->note_outcome(outcome);
  if (!outcome || !*outcome) {
    std::ranges::move(signed_rows, std::back_inserter(self->not_taken_up_));
    co_return std::unexpected(not_writable());
  }
  self->note_written(signed_rows);
  self->tell(News::kTakenUp, std::to_string(count) + " duties that the database has of this node" +
                                 (is_new ? ": the journal is new"
                                         : ": the journal was an old copy, or this node has signed without it"));
  co_return count;
}

/// To be awaited before anything is asked about these duties, with nothing awaited between. Errors: why the store is
/// not to be asked now.
asio::awaitable<std::optional<StoreError>> JournaledStore::prepare(std::vector<DutyKey> keys, MonotonicTime deadline) {
  if (!is_writable() || !not_taken_up_.empty()) {
    auto trying = try_journal(shared_from_this(), deadline);
    co_await std::move(trying);
    if (!is_writable() || !not_taken_up_.empty()) co_return not_writable();
  }
  std::erase_if(keys, [&](const DutyKey& key) {
    const auto memory = memory_.find(key.rollup);
    const bool is_read = memory == memory_.end() || !memory->second.unread || key.slot > *memory->second.unread;
    return is_read || find(key);
  });
  if (keys.empty()) co_return std::nullopt;
  // Until they are judged, nothing that was found in memory may be left to the journal.
  const auto looking = lookup_;
  auto finding = parts_.journal->find(std::move(keys));
  auto waiting = Arrival<ReleaseJournal::Found>::wait(std::move(finding), *parts_.clock, deadline);
  const auto found = co_await std::move(waiting);
  if (!found || !*found) {
    note_outcome(found ? std::optional<ReleaseJournal::Written>(std::unexpected(found->error())) : std::nullopt);
    co_return not_writable();
  }
  for (const auto& [rollup, slot] : (*found)->forgotten) memory_[rollup].forgotten = slot;
  for (const auto& entry : (*found)->entries) remember(entry);
  co_return std::nullopt;
}

/// Its verdict must be kAllowed.
void JournaledStore::enter(Admission& admission, JournalEntry entry) {
  auto& it = known(entry.key, entry.message_hash);
  ++it.pending;
  admission.known.push_back(&it);
  admission.entries.push_back(std::move(entry));
}

void JournaledStore::begin_writing(Admission& admission) {
  std::vector<JournalEntry> unwritten;
  unwritten.reserve(admission.entries.size());
  for (std::size_t i = 0; i < admission.entries.size(); ++i) {
    const auto& entry = admission.entries[i];
    const auto* it = admission.known[i];
    const bool is_written = it->is_written && (!entry.signature || it->has_signature) &&
                            (entry.handed_out.empty() || it->handed_out == entry.handed_out);
    if (!is_written) unwritten.push_back(entry);
  }
  if (unwritten.empty()) return;
  admission.begun = parts_.clock->now();
  admission.written = parts_.journal->append(std::move(unwritten));
  in_flight_.push_back(admission);
}

/// Whether all entries of the admission are durable.
asio::awaitable<bool> JournaledStore::written(Admission& admission, MonotonicTime deadline) {
  if (!admission.written) co_return true;
  auto arrival = admission.written;
  auto waiting = Arrival<ReleaseJournal::Written>::wait(std::move(arrival), *parts_.clock, deadline);
  const auto outcome = co_await std::move(waiting);
  admission.unlink();
  note_outcome(outcome);
  co_return outcome&&* outcome;
}

/// `released`: of each entry, whether it has left this node, or may leave it; then it is durable.
void JournaledStore::settle(Admission& admission, const std::vector<bool>& released) {
  std::vector<JournalEntry> withdrawn;
  for (std::size_t i = 0; i < admission.entries.size(); ++i) {
    auto& entry = admission.entries[i];
    auto* it = admission.known[i];
    HASIGNER_ASSERT(it->pending > 0);
    --it->pending;
    if (released[i]) {
      it->is_released = it->is_written = it->is_settled = true;
      it->has_signature = it->has_signature || entry.signature;
      if (entry.handed_out.empty()) continue;
      it->has_two_callers = it->has_two_callers || (!it->handed_out.empty() && it->handed_out != entry.handed_out);
      it->handed_out = entry.handed_out;
    } else if (it->pending == 0 && !it->is_released) {
      forget(entry.key);
      withdrawn.push_back(std::move(entry));
    }
  }
  if (!withdrawn.empty()) parts_.journal->withdraw(std::move(withdrawn));
  for (auto& [rollup, memory] : memory_) forget_lowest(memory);
}

// --- the store

template <class Kind>
StoreBatch<typename Kind::Outcome> JournaledStore::pass(NodeId node_id, std::vector<typename Kind::Request> requests,
                                                        MonotonicTime deadline) {
  std::vector<DutyKey> keys;
  keys.reserve(requests.size());
  for (const auto& request : requests) keys.push_back(key_of(request));
  auto preparing = prepare(std::move(keys), deadline);
  auto refusal = co_await std::move(preparing);
  if (refusal) co_return std::unexpected(std::move(*refusal));

  std::vector<typename Kind::Outcome> outcomes(requests.size());
  std::vector<std::size_t> allowed;
  std::vector<std::size_t> entered;                      // of the allowed ones
  std::vector<std::pair<std::size_t, DutyKey>> settled;  // of the allowed ones: released, so that they have rows
  std::vector<typename Kind::Request> sent;
  std::vector<std::size_t> handed_out;  // requests whose duties a caller got with another message
  Admission admission;
  allowed.reserve(requests.size());
  entered.reserve(requests.size());
  sent.reserve(requests.size());
  admission.entries.reserve(requests.size());
  admission.known.reserve(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    auto& request = requests[i];
    const auto key = key_of(request);
    const auto* it = find(key);
    const auto verdict = note_reached(key) ? judge(it, key, Kind::hash(request)) : Verdict::kBusy;
    if (verdict != Verdict::kAllowed) {
      if (verdict == Verdict::kContradicts) {
        count_refusal(key);
        if (!it->has_signature) handed_out.push_back(i);
      }
      auto view = verdict == Verdict::kBusy ? DutyView{} : refusing_view(key);
      outcomes[i] = Kind::refused(verdict, request, std::move(view));
      continue;
    }
    if (was_released_signed(it)) settled.emplace_back(sent.size(), key);
    if (auto entry = Kind::entry(request)) {
      enter(admission, std::move(*entry));
      entered.push_back(sent.size());
    }
    allowed.push_back(i);
    sent.push_back(std::move(request));
  }
  if constexpr (requires { outcomes.front().view; }) {
    if (!handed_out.empty()) {
      std::vector<DutyKey> handed_out_keys;
      for (const auto i : handed_out) handed_out_keys.push_back(key_of(requests[i]));
      auto looking = held_by_callers(std::move(handed_out_keys), deadline);
      const auto views = co_await std::move(looking);
      for (const auto i : handed_out) {
        // Without an answer it is not known whether the caller may still give the duty back: ask again.
        if (!views) {
          outcomes[i] = Kind::refused(Verdict::kBusy, requests[i], DutyView{});
        } else if (const auto held = views->find(key_of(requests[i])); held != views->end()) {
          outcomes[i].view = held->second;
        }
      }
    }
  }
  if (sent.empty()) co_return outcomes;

  // Nothing is awaited between this question and the store, which sends the request to no other history.
  if (guard_.holds()) {
    settle(admission, std::vector<bool>(admission.entries.size()));
    // Attempts ask again at once.
    auto waiting = sleep_until(parts_.executor, *parts_.clock, std::min(deadline, parts_.clock->now() + kRoundPause));
    co_await std::move(waiting);
    co_return std::unexpected(guard_.refusal());
  }
  const auto asked_in = epoch();
  begin_writing(admission);
  auto sending = Kind::send(*parts_.store, std::move(node_id), std::move(sent), deadline);
  auto reply = co_await std::move(sending);
  auto writing = written(admission, deadline);
  const bool is_written = co_await std::move(writing);
  // What the history in which it was asked has confirmed may be lost in the one that is there now; and this node may
  // have told the others since that it has compared all that it had released.
  if (reply && !is_same(asked_in, epoch())) reply = std::unexpected(asked_elsewhere());
  if (reply) {
    for (const auto& [i, key] : settled) {
      if (Kind::makes_row((*reply)[i], key)) note_forgotten(key);
    }
  }
  std::vector<bool> released(entered.size());
  for (std::size_t i = 0; reply && is_written && i < entered.size(); ++i) {
    released[i] = Kind::lets_out((*reply)[entered[i]]);
  }
  settle(admission, released);
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  if (!is_written) co_return std::unexpected(not_confirmed());
  for (std::size_t i = 0; i < allowed.size(); ++i) outcomes[allowed[i]] = std::move((*reply)[i]);
  co_return outcomes;
}

/// Of the duties that were only handed out those whose rows still stand for their callers: these may give them back, so
/// an attempt with another message is shown the row, and waits as it does without a journal.
asio::awaitable<StoreResult<std::map<DutyKey, DutyView>>> JournaledStore::held_by_callers(std::vector<DutyKey> keys,
                                                                                          MonotonicTime deadline) {
  std::map<DutyKey, DutyView> held;
  auto looking = parts_.store->look(keys, deadline);
  auto views = co_await std::move(looking);
  if (!views) co_return std::unexpected(std::move(views.error()));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto& view = (*views)[i];
    const auto* it = find(keys[i]);
    const bool stands =
        it && view.row && view.row->status == DutyStatus::kSigning && view.row->message_hash == it->hash;
    if (stands) held[keys[i]] = std::move(view);
  }
  co_return held;
}

StoreBatch<ClaimOutcome> JournaledStore::claim(NodeId node_id, std::vector<DutyClaim> claims, MonotonicTime deadline) {
  return pass<Claiming>(std::move(node_id), std::move(claims), deadline);
}

StoreBatch<SignedClaimOutcome> JournaledStore::claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                                            MonotonicTime deadline) {
  return pass<ClaimingSigned>(std::move(node_id), std::move(claims), deadline);
}

StoreBatch<DutyView> JournaledStore::look(std::vector<DutyKey> keys, MonotonicTime deadline) {
  return parts_.store->look(std::move(keys), deadline);
}

StoreBatch<RowOutcome> JournaledStore::take_over(NodeId node_id, std::vector<Takeover> takeovers,
                                                 MonotonicTime deadline) {
  return pass<TakingOver>(std::move(node_id), std::move(takeovers), deadline);
}

/// A caller of the step API may not have its message's hash any more: then it is that of the journal, or of the row. A
/// record without a hash of either kind matches nothing.
asio::awaitable<StoreResult<std::vector<DutyRecord>>> JournaledStore::with_hashes(std::vector<DutyRecord> records,
                                                                                  MonotonicTime deadline) {
  std::vector<DutyKey> unknown;
  for (auto& record : records) {
    if (record.message_hash) continue;
    if (const auto* it = find(record.key)) {
      record.message_hash = it->hash;
    } else {
      unknown.push_back(record.key);
    }
  }
  if (unknown.empty()) co_return records;
  auto looking = parts_.store->look(unknown, deadline);
  const auto views = co_await std::move(looking);
  if (!views) co_return std::unexpected(views.error());
  for (std::size_t i = 0; i < unknown.size(); ++i) {
    for (auto& record : records) {
      const auto& row = (*views)[i].row;
      if (record.key == unknown[i] && !record.message_hash) {
        record.message_hash = row && row->message_hash ? *row->message_hash : MessageHash{};
      }
    }
  }
  co_return records;
}

StoreBatch<RowOutcome> JournaledStore::record(std::vector<DutyRecord> records, MonotonicTime deadline) {
  auto completing = with_hashes(std::move(records), deadline);
  auto complete = co_await std::move(completing);
  if (!complete) co_return std::unexpected(std::move(complete.error()));
  auto passing = pass<Recording>(parts_.node_id, std::move(*complete), deadline);
  auto outcomes = co_await std::move(passing);
  co_return outcomes;
}

asio::awaitable<StoreResult<ReleaseReply>> JournaledStore::release(std::vector<DutyRelease> releases,
                                                                   MonotonicTime deadline) {
  auto releasing = parts_.store->release(releases, deadline);
  auto reply = co_await std::move(releasing);
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  std::vector<JournalEntry> withdrawn;
  for (std::size_t i = 0; i < releases.size(); ++i) {
    // A caller who gives a duty back while it stands *signing* under its token has let nothing out.
    const auto& [key, token] = releases[i];
    const auto* it = find(key);
    const bool is_given_back = reply->outcomes[i] == RowOutcome::kApplied && it && it->pending == 0 &&
                               it->handed_out == token && !it->has_two_callers && !it->has_signature && !token.empty();
    if (!is_given_back) continue;
    withdrawn.push_back({.key = key, .message_hash = it->hash, .signature = {}});
    forget(key);
  }
  if (!withdrawn.empty()) parts_.journal->withdraw(std::move(withdrawn));
  co_return std::move(*reply);
}

StoreBatch<bool> JournaledStore::confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                                MonotonicTime deadline) {
  return pass<ConfirmingStored>(std::move(node_id), std::move(signatures), deadline);
}

StoreBatch<ClaimedOutcome> JournaledStore::release_claimed(NodeId node_id, std::vector<ClaimedMessage> messages,
                                                           MonotonicTime deadline) {
  auto beginning = prepare({}, deadline);
  auto refusal = co_await std::move(beginning);
  if (refusal) co_return std::unexpected(std::move(*refusal));
  if (guard_.holds()) co_return std::unexpected(guard_.refusal());
  const auto asked_in = epoch();
  auto releasing = parts_.claimed->release_claimed(std::move(node_id), messages, deadline);
  auto reply = co_await std::move(releasing);
  if (!reply) co_return std::unexpected(std::move(reply.error()));
  std::vector<DutyKey> keys;
  for (auto& outcome : *reply) {
    auto* released = std::get_if<Released>(&outcome);
    if (!released) continue;
    std::ranges::transform(released->duties, released->duties.begin(), own_key);
    keys.insert(keys.end(), released->duties.begin(), released->duties.end());
  }
  auto preparing = prepare(std::move(keys), deadline);
  refusal = co_await std::move(preparing);
  if (refusal) co_return std::unexpected(not_confirmed());
  Admission admission;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const auto* released = std::get_if<Released>(&(*reply)[i]);
    if (!released) continue;
    const auto& hash = messages[i].key.message_hash;
    const auto duties = released->duties;
    const auto signature = released->signature;
    const auto refused = std::ranges::find_if(
        duties, [&](const DutyKey& key) { return judge(key, hash) != Verdict::kAllowed || !note_reached(key); });
    if (refused != duties.end()) {
      (*reply)[i] = refused_claimed(*refused, hash);
      continue;
    }
    // Without a signature nothing leaves: a remote signer is asked for one next.
    if (!signature) continue;
    for (const auto& key : duties) enter(admission, {.key = key, .message_hash = hash, .signature = *signature});
  }
  begin_writing(admission);
  auto writing = written(admission, deadline);
  const bool is_written = co_await std::move(writing);
  const bool is_current = is_same(asked_in, epoch());
  settle(admission, std::vector<bool>(admission.entries.size(), is_written && is_current));
  if (!is_current) co_return std::unexpected(asked_elsewhere());
  if (!is_written) co_return std::unexpected(not_confirmed());
  co_return std::move(*reply);
}

/// How a claimed message is answered that the journal does not allow.
ClaimedOutcome JournaledStore::refused_claimed(const DutyKey& key, const MessageHash& hash) {
  const auto verdict = judge(key, hash);
  if (verdict == Verdict::kBusy || verdict == Verdict::kAllowed) return ClaimLocked{};
  if (verdict == Verdict::kForgotten) {
    return OutsideWatermark{key, OutsideWatermark::Bound::kLow, *memory_.at(key.rollup).forgotten};
  }
  count_refusal(key);
  return SlashingProtection{key, find(key)->hash.to_string(), hash, parts_.node_id.str()};
}

asio::awaitable<StoreResult<std::vector<FoundDuty>>> JournaledStore::about_message(ClaimedMessage message,
                                                                                   MonotonicTime deadline) {
  return parts_.claimed->about_message(std::move(message), deadline);
}

asio::awaitable<StoreResult<RegistrationOutcome>> JournaledStore::register_node(NodeRegistration registration,
                                                                                MonotonicTime deadline) {
  auto registering = parts_.store->register_node(registration, deadline);
  auto outcome = co_await std::move(registering);
  if (!outcome || !outcome->registered) co_return outcome;
  registration_ = std::move(registration);
  has_left_ = false;
  guard_.registered();
  // Where no other node is there, none is waited for. What the deadline cuts off is done soon by keep_complete().
  auto looking = guard_.look(*registration_, deadline);
  co_await std::move(looking);
  auto settling = guard_.settle(*registration_, reached(), deadline);
  co_await std::move(settling);
  co_return outcome;
}

asio::awaitable<StoreResult<bool>> JournaledStore::renew(NodeRegistration registration, MonotonicTime deadline) {
  return parts_.store->renew(std::move(registration), deadline);
}

asio::awaitable<StoreResult<void>> JournaledStore::end_lease(NodeRegistration registration, MonotonicTime deadline) {
  const bool has_all = is_complete_ && in_flight_.empty() && is_same(completed_epoch_, epoch()) && !has_lost_;
  if (parts_.rounds && parts_.rounds->has_rounds() && has_all && !guard_.holds()) {
    has_left_ = true;
    auto leaving = parts_.rounds->leave(registration, deadline);
    const auto left = co_await std::move(leaving);
    (void)left;
  }
  auto ending = parts_.store->end_lease(std::move(registration), deadline);
  auto ended = co_await std::move(ending);
  co_return ended;
}

asio::awaitable<StoreResult<RemovalOutcome>> JournaledStore::remove(RemovalRequest request, MonotonicTime deadline) {
  return parts_.store->remove(std::move(request), deadline);
}

asio::awaitable<void> JournaledStore::close() {
  closing_->set(Unit{});
  auto closing = parts_.store->close();
  co_await std::move(closing);
  parts_.journal->close();
}

}  // namespace hasigner
