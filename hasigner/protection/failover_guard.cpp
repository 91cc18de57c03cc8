#include "hasigner/protection/failover_guard.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace hasigner {

namespace {

constexpr milliseconds kCallTimeout{3'000};
/// How long a node that was alive may take to come to the new server: its connection to the old one and one to a server
/// that does not answer run out (connect_timeout, 5 s without one), and it tries again.
constexpr milliseconds kReconnectsWithin{15'000};
/// How long a node whose lease runs, or whose heartbeat stops, may take to go on.
constexpr milliseconds kGoesOnWithin{5'000};
/// Before nothing is waited for: a node whose registration was lost registers again at its next heartbeat.
constexpr milliseconds kShortestHold{600};
constexpr milliseconds kTellsWaitsEvery{20'000};
/// A node that has been silent for so long before a failover has released nothing lately.
constexpr milliseconds kLongGone{600'000};
constexpr std::size_t kMostNamed = 10;
constexpr std::string_view kMendNoRounds = "run: ha-signer migrate up --database-url URL";

/// Its fields stand between spaces, so what it is made of has none.
std::string history_text(const StoreEpoch& epoch) {
  return epoch.cluster_id + " " + epoch.system_id + " " + std::to_string(epoch.timeline) + " " + epoch.tables;
}

std::string epoch_text(const StoreEpoch& epoch) {
  return history_text(epoch) + " " + epoch.server_started;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kMostNamed; ++i) text += (i > 0 ? ", " : "") + printable(names[i]);
  if (names.size() > kMostNamed) text += " and " + std::to_string(names.size() - kMostNamed) + " more";
  return text;
}

struct GivenUp {
  EthAddress rollup;
  std::optional<EthAddress> validator;  ///< nullopt: every one
  Slot up_to;
};

std::vector<GivenUp> given_up_up_to(const ReachedSlots& slots) {
  std::vector<GivenUp> given_up;
  for (const auto& [rollup, slot] : slots.near) given_up.push_back({rollup, std::nullopt, slot});
  for (const auto& [duties, slot] : slots.far) {
    const auto& [rollup, validator] = duties;
    const auto near = slots.near.find(rollup);
    if (near == slots.near.end() || near->second < slot) given_up.push_back({rollup, validator, slot});
  }
  return given_up;
}

std::string waits_text(const std::vector<std::string>& awaited, const std::set<std::string>& there) {
  std::vector<std::string> nodes;
  for (std::size_t i = 0; i < awaited.size() && i < kMostNamed; ++i) {
    const bool is_there = there.contains(awaited[i]);
    nodes.push_back(awaited[i] +
                    (is_there ? " (alive, but has not found or written back all of its journal: its /readyz and "
                                "log say why)"
                              : " (has not come to this server yet)"));
  }
  return joined(nodes) + (awaited.size() > kMostNamed ? " and more" : "");
}

std::string no_rounds() {
  return "the database has no place for what nodes tell each other, and the one in which this node worked had: it was "
         "restored from before, or is another one; " +
         std::string(kMendNoRounds);
}

/// What was cleared and what is now, as a sentence for a person.
std::string difference(const std::string& before, const StoreEpoch& now) {
  if (before.empty()) return "this node's journal has not been compared with a database before";
  if (!before.starts_with(history_text(now) + " ")) {
    return "another database, server or timeline answers: " + history_text(now) +
           " (cluster id, system id, timeline, tables)";
  }
  return "the database server was started anew";
}

}  // namespace

FailoverGuard::FailoverGuard(Parts parts, std::string remembered)
    : parts_(std::move(parts)), remembered_(std::move(remembered)) {
  auto memory = GuardMemory::parse(remembered_);
  cleared_in_ = std::move(memory.cleared_in);
  alive_ = std::move(memory.alive);
  listed_ = std::move(memory.listed);
  highest_ = std::move(memory.slots);
  const auto epoch = parts_.store->epoch();
  const auto loss_at = cleared_in_.rfind(' ');
  if (!epoch || loss_at == std::string::npos) return;
  std::from_chars(cleared_in_.data() + loss_at + 1, cleared_in_.data() + cleared_in_.size(), cleared_loss_);
  if (cleared_in_.substr(0, loss_at) == epoch_text(*epoch)) {
    cleared_epoch_ = epoch;
  } else {
    cleared_loss_ = 0;
  }
}

bool FailoverGuard::is_active() const {
  return parts_.rounds && parts_.rounds->has_rounds();
}

/// A backup from before the tables had a place for rounds has taken the place of a database that had one.
bool FailoverGuard::has_lost_rounds() const {
  return parts_.rounds && !parts_.rounds->has_rounds() && !cleared_in_.empty();
}

void FailoverGuard::note_no_rounds() {
  if (!parts_.rounds) return;
  if (!has_lost_rounds()) {
    if (!std::exchange(has_told_unsupported_, true)) parts_.tell(News::kUnsupported, std::string(kMendNoRounds));
    return;
  }
  cleared_epoch_ = nullptr;
  has_seen_no_rounds_ = true;
  if (std::exchange(has_told_no_rounds_, true)) return;
  ++holds_begun_;
  parts_.tell(News::kHolds, no_rounds());
}

bool FailoverGuard::is_in(const std::shared_ptr<const StoreEpoch>& epoch) const {
  const auto now = parts_.store->epoch();
  return now && epoch && (now == epoch || *now == *epoch);
}

bool FailoverGuard::holds() const {
  if (has_lost_rounds()) return true;
  return is_active() && (!is_in(cleared_epoch_) || !is_known_);
}

GuardStatus FailoverGuard::status() const {
  GuardStatus status{.holds = holds(), .why = {}, .waits_for = {}, .obstacle = obstacle_, .holds_begun = holds_begun_};
  if (has_lost_rounds()) status.why = no_rounds();
  if (!is_active() || !status.holds || !hold_) return status;
  status.why = hold_->why;
  if (!read_in_) return status;
  const auto left = missing();
  status.waits_for = left.awaited;
  status.waits = waits_text(left.awaited, left.there);
  return status;
}

StoreError FailoverGuard::refusal() const {
  const auto now = status();
  std::string reason = "this node waits until all nodes have compared their journals with the database";
  if (!now.why.empty()) reason += ", since " + now.why;
  if (!now.waits_for.empty()) reason += "; it waits for " + joined(now.waits_for);
  return {StoreErrorKind::kUnavailable, std::move(reason)};
}

bool FailoverGuard::fails(const StoreError& error) {
  obstacle_ = error.reason;
  read_in_ = nullptr;
  return true;
}

MonotonicTime FailoverGuard::call_until(MonotonicTime deadline) const {
  return std::min(deadline, parts_.clock->now() + kCallTimeout);
}

void FailoverGuard::begin_hold() {
  const auto epoch = parts_.store->epoch();
  Hold hold{.epoch = epoch,
            .begun = parts_.clock->now(),
            .expected = alive_,
            .listed = listed_,
            .why = difference(cleared_in_, *epoch)};
  hold.is_first = cleared_in_.empty();
  const bool is_moved = !cleared_in_.starts_with(history_text(*epoch) + " ");
  hold.is_other_history = !hold.is_first && (is_moved || has_seen_no_rounds_);
  const bool is_loss = !has_seen_no_rounds_ && epoch_text(*epoch) == cleared_in_.substr(0, cleared_in_.rfind(' '));
  if (has_seen_no_rounds_) hold.why = "the database had no place for what nodes tell each other until now";
  if (is_loss) hold.why = "a node has found that the database has lost what it had released";
  cleared_epoch_ = nullptr;
  // What was waited for in a history that has been replaced in its turn is still not known.
  if (hold_) {
    hold.expected.insert(hold_->expected.begin(), hold_->expected.end());
    hold.listed.insert(hold_->listed.begin(), hold_->listed.end());
    hold.is_other_history =
        hold.is_other_history || hold_->is_other_history || history_text(*hold_->epoch) != history_text(*epoch);
    hold.has_lost_own = hold_->has_lost_own;
  } else {
    ++holds_begun_;
    parts_.tell(News::kHolds, hold.why);
  }
  hold_ = std::move(hold);
}

asio::awaitable<void> FailoverGuard::look(NodeRegistration self, MonotonicTime deadline) {
  if (!is_active()) {
    note_no_rounds();
    co_return;
  }
  const auto epoch = parts_.store->epoch();
  if (!epoch) co_return;
  // Numbers of rounds go back with the history.
  if (!counted_in_ || *counted_in_ != *epoch) {
    counted_in_ = epoch;
    round_ = loss_ = completed_ = told_completed_ = own_loss_ = 0;
    told_slots_.reset();
    is_known_ = false;
  }
  if (!is_in(cleared_epoch_) && (!hold_ || *hold_->epoch != *epoch)) begin_hold();
  if (hold_ && hold_->round == 0 && hold_->is_first) {
    // Before the round says that this incarnation keeps a journal.
    auto reading = read_nodes(epoch, deadline);
    const bool is_read = co_await std::move(reading);
    if (!is_read || !hold_) co_return;
    for (const auto& node : nodes_) {
      if (node.node_id == parts_.node_id.str() && !node.keeps_journal) hold_->has_lost_own = true;
    }
  }
  if (hold_ && hold_->round == 0) {
    auto beginning = parts_.rounds->begin_round(self, JournalRounds::Why::kOtherHistory, call_until(deadline));
    const auto round = co_await std::move(beginning);
    if (!round && fails(round.error())) co_return;
    if (!is_in(epoch) || !hold_) co_return;
    hold_->round = *round;
  }
  auto reading = read_nodes(epoch, deadline);
  const bool is_read = co_await std::move(reading);
  if (!is_read) co_return;
  if (!hold_ && loss_ > cleared_loss_) {
    begin_hold();
    hold_->round = loss_;
  }
}

asio::awaitable<bool> FailoverGuard::read_nodes(std::shared_ptr<const StoreEpoch> epoch, MonotonicTime deadline) {
  auto reading = parts_.rounds->journaled_nodes(call_until(deadline));
  auto nodes = co_await std::move(reading);
  if (!nodes && fails(nodes.error())) co_return false;
  if (!is_in(epoch)) {
    read_in_ = nullptr;
    co_return false;
  }
  nodes_ = std::move(*nodes);
  read_in_ = epoch;
  obstacle_.clear();
  note_nodes();
  keep();
  co_return true;
}

void FailoverGuard::note_nodes() {
  bool is_listed = false;
  const auto now = parts_.clock->now();
  alive_.clear();
  listed_.clear();
  for (const auto& node : nodes_) {
    round_ = std::max(round_, node.asked);
    loss_ = std::max(loss_, node.lost);
    highest_.add(node.slots);
    if (node.node_id == parts_.node_id.str()) {
      is_listed = node.keeps_journal;
      continue;
    }
    const auto [seen, is_new] = seen_.try_emplace(node.node_id, Seen{node.heartbeat, now});
    if (!is_new && seen->second.heartbeat != node.heartbeat) seen->second = {node.heartbeat, now};
    listed_.insert(node.node_id);
    if (node.is_alive && node.keeps_journal) alive_.insert(node.node_id);
  }
  if (is_listed || !is_known_) return;
  // Others have given this node up while it was silent, and would not wait for it.
  told_slots_.reset();
  is_known_ = false;
}

/// A node that is started anew while it holds waits for those that it waits for now.
void FailoverGuard::keep() {
  GuardMemory memory{.cleared_in = cleared_in_, .alive = alive_, .listed = listed_, .slots = highest_};
  if (hold_) {
    memory.alive.insert(hold_->expected.begin(), hold_->expected.end());
    memory.listed.insert(hold_->listed.begin(), hold_->listed.end());
  }
  auto text = memory.text();
  if (text == remembered_) return;
  remembered_ = std::move(text);
  parts_.remember(remembered_);
}

std::optional<std::uint64_t> FailoverGuard::open_round() const {
  if (!is_active() || !is_in(read_in_) || round_ <= completed_) return std::nullopt;
  return round_;
}

void FailoverGuard::complete(std::uint64_t round) {
  if (is_in(read_in_)) completed_ = std::max(completed_, round);
}

asio::awaitable<bool> FailoverGuard::note_loss(NodeRegistration self) {
  if (!is_active() || own_loss_ > completed_) co_return true;
  if (!is_in(counted_in_)) co_return false;
  const auto epoch = parts_.store->epoch();
  auto beginning = parts_.rounds->begin_round(self, JournalRounds::Why::kLoss, parts_.clock->now() + kCallTimeout);
  const auto round = co_await std::move(beginning);
  if (!round && fails(round.error())) co_return false;
  if (!is_in(epoch)) co_return false;
  own_loss_ = *round;
  round_ = std::max(round_, *round);
  loss_ = std::max(loss_, *round);
  if (hold_) co_return true;
  begin_hold();
  hold_->round = *round;
  co_return true;
}

/// A node lives whose heartbeat changes; before that is seen, one that was alive, or whose lease runs.
FailoverGuard::Missing FailoverGuard::missing() const {
  Missing found;
  const auto now = parts_.clock->now();
  const bool may_go_on = now < hold_->begun + kGoesOnWithin;
  const bool may_reconnect = now < hold_->begun + kReconnectsWithin;
  const auto needed = std::max(hold_->round, loss_);
  auto expected = hold_->expected;
  auto unlisted = hold_->is_other_history ? hold_->listed : std::set<std::string>();
  for (const auto& node : nodes_) {
    const bool was_expected = expected.erase(node.node_id) > 0;
    unlisted.erase(node.node_id);
    if (node.node_id == parts_.node_id.str() || node.completed >= needed) continue;
    const auto& seen = seen_.at(node.node_id);
    const bool moves = node.keeps_journal && seen.changed_at > hold_->begun && now < seen.changed_at + kGoesOnWithin;
    const bool is_awaited = moves || (may_go_on && node.is_alive) || (may_reconnect && was_expected);
    const bool was_long_gone = !was_expected && now > seen.changed_at + kLongGone;
    if (is_awaited) {
      found.awaited.push_back(node.node_id);
      if (moves) found.there.insert(node.node_id);
    } else if (!was_long_gone || loss_ >= hold_->round) {
      found.gone.push_back(node.node_id);
    }
  }
  for (const auto& node_id : expected) {
    (may_reconnect ? found.awaited : found.gone).push_back(node_id);
    unlisted.erase(node_id);
  }
  found.gone.insert(found.gone.end(), unlisted.begin(), unlisted.end());
  return found;
}

asio::awaitable<bool> FailoverGuard::forbid(std::vector<std::string> gone, MonotonicTime deadline) {
  const std::vector<DutyType> types(kProtectedDutyTypes.begin(), kProtectedDutyTypes.end());
  std::string slots;
  for (const auto& [rollup, validator, slot] : given_up_up_to(highest_)) {
    auto forbidding = parts_.rounds->forbid_up_to(rollup, validator, types, slot,
                                                  std::min(deadline, parts_.clock->now() + 2 * kCallTimeout));
    const auto done = co_await std::move(forbidding);
    if (!done && fails(done.error())) co_return false;
    slots += (slots.empty() ? "" : ", ") + ("slot " + slot.to_string() + " of rollup " + rollup.to_string()) +
             (validator ? " for validator " + validator->to_string() : "");
  }
  auto giving_up = parts_.rounds->give_up(gone, call_until(deadline));
  const auto given_up = co_await std::move(giving_up);
  if (!given_up && fails(given_up.error())) co_return false;
  if (!slots.empty()) {
    parts_.tell(News::kForbids, "refused from now on: everything up to " + slots +
                                    ", since what these nodes had released is not known: " + joined(gone));
  }
  co_return true;
}

asio::awaitable<void> FailoverGuard::settle(NodeRegistration self, ReachedSlots slots, MonotonicTime deadline) {
  highest_.add(slots);
  if (!is_active() || !is_in(read_in_)) co_return;
  keep();
  if (hold_ && hold_->has_lost_own) {
    // Before others are told that this node has compared a journal, which is another one.
    const auto epoch = hold_->epoch;
    auto forbidding = forbid({parts_.node_id.str()}, deadline);
    const bool is_forbidden = co_await std::move(forbidding);
    if (!is_forbidden || !is_in(epoch) || !is_in(read_in_)) co_return;
    if (hold_) hold_->has_lost_own = false;
  }
  if (completed_ != told_completed_ || slots != told_slots_) {
    const auto completed = completed_;
    const auto epoch = parts_.store->epoch();
    auto telling = parts_.rounds->tell(self, completed, slots, call_until(deadline));
    const auto told = co_await std::move(telling);
    if (!told && fails(told.error())) co_return;
    if (!is_in(epoch)) co_return;
    told_completed_ = completed;
    told_slots_ = std::move(slots);
    is_known_ = true;
  }
  if (!hold_ || !is_in(read_in_) || !is_in(hold_->epoch) || hold_->round == 0) co_return;
  const auto now = parts_.clock->now();
  const bool has_moved = !hold_->is_first || hold_->is_other_history;
  if (has_moved && loss_ < hold_->round && now < hold_->begun + kShortestHold) co_return;
  const auto left = missing();
  if (!left.awaited.empty()) {
    tell_waits(left);
    co_return;
  }
  const auto epoch = hold_->epoch;
  // A new journal does not know whether the history is another one.
  const bool may_have_lost = hold_->is_other_history || hold_->is_first || loss_ >= hold_->round;
  if (!left.gone.empty() && may_have_lost) {
    auto forbidding = forbid(left.gone, deadline);
    const auto round = hold_->round;
    const auto loss = loss_;
    const bool is_forbidden = co_await std::move(forbidding);
    // What was found lost meanwhile is waited for, whether it has begun another hold or not.
    if (!is_forbidden || !is_in(epoch) || !hold_ || hold_->round != round || loss_ != loss) co_return;
  }
  const auto took = std::chrono::duration_cast<milliseconds>(parts_.clock->now() - hold_->begun);
  clear(epoch);
  parts_.tell(News::kCleared, "after " + std::to_string(took.count()) + " ms");
}

void FailoverGuard::tell_waits(const Missing& missing) {
  const auto now = parts_.clock->now();
  if (now < std::max(hold_->begun, hold_->told_waits_at) + kTellsWaitsEvery) return;
  hold_->told_waits_at = now;
  const auto took = std::chrono::duration_cast<std::chrono::seconds>(now - hold_->begun);
  parts_.tell(News::kWaits,
              "for " + std::to_string(took.count()) + " s: " + waits_text(missing.awaited, missing.there));
}

void FailoverGuard::clear(const std::shared_ptr<const StoreEpoch>& epoch) {
  cleared_epoch_ = epoch;
  cleared_loss_ = loss_;
  cleared_in_ = epoch_text(*epoch) + " " + std::to_string(loss_);
  hold_.reset();
  has_told_no_rounds_ = has_seen_no_rounds_ = false;
  keep();
}

bool FailoverGuard::release(const std::string& by) {
  const auto epoch = parts_.store->epoch();
  if (!holds() || !epoch) return false;
  if (has_lost_rounds()) {
    // As a journal that has never been cleared, in a database whose nodes do not wait for each other.
    cleared_in_.clear();
    hold_.reset();
    keep();
    parts_.tell(News::kReleased, by);
    return true;
  }
  if (!is_in(counted_in_)) loss_ = 0;
  is_known_ = true;
  clear(epoch);
  parts_.tell(News::kReleased, by);
  return true;
}

}  // namespace hasigner
