#include "hasigner/protection/attempt/transition.hpp"

#include <algorithm>

#include "hasigner/duty/assert.hpp"
#include "hasigner/protection/attempt/decide.hpp"

namespace hasigner::attempt {

namespace {

/// Another node's signing is looked at in this rhythm at first, all waiting attempts of the node together.
constexpr milliseconds kFirstLookPause{4};
constexpr milliseconds kEagerPeriod{200};
constexpr milliseconds kFirstStorePause{10};
constexpr milliseconds kLongestStorePause{500};
constexpr milliseconds kPauseAfterFailedTakeover{20};
constexpr milliseconds kPauseAfterMissedTakeover{5};
constexpr milliseconds kFirstSettlePause{50};
constexpr milliseconds kReleaseBeforeAnswer{1'000};
/// So many records may match nothing while the row stays ours and nothing forbids it. Their pauses add up to a third of
/// a second, in which a pooler can come back to the right server.
constexpr int kMostFruitlessRecords = 5;

constexpr std::string_view kLockLost = "another attempt replaced or removed its row";
constexpr std::string_view kNoAnswer = "no answer in time";
constexpr std::string_view kRowLocked = "the row stayed locked by another session";
constexpr std::string_view kFruitless =
    "the row is still held, but the database does not accept the record: its table was made anew, or a former primary "
    "answers";

milliseconds longer(milliseconds pause) {
  return std::min(pause * 2, kLongestStorePause);
}

/// The row under this token was asked for by this kind of request.
void note(Traces& traces, const LockToken& token, Origin origin, Presence presence) {
  const auto known =
      std::ranges::find_if(traces, [&](const Trace& t) { return t.token == token && t.origin == origin; });
  if (known == traces.end()) return traces.push_back({token, origin, presence});
  // A request without an answer may still be carried out after the row was seen.
  if (known->presence != Presence::kUnknown) known->presence = presence;
}

/// A claim and a replacement are released. Not so a row that was taken over with the same data, since an earlier holder
/// may have released that signature already; nor a signed row.
bool is_releasable(const Trace& trace) {
  switch (trace.origin) {
    case Origin::kClaim:
    case Origin::kReplacement: return true;
    case Origin::kSameData:
    case Origin::kSignedClaim: return false;
  }
  HASIGNER_ASSERT(false);
}

bool may_be_signed(const Traces& traces) {
  return std::ranges::any_of(traces, [](const Trace& trace) { return trace.origin == Origin::kSignedClaim; });
}

/// Of a signature that exists before the duty is held.
const Signature* signature_in(const Hand& hand) {
  if (const auto* first = std::get_if<SignedFirst>(&hand)) return &first->signature;
  if (const auto* lost = std::get_if<SignedAndLost>(&hand)) return &lost->signature;
  return nullptr;
}

RecordDoubt doubt_of(const Hand& hand) {
  const auto* lost = std::get_if<SignedAndLost>(&hand);
  return lost ? lost->doubt : RecordDoubt::kNone;
}

class Machine {
 public:
  using Result = std::optional<Step>;

  Machine(const Facts& facts, const Moment& moment) : facts_(facts), moment_(moment) {}

  // ---- Beginning

  Result operator()(New&, Begun&) {
    switch (facts_.purpose) {
      case Purpose::kSign:
      case Purpose::kSignFirst:
      case Purpose::kClaimForCaller:
        return Step{.state = Queued{},
                    .action = JoinQueue{},
                    .until = sooner(facts_.config.peer_signing_timeout),
                    .stopped_by = StopLevel::kStopping};
      case Purpose::kSignUnprotected: return sign_first();
      case Purpose::kRecordForCaller: return std::nullopt;
      case Purpose::kReleaseForCaller:
        // A row that was taken over stays, also when its caller gives it up: an earlier holder may still release that
        // data.
        if (facts_.token.kind() == TokenKind::kTakenOver) return answer(Released{.was_there = false});
        return Step{.state = ReleasingForCaller{}, .action = SendRelease{facts_.token}, .until = facts_.deadline};
    }
    HASIGNER_ASSERT(false);
  }
  Result operator()(New&, SignatureMade& event) {
    if (facts_.purpose != Purpose::kRecordForCaller) return std::nullopt;
    return record(RecordTry{.token = facts_.token, .signature = event.signature, .traces = {}});
  }

  Result operator()(Queued&, TurnCame&) {
    if (facts_.purpose == Purpose::kSignFirst) return sign_first();
    return claim(Pursuit{});
  }
  Result operator()(Queued&, TimeUp&) {
    return refuse({}, DutyAlreadySigned{facts_.duty.key, std::string(kUnknownTimeout), std::nullopt});
  }
  Result operator()(Queued&, Stopped&) { return refuse({}, NotRunning{}); }

  // ---- Signing

  Result operator()(SigningFirst&, SignatureMade& event) {
    if (facts_.purpose == Purpose::kSignUnprotected) return answer(event.signature);
    return claim_signed(Pursuit{.hand = SignedFirst{event.signature}});
  }
  Result operator()(SigningFirst&, SigningFailed& event) { return refuse({}, SignFunctionFailed{event.cause}); }
  Result operator()(SigningFirst& state, TimeUp&) { return refuse({}, timed_out(state.since)); }
  Result operator()(SigningFirst&, Stopped&) { return refuse({}, NotRunning{}); }

  Result operator()(Signing& state, SignatureMade& event) {
    return record(RecordTry{.token = state.token, .signature = event.signature, .traces = std::move(state.traces)});
  }
  Result operator()(Signing& state, SigningFailed& event) {
    return refuse(std::move(state.traces), SignFunctionFailed{event.cause});
  }
  Result operator()(Signing& state, TimeUp&) {
    const auto error = timed_out(state.since);
    return refuse(std::move(state.traces), error);
  }
  Result operator()(Signing& state, Stopped&) { return refuse(std::move(state.traces), NotRunning{}); }

  // ---- Claiming

  Result operator()(AwaitingLease& state, LeaseHeld&) {
    if (is_over(ended_by(state.next))) return give_up(std::move(state.pursuit));
    struct Send {
      Machine& machine;
      Pursuit& pursuit;
      Step operator()(AwaitingLease::Claim&) const {
        return machine.send(Claiming{std::move(pursuit)}, SendClaim{machine.facts_.token}, StopLevel::kStopping);
      }
      Step operator()(AwaitingLease::ClaimSigned&) const {
        const Signature signature = std::get<SignedFirst>(pursuit.hand).signature;
        return machine.send(ClaimingSigned{std::move(pursuit)}, SendSignedClaim{signature}, StopLevel::kClosed);
      }
      Step operator()(AwaitingLease::TakeOver& next) const {
        auto request = machine.takeover_of(pursuit, std::move(next));
        return machine.send(TakingOver{std::move(pursuit), request}, SendTakeover{request}, StopLevel::kStopping);
      }
    };
    return std::visit(Send{*this, state.pursuit}, state.next);
  }
  Result operator()(AwaitingLease& state, LeaseRefused& event) {
    return end(std::move(state.pursuit), std::move(event.error));
  }
  Result operator()(AwaitingLease& state, LeaseNotRenewed& event) {
    const auto level = ended_by(state.next);
    if (moment_.stop >= level) return give_up(std::move(state.pursuit));
    state.not_renewed = std::move(event.reason);
    return send(std::move(state), AwaitHeartbeat{}, level);
  }
  Result operator()(AwaitingLease& state, TimeUp&) {
    return end(std::move(state.pursuit), Unavailable{"the lease could not be renewed: " + state.not_renewed});
  }
  Result operator()(AwaitingLease& state, Stopped&) { return give_up(std::move(state.pursuit)); }

  Result operator()(Claiming& state, ClaimAnswered& event) {
    Pursuit& pursuit = state.pursuit;
    auto& outcome = event.outcome;
    if (outcome.outcome == RowOutcome::kLocked) {
      // Our own row may be the locked one.
      note(pursuit.traces, facts_.token, Origin::kClaim, Presence::kUnknown);
      return back_off(std::move(pursuit), BackingOff::Retry::kClaim);
    }
    pursuit.store_pause = kFirstStorePause;
    if (outcome.outcome == RowOutcome::kApplied) note(pursuit.traces, outcome.token, Origin::kClaim, Presence::kStands);
    const bool was_there = outcome.view.row.has_value();
    auto next = follow(std::move(pursuit), std::move(outcome.view), outcome.token);
    // Claimed, and yet no row: not again without a pause.
    if (!was_there && std::holds_alternative<AwaitingLease>(next.state)) {
      return back_off(std::move(std::get<AwaitingLease>(next.state).pursuit), BackingOff::Retry::kClaim);
    }
    return next;
  }
  Result operator()(Claiming& state, StoreFailed& event) {
    Pursuit& pursuit = state.pursuit;
    if (event.error.kind != StoreErrorKind::kUnavailable) {
      note(pursuit.traces, facts_.token, Origin::kClaim, Presence::kUnknown);
    }
    return back_off_after(std::move(pursuit), event.error, BackingOff::Retry::kClaim);
  }
  Result operator()(Claiming& state, TimeUp&) { return give_up_claim(state); }
  Result operator()(Claiming& state, Stopped&) { return give_up_claim(state); }

  Result operator()(ClaimingSigned& state, SignedClaimAnswered& event) {
    Pursuit& pursuit = state.pursuit;
    switch (event.outcome.outcome) {
      case RowOutcome::kApplied: {
        Step step = answer(*signature_in(pursuit.hand));
        step.counts.push_back(Metrics::Event::kLockAcquired);
        return step;
      }
      case RowOutcome::kLocked:
        pursuit.last_error = kRowLocked;
        return back_off(std::move(pursuit), BackingOff::Retry::kClaimSigned);
      case RowOutcome::kNotMatched: break;
    }
    pursuit.store_pause = kFirstStorePause;
    const auto& row = event.outcome.view.row;
    const bool is_own = row && row->status == DutyStatus::kSigned && row->lock_token == facts_.token &&
                        row->message_hash == facts_.duty.message_hash;
    if (is_own) {
      // An earlier try was carried out, and its repetition was refused: by the lease, for one. A record needs no lease.
      return record(RecordTry{.token = facts_.token,
                              .signature = *signature_in(pursuit.hand),
                              .traces = std::move(pursuit.traces),
                              .doubt = RecordDoubt::kMayBeRecorded});
    }
    return follow(std::move(pursuit), std::move(event.outcome.view));
  }
  Result operator()(ClaimingSigned& state, StoreFailed& event) {
    Pursuit& pursuit = state.pursuit;
    // A store that turns out to be another one may do so after it has committed.
    if (event.error.kind != StoreErrorKind::kUnavailable) {
      note(pursuit.traces, facts_.token, Origin::kSignedClaim, Presence::kUnknown);
    }
    return back_off_after(std::move(pursuit), event.error, BackingOff::Retry::kClaimSigned);
  }
  Result operator()(ClaimingSigned& state, TimeUp&) { return give_up_signed_claim(state); }
  Result operator()(ClaimingSigned& state, Stopped&) { return give_up_signed_claim(state); }

  // ---- Another attempt's row

  Result operator()(Looking& state, ViewAnswered& event) {
    state.pursuit.store_pause = kFirstStorePause;
    auto confirmed = state.pursuit.replaced_by;
    return follow(std::move(state.pursuit), std::move(event.view), std::move(confirmed));
  }
  Result operator()(Looking& state, StoreFailed& event) {
    return back_off_after(std::move(state.pursuit), event.error, BackingOff::Retry::kLook);
  }
  Result operator()(Looking& state, TimeUp&) { return give_up(std::move(state.pursuit)); }
  Result operator()(Looking& state, Stopped&) { return give_up(std::move(state.pursuit)); }

  Result operator()(Waiting& state, TimeUp&) { return look(std::move(state.pursuit)); }
  Result operator()(Waiting& state, Stopped&) { return give_up(std::move(state.pursuit)); }

  Result operator()(TakingOver& state, TakeoverAnswered& event) {
    if (event.outcome != RowOutcome::kApplied) {
      return pause(BackingOff{std::move(state.pursuit), BackingOff::Retry::kLook}, kPauseAfterMissedTakeover);
    }
    const auto& request = state.request;
    note(state.pursuit.traces, request.token, origin_of(request.kind), Presence::kStands);
    // A record asks what refuses, and so does a claim's look; a caller may sign without a record, and a replacement is
    // asked by a snapshot that may be older than a watermark or a released message.
    const bool asks_again = facts_.purpose == Purpose::kClaimForCaller && request.kind == TakeoverKind::kReplace;
    if (asks_again) state.pursuit.replaced_by = request.token;
    Step step = asks_again ? look(std::move(state.pursuit)) : won(std::move(state.pursuit), request.token);
    step.counts.push_back(request.kind == TakeoverKind::kSameData ? Metrics::Event::kTakenOver
                                                                  : Metrics::Event::kReplaced);
    return step;
  }
  Result operator()(TakingOver& state, StoreFailed& event) {
    if (event.error.kind != StoreErrorKind::kUnavailable) {
      note(state.pursuit.traces, state.request.token, origin_of(state.request.kind), Presence::kUnknown);
    }
    state.pursuit.last_error = std::move(event.error.reason);
    return pause(BackingOff{std::move(state.pursuit), BackingOff::Retry::kLook}, kPauseAfterFailedTakeover);
  }
  Result operator()(TakingOver& state, TimeUp&) { return give_up_takeover(state); }
  Result operator()(TakingOver& state, Stopped&) { return give_up_takeover(state); }

  Result operator()(BackingOff& state, TimeUp&) {
    switch (state.retry) {
      case BackingOff::Retry::kClaim: return claim(std::move(state.pursuit));
      case BackingOff::Retry::kClaimSigned: return claim_signed(std::move(state.pursuit));
      case BackingOff::Retry::kLook: return look(std::move(state.pursuit));
    }
    HASIGNER_ASSERT(false);
  }
  Result operator()(BackingOff& state, Stopped&) { return give_up(std::move(state.pursuit)); }

  Result operator()(ConfirmingStored& state, StoredConfirmed& event) {
    if (!event.is_confirmed) state.refusal.signature.reset();
    return refuse(std::move(state.traces), std::move(state.refusal));
  }
  Result operator()(ConfirmingStored& state, StoreFailed&) { return hand_nothing_out(state); }
  Result operator()(ConfirmingStored& state, TimeUp&) { return hand_nothing_out(state); }
  Result operator()(ConfirmingStored& state, Stopped&) { return hand_nothing_out(state); }

  // ---- Recording

  Result operator()(Recording& state, RecordAnswered& event) {
    RecordTry& record = state.record;
    switch (event.outcome) {
      case RowOutcome::kApplied:
        if (facts_.purpose == Purpose::kRecordForCaller) return answer(Recorded{});
        return answer(record.signature);
      case RowOutcome::kLocked: record.last_error = kRowLocked; return back_off(std::move(record));
      case RowOutcome::kNotMatched: break;
    }
    if (!facts_.store.same_token_retry) return end(std::move(record), lock_lost());
    return send(Inspecting{std::move(record)}, SendLook{}, StopLevel::kStopping);
  }
  Result operator()(Recording& state, StoreFailed& event) {
    RecordTry& record = state.record;
    record.last_error = std::move(event.error.reason);
    // A store that turns out to be another one may do so after it has committed.
    if (event.error.kind != StoreErrorKind::kUnavailable) record.doubt = RecordDoubt::kMayBeRecorded;
    if (event.error.kind == StoreErrorKind::kIncompatible) return in_doubt(record.last_error);
    return back_off(std::move(record));
  }
  Result operator()(Recording&, TimeUp&) { return in_doubt(std::string(kNoAnswer)); }
  Result operator()(Recording&, Stopped&) { return in_doubt(std::string(kNoAnswer)); }

  Result operator()(RecordBackingOff& state, TimeUp&) { return record(std::move(state.record)); }
  Result operator()(RecordBackingOff& state, Stopped&) { return give_up(std::move(state.record)); }

  /// The signature is made all the same: where the row is gone or another attempt holds it for the same data, it
  /// becomes ours again by the rules of claim and takeover, and the record is repeated under the new token. So slow
  /// signers that overtake each other do not destroy each other's work.
  Result operator()(Inspecting& state, ViewAnswered& event) {
    RecordTry& record = state.record;
    auto& view = event.view;
    const bool same_data = view.row && view.row->message_hash == facts_.duty.message_hash;
    const bool still_held =
        view.row && view.row->status == DutyStatus::kSigning && view.row->lock_token == record.token;
    if (still_held) {
      if (auto forbidden = forbidden_by_watermark(facts_.duty.key, view.watermarks)) {
        return end(std::move(record), *forbidden);
      }
      if (auto refused = refused_by_released(view, facts_.duty, &record.signature))
        return end(std::move(record), std::move(*refused));
    }
    if (view.row && !same_data) return end(std::move(record), lock_lost());
    // A caller learns that its row is no longer its own; it may claim anew.
    if (!still_held && facts_.purpose == Purpose::kRecordForCaller) return end(std::move(record), lock_lost());
    if (still_held) {
      record.last_error = kFruitless;
      if (++record.fruitless == kMostFruitlessRecords)
        return end(std::move(record), Unavailable{std::string(kFruitless)});
      return back_off(std::move(record));
    }
    Pursuit pursuit{.hand = SignedAndLost{record.signature, record.doubt}, .traces = std::move(record.traces)};
    if (view.row) return follow(std::move(pursuit), std::move(view));
    forget_what_is_gone(pursuit.traces, view);
    return claim(std::move(pursuit));
  }
  Result operator()(Inspecting& state, StoreFailed& event) {
    if (event.error.kind == StoreErrorKind::kIncompatible) {
      return end(std::move(state.record), Unavailable{std::move(event.error.reason)});
    }
    state.record.last_error = std::move(event.error.reason);
    return back_off(std::move(state.record));
  }
  Result operator()(Inspecting& state, TimeUp&) { return give_up(std::move(state.record)); }
  Result operator()(Inspecting& state, Stopped&) { return give_up(std::move(state.record)); }

  // ---- Releasing

  Result operator()(Releasing& state, InFlightEnded&) {
    // What came back too late has been carried out or not, so from now on a release finds it.
    state.traces[state.at].presence = Presence::kUnknown;
    return release(std::move(state));
  }
  Result operator()(Releasing& state, ReleaseAnswered& event) {
    if (event.result.settled) {
      state.traces.erase(state.traces.begin() + static_cast<std::ptrdiff_t>(state.at));
    } else {
      ++state.at;
    }
    return release(std::move(state));
  }
  Result operator()(Releasing& state, StoreFailed&) { return leave_unsettled(state); }
  Result operator()(Releasing& state, TimeUp&) { return leave_unsettled(state); }
  Result operator()(Releasing& state, Stopped&) { return leave_unsettled(state); }

  Result operator()(Unsettled& state, Delivered&) {
    const auto length = state.pause;
    return Step{.state = std::move(state), .action = Pause{length}, .until = MonotonicTime::max()};
  }
  Result operator()(Unsettled& state, TimeUp&) {
    // Past the stuck age the clean-up of stuck duties has the row.
    if (moment_.now >= state.give_up_at) return Step{.state = Done{}, .action = End{}};
    return release(Releasing{.traces = std::move(state.traces),
                             .until = moment_.now + facts_.config.store_call_timeout,
                             .when = Releasing::BehindAnswer{state.give_up_at, state.pause}});
  }
  Result operator()(Unsettled&, Stopped&) { return Step{.state = Done{}, .action = End{}}; }

  Result operator()(ReleasingForCaller&, ReleaseAnswered& event) {
    if (event.result.outcome == RowOutcome::kLocked) return refuse({}, Unavailable{std::string(kRowLocked)});
    return answer(Released{event.result.outcome == RowOutcome::kApplied});
  }
  Result operator()(ReleasingForCaller&, StoreFailed& event) {
    return refuse({}, Unavailable{std::move(event.error.reason)});
  }
  Result operator()(ReleasingForCaller&, TimeUp&) { return refuse({}, Unavailable{std::string(kNoAnswer)}); }
  Result operator()(ReleasingForCaller&, Stopped&) { return refuse({}, Unavailable{std::string(kNoAnswer)}); }

  template <class AnyState, class AnyEvent>
  Result operator()(AnyState&, AnyEvent&) {
    return std::nullopt;
  }

 private:
  // ---- What the next step may be

  [[nodiscard]] MonotonicTime sooner(milliseconds from_now) const {
    return std::min(facts_.deadline, moment_.now + from_now);
  }
  [[nodiscard]] bool is_over(StopLevel level) const { return moment_.now >= facts_.deadline || moment_.stop >= level; }

  [[nodiscard]] Step send(State state, Action action, StopLevel stopped_by) const {
    return {.state = std::move(state), .action = std::move(action), .until = facts_.deadline, .stopped_by = stopped_by};
  }
  [[nodiscard]] Step pause(State state, milliseconds length, StopLevel stopped_by = StopLevel::kStopping) const {
    return send(std::move(state), Pause{length}, stopped_by);
  }

  [[nodiscard]] Step sign(State state) const {
    return {.state = std::move(state),
            .action = Sign{},
            .until = sooner(facts_.config.signer_call_timeout),
            .stopped_by = StopLevel::kStopSigning};
  }
  [[nodiscard]] Step sign_first() const { return sign(SigningFirst{.since = moment_.now}); }
  /// Names the time that the call had: the attempt's deadline may have ended it before its own time-out.
  [[nodiscard]] SignTimedOut timed_out(MonotonicTime since) const {
    return {std::chrono::duration_cast<milliseconds>(moment_.now - since)};
  }

  /// A signed claim is sent also while the signer stops, since its signature is made.
  static StopLevel ended_by(const AwaitingLease::Next& next) {
    return std::holds_alternative<AwaitingLease::ClaimSigned>(next) ? StopLevel::kClosed : StopLevel::kStopping;
  }
  [[nodiscard]] Step write(Pursuit pursuit, AwaitingLease::Next next) const {
    const auto level = ended_by(next);
    if (is_over(level)) return give_up(std::move(pursuit));
    return send(AwaitingLease{std::move(pursuit), std::move(next)}, EnsureLease{}, level);
  }
  [[nodiscard]] Step claim(Pursuit pursuit) const { return write(std::move(pursuit), AwaitingLease::Claim{}); }
  [[nodiscard]] Step claim_signed(Pursuit pursuit) const {
    return write(std::move(pursuit), AwaitingLease::ClaimSigned{});
  }
  [[nodiscard]] Step look(Pursuit pursuit) const {
    if (is_over(StopLevel::kStopping)) return give_up(std::move(pursuit));
    return send(Looking{std::move(pursuit)}, SendLook{}, StopLevel::kStopping);
  }
  [[nodiscard]] Step record(RecordTry record) const {
    if (is_over(StopLevel::kClosed)) return give_up(std::move(record));
    SendRecord action{record.token, record.signature};
    return send(Recording{std::move(record)}, std::move(action), StopLevel::kClosed);
  }

  [[nodiscard]] Step back_off(Pursuit pursuit, BackingOff::Retry retry) const {
    const auto length = pursuit.store_pause;
    pursuit.store_pause = longer(length);
    const auto level = retry == BackingOff::Retry::kClaimSigned ? StopLevel::kClosed : StopLevel::kStopping;
    return pause(BackingOff{std::move(pursuit), retry}, length, level);
  }
  [[nodiscard]] Step back_off_after(Pursuit pursuit, StoreError& error, BackingOff::Retry retry) const {
    if (error.kind == StoreErrorKind::kIncompatible)
      return end(std::move(pursuit), Unavailable{std::move(error.reason)});
    pursuit.last_error = std::move(error.reason);
    return back_off(std::move(pursuit), retry);
  }
  [[nodiscard]] Step back_off(RecordTry record) const {
    const auto length = record.pause;
    record.pause = longer(length);
    return pause(RecordBackingOff{std::move(record)}, length, StopLevel::kClosed);
  }

  // ---- Following what the store found

  /// `confirmed` is the token whose claim the view answers, or whose replacement was applied before; nullopt where the
  /// view answers neither.
  [[nodiscard]] Step follow(Pursuit pursuit, DutyView view, std::optional<LockToken> confirmed = {}) const {
    const auto& row = view.row;
    if (row && (!pursuit.seen || row->lock_token != pursuit.seen->token))
      pursuit.seen = Seen{row->lock_token, moment_.now};
    forget_what_is_gone(pursuit.traces, view);
    std::vector<LockToken> own_tokens{facts_.token};
    for (const Trace& trace : pursuit.traces) own_tokens.push_back(trace.token);
    const Claimant claimant{
        .duty = facts_.duty,
        .own_tokens = own_tokens,
        .may_take_over = facts_.store.take_over,
        .signature_in_hand = signature_in(pursuit.hand),
        .peer_timeout_passed = row && moment_.now >= pursuit.seen->since + facts_.config.peer_signing_timeout};
    struct Act {
      const Machine& machine;
      Pursuit& pursuit;
      const std::optional<LockToken>& confirmed;
      Step operator()(Won& won) const {
        if (machine.facts_.purpose == Purpose::kClaimForCaller && won.token != confirmed) {
          return machine.confirm_held(std::move(pursuit), std::move(won.token));
        }
        return machine.won(std::move(pursuit), won.token);
      }
      Step operator()(Refuse& refusal) const { return machine.refused(std::move(pursuit), std::move(refusal.error)); }
      Step operator()(Wait&) const { return machine.wait(std::move(pursuit)); }
      Step operator()(hasigner::TakeOver& found) const {
        return machine.write(std::move(pursuit), AwaitingLease::TakeOver{found.kind, std::move(found.seen)});
      }
      Step operator()(Reclaim&) const { return machine.claim(std::move(pursuit)); }
    };
    auto decision = decide(view, claimant);
    return std::visit(Act{*this, pursuit, confirmed}, decision);
  }

  /// A caller may sign without a record, so the row must be durable before the token is handed out. A row that was only
  /// read may not be: the request that wrote it got no answer. It is repeated, and its own answer confirms it.
  [[nodiscard]] Step confirm_held(Pursuit pursuit, LockToken token) const {
    const auto trace = std::ranges::find(pursuit.traces, token, &Trace::token);
    const bool is_claim = trace == pursuit.traces.end() || trace->origin == Origin::kClaim;
    if (is_claim) return claim(std::move(pursuit));
    const auto kind = trace->origin == Origin::kSameData ? TakeoverKind::kSameData : TakeoverKind::kReplace;
    return write(std::move(pursuit), AwaitingLease::TakeOver{kind, std::move(token)});
  }

  /// A row that is ours by our claim's token stands, also when the claim's own answer was lost.
  void forget_what_is_gone(Traces& traces, const DutyView& view) const {
    const auto& row = view.row;
    const bool is_signing = row && row->status == DutyStatus::kSigning;
    std::erase_if(traces, [&](const Trace& trace) {
      return trace.presence == Presence::kStands && !(is_signing && row->lock_token == trace.token);
    });
    if (is_signing && row->lock_token == facts_.token) {
      note(traces, facts_.token, Origin::kClaim, Presence::kStands);
    }
  }

  [[nodiscard]] Step won(Pursuit pursuit, LockToken token) const {
    if (facts_.purpose == Purpose::kClaimForCaller) {
      Step step = answer(HeldToken{std::move(token)});
      step.counts.push_back(Metrics::Event::kLockAcquired);
      return step;
    }
    const auto* signature = signature_in(pursuit.hand);
    const bool is_first = !std::holds_alternative<SignedAndLost>(pursuit.hand);
    Step step = signature ? record(RecordTry{.token = std::move(token),
                                             .signature = *signature,
                                             .traces = std::move(pursuit.traces),
                                             .doubt = doubt_of(pursuit.hand)})
                          : sign(Signing{std::move(token), std::move(pursuit.traces), moment_.now});
    if (is_first) step.counts.push_back(Metrics::Event::kLockAcquired);
    return step;
  }

  [[nodiscard]] Step refused(Pursuit pursuit, SigningError error) const {
    auto* already = std::get_if<DutyAlreadySigned>(&error);
    if (!already || !already->signature) return end(std::move(pursuit), std::move(error));
    // Handing out a recorded signature is a release too.
    ConfirmStored action{*already->signature};
    return send(ConfirmingStored{std::move(pursuit.traces), std::move(*already)}, std::move(action),
                StopLevel::kStopSigning);
  }
  [[nodiscard]] Step hand_nothing_out(ConfirmingStored& state) const {
    state.refusal.signature.reset();
    return refuse(std::move(state.traces), std::move(state.refusal));
  }

  /// All waiting attempts wake on the same beats, so that their looks share one statement.
  [[nodiscard]] Step wait(Pursuit pursuit) const {
    if (!pursuit.waiting_since) pursuit.waiting_since = moment_.now;
    const auto longest = facts_.config.polling_interval;
    const auto waited = std::chrono::duration_cast<milliseconds>(moment_.now - *pursuit.waiting_since);
    auto beat = std::min(kFirstLookPause, longest);
    if (waited >= kEagerPeriod) beat = std::clamp((waited - kEagerPeriod) / 4, beat, longest);
    const auto since_epoch = std::chrono::duration_cast<milliseconds>(moment_.now.time_since_epoch());
    const Pause action{.length = beat - since_epoch % beat, .rhythm = Pause::Rhythm::kExact};
    return send(Waiting{std::move(pursuit)}, action, StopLevel::kStopping);
  }

  static Origin origin_of(TakeoverKind kind) {
    return kind == TakeoverKind::kSameData ? Origin::kSameData : Origin::kReplacement;
  }
  /// Repeated with its token after a lost reply, a takeover recognises its own success; after any other answer it is a
  /// new one.
  [[nodiscard]] Takeover takeover_of(const Pursuit& pursuit, AwaitingLease::TakeOver next) const {
    const auto origin = origin_of(next.kind);
    const auto lost = std::ranges::find_if(
        pursuit.traces, [&](const Trace& t) { return t.origin == origin && t.presence == Presence::kUnknown; });
    const auto own_kind = facts_.purpose == Purpose::kClaimForCaller ? TokenKind::kHandedOut : TokenKind::kFenced;
    const auto kind = next.kind == TakeoverKind::kSameData ? TokenKind::kTakenOver : own_kind;
    return {next.kind, facts_.duty, std::move(next.seen),
            lost != pursuit.traces.end() ? lost->token : moment_.new_token(kind)};
  }

  // ---- Giving up

  [[nodiscard]] Step give_up_claim(Claiming& state) const {
    auto& traces = state.pursuit.traces;
    std::erase_if(traces, [&](const Trace& t) { return t.token == facts_.token && t.origin == Origin::kClaim; });
    note(traces, facts_.token, Origin::kClaim, Presence::kInFlight);
    return give_up(std::move(state.pursuit));
  }
  [[nodiscard]] Step give_up_takeover(TakingOver& state) const {
    if (state.request.kind == TakeoverKind::kReplace) {
      auto& traces = state.pursuit.traces;
      std::erase_if(traces, [&](const Trace& t) { return t.token == state.request.token; });
      note(traces, state.request.token, Origin::kReplacement, Presence::kInFlight);
    }
    return give_up(std::move(state.pursuit));
  }
  [[nodiscard]] Step give_up_signed_claim(ClaimingSigned& state) const {
    note(state.pursuit.traces, facts_.token, Origin::kSignedClaim, Presence::kUnknown);
    state.pursuit.last_error = kNoAnswer;
    return give_up(std::move(state.pursuit));
  }
  [[nodiscard]] Step give_up(Pursuit pursuit) const {
    if (moment_.stop >= StopLevel::kStopping) return end(std::move(pursuit), NotRunning{});
    std::string reason = std::move(pursuit.last_error);
    if (reason.empty()) reason = "no answer within " + std::to_string(facts_.config.attempt_timeout.count()) + "ms";
    return end(std::move(pursuit), Unavailable{std::move(reason)});
  }
  [[nodiscard]] Step give_up(RecordTry record) const {
    std::string reason = record.last_error.empty() ? std::string(kNoAnswer) : std::move(record.last_error);
    return end(std::move(record), Unavailable{std::move(reason)});
  }

  [[nodiscard]] SigningLockLost lock_lost() const {
    return {facts_.duty.key, facts_.config.node_id.str(), std::string(kLockLost)};
  }

  /// While a request that writes *signed* has no answer, nothing can be called unavailable.
  [[nodiscard]] SigningError with_doubt(SigningError error) const {
    if (auto* unavailable = std::get_if<Unavailable>(&error)) {
      return InDoubt{facts_.duty.key, std::move(unavailable->reason)};
    }
    if (std::holds_alternative<NotRunning>(error)) return InDoubt{facts_.duty.key, "the signer was stopped"};
    return error;
  }
  [[nodiscard]] Step end(Pursuit pursuit, SigningError error) const {
    const bool may_be_recorded = doubt_of(pursuit.hand) == RecordDoubt::kMayBeRecorded || may_be_signed(pursuit.traces);
    if (may_be_recorded) error = with_doubt(std::move(error));
    const bool lost = std::holds_alternative<SignedAndLost>(pursuit.hand);
    if (lost && std::holds_alternative<SlashingProtection>(error)) error = lock_lost();
    return refuse(std::move(pursuit.traces), std::move(error));
  }
  [[nodiscard]] Step end(RecordTry record, SigningError error) const {
    const bool may_be_recorded = record.doubt == RecordDoubt::kMayBeRecorded || may_be_signed(record.traces);
    if (!may_be_recorded) return refuse(std::move(record.traces), std::move(error));
    error = with_doubt(std::move(error));
    // Then the row stays: it may be signed.
    if (std::holds_alternative<InDoubt>(error)) return answer(std::move(error));
    return refuse(std::move(record.traces), std::move(error));
  }
  /// The row stays: it may be signed.
  [[nodiscard]] Step in_doubt(std::string reason) const {
    return answer(SigningError(InDoubt{facts_.duty.key, std::move(reason)}));
  }

  // ---- Answering

  /// The attempt has nothing left to release, or leaves it.
  [[nodiscard]] Step answer(Answer answer) const { return {.state = Done{}, .action = Finish{std::move(answer)}}; }
  /// Answers when what may stand has been released, or after a short while.
  [[nodiscard]] Step refuse(Traces traces, SigningError error) const {
    std::erase_if(traces, [](const Trace& trace) { return !is_releasable(trace); });
    return release(Releasing{.traces = std::move(traces),
                             .until = moment_.now + kReleaseBeforeAnswer,
                             .when = Releasing::BeforeAnswer{std::move(error)}});
  }

  [[nodiscard]] Step release(Releasing state) const {
    if (state.at < state.traces.size()) {
      const Trace& trace = state.traces[state.at];
      const auto until = state.until;
      Action action = SendRelease{trace.token};
      if (trace.presence == Presence::kInFlight) action = AwaitInFlight{trace.origin};
      return {.state = std::move(state), .action = std::move(action), .until = until};
    }
    if (auto* before = std::get_if<Releasing::BeforeAnswer>(&state.when)) {
      // Where too many rows are left like this one, it is left to the clean-up.
      if (state.traces.empty() || !moment_.may_settle_later) return answer(std::move(before->answer));
      Finish finish{std::move(before->answer)};
      return {.state = Unsettled{std::move(state.traces), moment_.now + facts_.config.max_stuck_duties_age,
                                 kFirstSettlePause},
              .action = std::move(finish)};
    }
    const auto& behind = std::get<Releasing::BehindAnswer>(state.when);
    if (state.traces.empty()) return {.state = Done{}, .action = End{}};
    return {.state = Unsettled{std::move(state.traces), behind.give_up_at, longer(behind.pause)},
            .action = Pause{longer(behind.pause)}};
  }
  [[nodiscard]] Step leave_unsettled(Releasing& state) const {
    ++state.at;
    return release(std::move(state));
  }

  const Facts& facts_;
  const Moment& moment_;
};

}  // namespace

std::optional<Step> transition(const Facts& facts, State state, Event event, const Moment& moment) {
  const bool has_failed = std::holds_alternative<StoreFailed>(event);
  auto step = std::visit(Machine(facts, moment), state, event);
  if (step && has_failed) step->counts.push_back(Metrics::Event::kStoreError);
  return step;
}

}  // namespace hasigner::attempt
