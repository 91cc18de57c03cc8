#include "hasigner/protection/attempt/explore.hpp"

#include <deque>
#include <set>

namespace hasigner::attempt::test {

namespace {

const SignerConfig& config() {
  static const SignerConfig kConfig{.node_id = *NodeId::parse("node-1"), .rollup = {}};
  return kConfig;
}

DutyRow row(DutyStatus status, MessageHash hash, LockToken token, HolderState holder = HolderState::kUnfenced) {
  DutyRow r{.status = status,
            .message_hash = hash,
            .signature = {},
            .node_id = "other",
            .lock_token = std::move(token),
            .holder = holder};
  if (status == DutyStatus::kSigned) r.signature = kStoredSignature;
  return r;
}

/// What tells states apart for what can follow from them; times count only as passed or not.
struct KeyOf {
  std::string key;

  void add(const std::string& part) { key += part + ";"; }
  void add(Traces traces) {
    std::ranges::sort(traces, {}, [](const Trace& t) { return std::pair(t.token, t.origin); });
    for (const auto& t : traces) {
      add(t.token.str() + std::to_string(static_cast<int>(t.origin)) + std::to_string(static_cast<int>(t.presence)));
    }
  }
  void add(MonotonicTime time) { add(std::to_string(time.time_since_epoch().count())); }
  void add(const Pursuit& p) {
    add(std::to_string(p.hand.index()));
    if (const auto* lost = std::get_if<SignedAndLost>(&p.hand)) add(std::to_string(static_cast<int>(lost->doubt)));
    add(p.traces);
    if (p.seen) add("seen " + p.seen->token.str());
    if (p.seen) add(std::min(p.seen->since, kPeerTimedOut));
    if (p.replaced_by) add("replaced by " + p.replaced_by->str());
  }
  void add(const RecordTry& r) {
    add(r.token.str() + std::to_string(static_cast<int>(r.doubt)) + std::to_string(r.fruitless));
    add(r.traces);
  }

  void operator()(const auto& state) {
    if constexpr (requires { state.pursuit; }) add(state.pursuit);
    if constexpr (requires { state.record; }) add(state.record);
    if constexpr (requires { state.traces; }) add(state.traces);
    if constexpr (requires { state.token; }) add(state.token.str());
    if constexpr (requires { state.retry; }) add(std::to_string(static_cast<int>(state.retry)));
    if constexpr (requires { state.at; }) add(std::to_string(state.at) + std::to_string(state.when.index()));
    if constexpr (requires { state.request; }) add(state.request.token.str() + state.request.seen.str());
    if constexpr (requires { state.next; }) {
      add(std::to_string(state.next.index()));
      if (const auto* next = std::get_if<AwaitingLease::TakeOver>(&state.next)) {
        add(std::to_string(static_cast<int>(next->kind)) + next->seen.str());
      }
    }
  }
};

/// Says of an action whether the event may answer it.
struct Answers {
  const Event& event;
  [[nodiscard]] bool no_answer() const {
    return std::holds_alternative<TimeUp>(event) || std::holds_alternative<Stopped>(event);
  }
  template <class Answered>
  [[nodiscard]] bool store() const {
    return std::holds_alternative<Answered>(event) || std::holds_alternative<StoreFailed>(event) || no_answer();
  }
  bool operator()(const JoinQueue&) const { return std::holds_alternative<TurnCame>(event) || no_answer(); }
  bool operator()(const EnsureLease&) const {
    return std::holds_alternative<LeaseHeld>(event) || std::holds_alternative<LeaseRefused>(event) ||
           std::holds_alternative<LeaseNotRenewed>(event);
  }
  bool operator()(const AwaitHeartbeat&) const { return (*this)(EnsureLease{}) || no_answer(); }
  bool operator()(const Sign&) const {
    return std::holds_alternative<SignatureMade>(event) || std::holds_alternative<SigningFailed>(event) || no_answer();
  }
  bool operator()(const SendClaim&) const { return store<ClaimAnswered>(); }
  bool operator()(const SendSignedClaim&) const { return store<SignedClaimAnswered>(); }
  bool operator()(const SendLook&) const { return store<ViewAnswered>(); }
  bool operator()(const SendTakeover&) const { return store<TakeoverAnswered>(); }
  bool operator()(const SendRecord&) const { return store<RecordAnswered>(); }
  bool operator()(const ConfirmStored&) const { return store<StoredConfirmed>(); }
  bool operator()(const SendRelease&) const { return store<ReleaseAnswered>(); }
  bool operator()(const AwaitInFlight&) const { return std::holds_alternative<InFlightEnded>(event) || no_answer(); }
  bool operator()(const Pause&) const { return no_answer(); }
  bool operator()(const Finish&) const { return std::holds_alternative<Delivered>(event); }
  bool operator()(const End&) const { return false; }
};

std::string key_of(const State& state, const Action& action) {
  KeyOf key;
  key.add(std::to_string(state.index()) + "/" + std::to_string(action.index()));
  std::visit(key, state);
  return key.key;
}

}  // namespace

std::vector<Facts> all_facts() {
  std::vector<Facts> all;
  for (const auto purpose : {Purpose::kSign, Purpose::kSignFirst, Purpose::kSignUnprotected, Purpose::kClaimForCaller,
                             Purpose::kRecordForCaller, Purpose::kReleaseForCaller}) {
    const bool for_caller = purpose >= Purpose::kClaimForCaller;
    for (const StoreCapabilities& store : {StoreCapabilities{}, StoreCapabilities{.take_over = false},
                                           StoreCapabilities{.same_token_retry = false, .take_over = false}}) {
      all.push_back({.purpose = purpose,
                     .duty = {.key = {.slot = *Slot::from(100)}, .message_hash = kOwnHash},
                     .token = for_caller ? kHandedOutToken : kClaimToken,
                     .store = store,
                     .deadline = kStart + config().attempt_timeout,
                     .config = config()});
    }
  }
  auto taken_over = all.back();
  taken_over.token = kTakeoverToken;
  all.push_back(std::move(taken_over));
  return all;
}

std::vector<DutyView> all_views() {
  std::vector<DutyView> views{{}};
  const auto add = [&](DutyRow found) { views.push_back({.row = std::move(found), .alias = {}, .watermarks = {}}); };
  for (const auto& token : {kClaimToken, kHandedOutToken, kReplacementToken, kTakeoverToken, kForeign}) {
    add(row(DutyStatus::kSigning, kOwnHash, token, HolderState::kAlive));
  }
  for (const auto& hash : {kOwnHash, kOtherHash}) {
    for (const auto holder : {HolderState::kUnfenced, HolderState::kAlive, HolderState::kExpired}) {
      add(row(DutyStatus::kSigning, hash, kOther, holder));
    }
    add(row(DutyStatus::kSigned, hash, kOther));
  }
  add(row(DutyStatus::kSigned, kOwnHash, kClaimToken));
  // No row, a row of ours, a signed row: also with what refuses.
  for (const std::size_t with_refusal : {std::size_t{0}, std::size_t{1}, std::size_t{2}, views.size() - 1}) {
    views.push_back(views[with_refusal]);
    views.back().watermarks.low = *Slot::from(100);
    views.push_back(views[with_refusal]);
    views.back().alias = row(DutyStatus::kSigned, kOtherHash, kOther);
    views.push_back(views[with_refusal]);
    views.back().released = DutyView::ReleasedMessage{kOtherHash, kOtherHash, std::nullopt, "serve-1"};
  }
  return views;
}

const std::vector<Event>& all_events() {
  static const std::vector<Event> kAll = [] {
    std::vector<Event> all{Begun{},
                           TurnCame{},
                           LeaseHeld{},
                           LeaseRefused{NotRunning{}},
                           LeaseRefused{Unavailable{"gone"}},
                           LeaseNotRenewed{"no answer"},
                           SignatureMade{kOwnSignature},
                           SigningFailed{"no key"},
                           InFlightEnded{},
                           Delivered{},
                           TimeUp{},
                           Stopped{}};
    for (const auto& view : all_views()) {
      all.push_back(ViewAnswered{view});
      for (const auto& token : {kClaimToken, kHandedOutToken, kForeign, LockToken{}}) {
        all.push_back(ClaimAnswered{claim_outcome(token, view)});
      }
      all.push_back(SignedClaimAnswered{{.outcome = RowOutcome::kNotMatched, .view = view}});
    }
    all.push_back(ClaimAnswered{{.outcome = RowOutcome::kLocked, .token = kClaimToken, .view = {}}});
    for (const auto outcome : {RowOutcome::kApplied, RowOutcome::kNotMatched, RowOutcome::kLocked}) {
      if (outcome != RowOutcome::kNotMatched) all.push_back(SignedClaimAnswered{{.outcome = outcome, .view = {}}});
      all.push_back(TakeoverAnswered{outcome});
      all.push_back(RecordAnswered{outcome});
      for (const bool settled : {true, false}) all.push_back(ReleaseAnswered{{outcome, settled}});
    }
    for (const bool confirmed : {true, false}) all.push_back(StoredConfirmed{confirmed});
    for (const auto kind : {StoreErrorKind::kUnavailable, StoreErrorKind::kInDoubt, StoreErrorKind::kIncompatible}) {
      all.push_back(StoreFailed{{kind, "the store failed"}});
    }
    return all;
  }();
  return kAll;
}

LockToken new_token(TokenKind kind) {
  switch (kind) {
    case TokenKind::kFenced: return kReplacementToken;
    case TokenKind::kTakenOver: return kTakeoverToken;
    case TokenKind::kHandedOut: return kHandedOutToken;
  }
  return {};
}

bool may_answer(const Action& action, const Event& event) {
  return std::visit(Answers{event}, action);
}

void explore(const std::function<void(const Edge&)>& visit,
             const std::function<void(const State&, const Event&)>& unexpected) {
  const std::function<LockToken(TokenKind)> draw = new_token;
  for (const Facts& facts : all_facts()) {
    struct Reached {
      State state;
      Action action;
    };
    std::deque<Reached> to_visit;
    std::set<std::string> known;
    std::set<std::pair<std::size_t, std::size_t>> pairs;  // for which it is known whether they are unexpected
    const auto reach = [&](const State& state, const Action& action) {
      if (known.insert(key_of(state, action)).second) to_visit.push_back({state, action});
    };
    const Event first =
        facts.purpose == Purpose::kRecordForCaller ? Event(SignatureMade{kOwnSignature}) : Event(Begun{});
    const Moment beginning{.now = kStart, .stop = StopLevel::kRunning, .new_token = draw};
    if (unexpected) {
      for (const Event& event : all_events()) {
        if (!transition(facts, New{}, event, beginning)) unexpected(New{}, event);
      }
    }
    const State fresh = New{};
    for (const auto now : {kStart, kOver}) {
      const Moment moment{.now = now, .stop = StopLevel::kRunning, .new_token = draw};
      const auto begun = transition(facts, fresh, first, moment);
      visit({facts, fresh, first, moment, begun.value()});
      reach(begun->state, begun->action);
    }
    while (!to_visit.empty()) {
      const Reached reached = std::move(to_visit.front());
      to_visit.pop_front();
      for (const Event& event : all_events()) {
        if (!may_answer(reached.action, event)) {
          if (unexpected && pairs.emplace(reached.state.index(), event.index()).second &&
              !transition(facts, reached.state, event, beginning)) {
            unexpected(reached.state, event);
          }
          continue;
        }
        for (const auto now : {kStart, kPeerTimedOut, kOver}) {
          for (const auto stop : {StopLevel::kRunning, StopLevel::kStopping, StopLevel::kClosed}) {
            const Moment moment{.now = now, .stop = stop, .new_token = draw};
            auto step = transition(facts, reached.state, event, moment);
            if (!step) {
              if (unexpected) unexpected(reached.state, event);
              continue;
            }
            visit({facts, reached.state, event, moment, *step});
            reach(step->state, step->action);
            if (!std::holds_alternative<Unsettled>(step->state)) continue;
            const Moment crowded{.now = now, .stop = stop, .new_token = draw, .may_settle_later = false};
            step = transition(facts, reached.state, event, crowded);
            visit({facts, reached.state, event, crowded, *step});
            reach(step->state, step->action);
          }
        }
      }
    }
  }
}

}  // namespace hasigner::attempt::test
