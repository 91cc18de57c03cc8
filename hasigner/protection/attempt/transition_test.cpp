#include "hasigner/protection/attempt/transition.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "hasigner/protection/attempt/explore.hpp"
#include "hasigner/protection/attempt/names.hpp"

// Enumerated, not sampled: every state that an attempt can reach with everything that it can be told, at every kind of
// moment.

namespace hasigner::attempt::test {
namespace {

/// (state, event) -> "Next state: action".
using Table = std::map<std::pair<std::string, std::string>, std::set<std::string>>;

std::string next_of(const Step& step) {
  return std::string(kStateNames[step.state.index()]) + ": " + std::string(kActionNames[step.action.index()]);
}

Table table_of_code() {
  Table table;
  explore([&](const Edge& edge) {
    table[{std::string(kStateNames[edge.from.index()]), std::string(kEventNames[edge.event.index()])}].insert(
        next_of(edge.step));
  });
  return table;
}

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

/// The rows `| state | event | next | when |` behind the line `<!-- transitions -->`.
Table table_of_page(const std::string& path) {
  std::ifstream page(path);
  if (!page) throw std::runtime_error("cannot read " + path);
  Table table;
  std::string line;
  while (std::getline(page, line) && line != "<!-- transitions -->") {
  }
  int row = 0;
  while (std::getline(page, line)) {
    if (line.empty() && row == 0) continue;
    if (!line.starts_with("|")) break;
    if (++row <= 2) continue;  // the head
    std::vector<std::string> cells;
    std::istringstream cut(line.substr(1));
    for (std::string cell; std::getline(cut, cell, '|');) cells.push_back(trimmed(cell));
    if (cells.size() < 3) throw std::runtime_error("not a transition: " + line);
    table[{cells[0], cells[1]}].insert(cells[2]);
  }
  return table;
}

std::string lines_of(const Table& table, const Table& without) {
  std::string lines;
  for (const auto& [pair, nexts] : table) {
    const auto other = without.find(pair);
    for (const auto& next : nexts) {
      if (other != without.end() && other->second.contains(next)) continue;
      lines += "| " + pair.first + " | " + pair.second + " | " + next + " | |\n";
    }
  }
  return lines;
}

TEST(Transition, the_table_of_the_protocol_page_is_that_of_the_code) {
  const Table code = table_of_code();
  const Table page = table_of_page(HASIGNER_SOURCE_DIR "/docs/protocol.md");
  EXPECT_EQ(lines_of(code, page), "") << "the code has these, and docs/protocol.md has not";
  EXPECT_EQ(lines_of(page, code), "") << "docs/protocol.md has these, and the code has not";
}

TEST(Transition, every_event_that_may_answer_an_action_has_a_step_in_every_state_and_no_other_event_has) {
  std::set<std::pair<std::size_t, std::size_t>> with_step, without_step;
  explore([&](const Edge& edge) { with_step.emplace(edge.from.index(), edge.event.index()); },
          [&](const State& state, const Event& event) { without_step.emplace(state.index(), event.index()); });
  for (std::size_t state = 0; state < std::variant_size_v<State>; ++state) {
    const bool is_final = kStateNames[state] == "Done";
    for (std::size_t event = 0; event < std::variant_size_v<Event>; ++event) {
      const std::pair pair(state, event);
      // The first event depends on the purpose, so a new attempt has a step for some purposes only.
      const bool depends = kStateNames[state] == "New";
      EXPECT_TRUE(depends || is_final || with_step.contains(pair) != without_step.contains(pair))
          << kStateNames[state] << " with " << kEventNames[event] << ": a step must depend on nothing else";
    }
    if (!is_final) {
      EXPECT_TRUE(std::ranges::any_of(with_step, [&](const auto& pair) { return pair.first == state; }))
          << kStateNames[state] << " cannot be reached or left";
    }
  }
}

TEST(Transition, whatever_answers_an_action_is_expected_in_the_state_that_asked_for_it) {
  const std::function<LockToken(TokenKind)> draw = new_token;
  explore([&](const Edge& edge) {
    for (const Event& event : all_events()) {
      if (!may_answer(edge.step.action, event) || std::holds_alternative<Done>(edge.step.state)) continue;
      EXPECT_TRUE(transition(edge.facts, edge.step.state, event, edge.moment).has_value())
          << kStateNames[edge.step.state.index()] << " with " << kEventNames[event.index()];
    }
  });
}

// ---- The safety rule, at every transition that can happen.

const Signature* signature_released_by(const Step& step) {
  const auto* finish = std::get_if<Finish>(&step.action);
  return finish ? std::get_if<Signature>(&finish->answer) : nullptr;
}

TEST(Transition, a_signature_is_released_only_by_the_confirmation_of_the_very_record_that_was_sent) {
  int releases = 0;
  explore([&](const Edge& edge) {
    const auto* released = signature_released_by(edge.step);
    if (!released) return;
    ++releases;
    EXPECT_EQ(*released, kOwnSignature);
    if (edge.facts.purpose == Purpose::kSignUnprotected) return;
    if (const auto* recording = std::get_if<Recording>(&edge.from)) {
      const auto* answer = std::get_if<RecordAnswered>(&edge.event);
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->outcome, RowOutcome::kApplied);
      EXPECT_EQ(recording->record.signature, *released);
    } else {
      ASSERT_TRUE(std::holds_alternative<ClaimingSigned>(edge.from)) << kStateNames[edge.from.index()];
      const auto* answer = std::get_if<SignedClaimAnswered>(&edge.event);
      ASSERT_TRUE(answer);
      EXPECT_EQ(answer->outcome.outcome, RowOutcome::kApplied);
      EXPECT_EQ(std::get<SignedFirst>(std::get<ClaimingSigned>(edge.from).pursuit.hand).signature, *released);
    }
  });
  EXPECT_GT(releases, 3);
}

/// The token under which the attempt holds the duty, as the event or the state before it tells.
struct WonBy {
  const Edge& edge;
  std::optional<LockToken> operator()(const TakingOver& state, const TakeoverAnswered&) const {
    return state.request.token;
  }
  std::optional<LockToken> operator()(const Claiming&, const ClaimAnswered& event) const {
    return of(event.outcome.view);
  }
  std::optional<LockToken> operator()(const ClaimingSigned&, const SignedClaimAnswered& event) const {
    return of(event.outcome.view);
  }
  std::optional<LockToken> operator()(const auto&, const ViewAnswered& event) const { return of(event.view); }
  std::optional<LockToken> operator()(const Signing& state, const SignatureMade&) const { return state.token; }
  std::optional<LockToken> operator()(const New&, const SignatureMade&) const { return edge.facts.token; }
  std::optional<LockToken> operator()(const RecordBackingOff& state, const TimeUp&) const { return state.record.token; }
  std::optional<LockToken> operator()(const auto&, const auto&) const { return std::nullopt; }

  std::optional<LockToken> of(const DutyView& view) const {
    if (!view.row || view.row->message_hash != edge.facts.duty.message_hash) return std::nullopt;
    return view.row->lock_token;
  }
};

TEST(Transition, what_is_recorded_goes_under_the_token_that_was_won_with_the_signature_that_was_made) {
  explore([](const Edge& edge) {
    if (const auto* send = std::get_if<SendRecord>(&edge.step.action)) {
      const auto& record = std::get<Recording>(edge.step.state).record;
      EXPECT_EQ(send->token, record.token);
      EXPECT_EQ(send->signature, record.signature);
      EXPECT_EQ(send->signature, kOwnSignature);
      EXPECT_EQ(send->token, std::visit(WonBy{edge}, edge.from, edge.event)) << kStateNames[edge.from.index()];
    }
    if (const auto* signing = std::get_if<Signing>(&edge.step.state)) {
      EXPECT_EQ(signing->token, std::visit(WonBy{edge}, edge.from, edge.event)) << kStateNames[edge.from.index()];
    }
    if (const auto* send = std::get_if<SendSignedClaim>(&edge.step.action)) {
      EXPECT_EQ(send->signature, kOwnSignature);
    }
    if (const auto* send = std::get_if<SendClaim>(&edge.step.action)) {
      EXPECT_EQ(send->token, edge.facts.token);
    }
  });
}

TEST(Transition, a_stored_signature_is_handed_out_only_when_a_write_of_our_own_has_confirmed_it) {
  int handed_out = 0;
  explore([&](const Edge& edge) {
    const auto* releasing = std::get_if<Releasing>(&edge.step.state);
    const auto* before = releasing ? std::get_if<Releasing::BeforeAnswer>(&releasing->when) : nullptr;
    const auto* finish = std::get_if<Finish>(&edge.step.action);
    const Answer* answer = before ? &before->answer : finish ? &finish->answer : nullptr;
    const auto* error = answer ? std::get_if<SigningError>(answer) : nullptr;
    const auto* already = error ? std::get_if<DutyAlreadySigned>(error) : nullptr;
    if (!already || !already->signature) return;
    ++handed_out;
    if (std::holds_alternative<Releasing>(edge.from)) return;  // decided earlier
    const auto* confirmed = std::get_if<StoredConfirmed>(&edge.event);
    ASSERT_TRUE(confirmed) << kStateNames[edge.from.index()];
    EXPECT_TRUE(confirmed->is_confirmed);
  });
  EXPECT_GT(handed_out, 0);
}

TEST(Transition, a_row_that_was_taken_over_or_signed_is_never_released) {
  explore([](const Edge& edge) {
    if (const auto* release = std::get_if<SendRelease>(&edge.step.action)) {
      EXPECT_NE(release->token.kind(), TokenKind::kTakenOver);
    }
  });
}

TEST(Transition, other_data_is_taken_over_only_from_a_holder_whose_lease_has_run_out) {
  int takeovers = 0;
  explore([&](const Edge& edge) {
    const auto* leasing = std::get_if<AwaitingLease>(&edge.step.state);
    const auto* next = leasing ? std::get_if<AwaitingLease::TakeOver>(&leasing->next) : nullptr;
    if (!next) return;
    ++takeovers;
    if (const auto* waited = std::get_if<AwaitingLease>(&edge.from)) {
      const auto& before = std::get<AwaitingLease::TakeOver>(waited->next);
      EXPECT_TRUE(next->kind == before.kind && next->seen == before.seen) << "decided before";
      return;
    }
    const DutyView* view = nullptr;
    if (const auto* answer = std::get_if<ViewAnswered>(&edge.event)) view = &answer->view;
    if (const auto* answer = std::get_if<ClaimAnswered>(&edge.event)) view = &answer->outcome.view;
    if (const auto* answer = std::get_if<SignedClaimAnswered>(&edge.event)) view = &answer->outcome.view;
    ASSERT_TRUE(view && view->row);
    EXPECT_EQ(view->row->status, DutyStatus::kSigning);
    EXPECT_EQ(view->row->lock_token, next->seen);
    // A caller's own request whose answer was lost is repeated: the row that it wrote is the caller's.
    const auto& traces = leasing->pursuit.traces;
    if (std::ranges::count(traces, next->seen, &Trace::token) > 0) {
      EXPECT_EQ(edge.facts.purpose, Purpose::kClaimForCaller);
      return;
    }
    if (next->kind == TakeoverKind::kReplace) {
      EXPECT_EQ(view->row->holder, HolderState::kExpired);
    }
    if (next->kind == TakeoverKind::kSameData) {
      EXPECT_EQ(view->row->message_hash, kOwnHash);
    }
  });
  EXPECT_GT(takeovers, 0);
}

TEST(Transition, nothing_is_called_unavailable_while_a_signed_row_may_appear) {
  const auto may_be_signed = [](const State& state) {
    bool may = false;
    const auto look_at = [&](const auto& s) {
      if constexpr (requires { s.pursuit; }) {
        const auto* lost = std::get_if<SignedAndLost>(&s.pursuit.hand);
        may = (lost && lost->doubt == RecordDoubt::kMayBeRecorded) ||
              std::ranges::any_of(s.pursuit.traces, [](const Trace& t) { return t.origin == Origin::kSignedClaim; });
      }
      if constexpr (requires { s.record; }) may = s.record.doubt == RecordDoubt::kMayBeRecorded;
    };
    std::visit(look_at, state);
    return may;
  };
  int in_doubt = 0;
  explore([&](const Edge& edge) {
    const auto* finish = std::get_if<Finish>(&edge.step.action);
    const auto* releasing = std::get_if<Releasing>(&edge.step.state);
    const auto* before = releasing ? std::get_if<Releasing::BeforeAnswer>(&releasing->when) : nullptr;
    const Answer* answer = finish ? &finish->answer : before ? &before->answer : nullptr;
    const auto* error = answer ? std::get_if<SigningError>(answer) : nullptr;
    const auto* failed = std::get_if<StoreFailed>(&edge.event);
    const bool has_no_answer = std::holds_alternative<TimeUp>(edge.event) ||
                               std::holds_alternative<Stopped>(edge.event) ||
                               (failed && failed->error.kind != StoreErrorKind::kUnavailable);
    const bool is_lost = has_no_answer && std::holds_alternative<ClaimingSigned>(edge.from);
    if (is_lost && !error) {
      EXPECT_TRUE(may_be_signed(edge.step.state)) << next_of(edge.step);
    }
    if (!error || !(is_lost || may_be_signed(edge.from))) return;
    EXPECT_FALSE(std::holds_alternative<Unavailable>(*error)) << kStateNames[edge.from.index()];
    EXPECT_FALSE(std::holds_alternative<NotRunning>(*error)) << kStateNames[edge.from.index()];
    if (std::holds_alternative<InDoubt>(*error)) ++in_doubt;
  });
  EXPECT_GT(in_doubt, 0);
}

TEST(Transition, nothing_is_claimed_taken_over_or_asked_again_after_the_deadline_or_a_stop) {
  explore([](const Edge& edge) {
    const auto* leasing = std::get_if<AwaitingLease>(&edge.step.state);
    const bool is_signed = std::holds_alternative<SendSignedClaim>(edge.step.action) ||
                           (leasing && std::holds_alternative<AwaitingLease::ClaimSigned>(leasing->next));
    const auto level = is_signed ? StopLevel::kClosed : StopLevel::kStopping;
    if (edge.moment.now < edge.facts.deadline && edge.moment.stop < level) return;
    const auto& action = edge.step.action;
    const bool begins_a_write =
        std::holds_alternative<EnsureLease>(action) || std::holds_alternative<SendClaim>(action) ||
        std::holds_alternative<SendSignedClaim>(action) || std::holds_alternative<SendTakeover>(action);
    EXPECT_FALSE(begins_a_write || std::holds_alternative<Looking>(edge.step.state)) << next_of(edge.step);
  });
}

TEST(Transition, a_token_is_handed_out_only_by_the_answer_to_the_request_that_wrote_it) {
  int handed_out = 0;
  explore([&](const Edge& edge) {
    const auto* finish = std::get_if<Finish>(&edge.step.action);
    const auto* held = finish ? std::get_if<HeldToken>(&finish->answer) : nullptr;
    if (!held) return;
    ++handed_out;
    if (const auto* claimed = std::get_if<ClaimAnswered>(&edge.event)) {
      EXPECT_EQ(held->token, claimed->outcome.token);
      EXPECT_NE(claimed->outcome.outcome, RowOutcome::kLocked);
    } else if (const auto* looking = std::get_if<Looking>(&edge.from)) {
      // After a replacement that was applied: by a later snapshot nothing refuses.
      EXPECT_EQ(held->token, looking->pursuit.replaced_by);
      const DutyView& view = std::get<ViewAnswered>(edge.event).view;
      EXPECT_EQ(view.row->lock_token, held->token);
      EXPECT_FALSE(view.alias || view.watermarks.low || view.watermarks.high);
    } else {
      ASSERT_TRUE(std::holds_alternative<TakingOver>(edge.from)) << kStateNames[edge.from.index()];
      EXPECT_EQ(std::get<TakingOver>(edge.from).request.kind, TakeoverKind::kSameData);
      EXPECT_EQ(held->token, std::get<TakingOver>(edge.from).request.token);
      EXPECT_EQ(std::get<TakeoverAnswered>(edge.event).outcome, RowOutcome::kApplied);
    }
  });
  EXPECT_GT(handed_out, 1);
}

TEST(Transition, a_signed_claim_whose_first_try_was_carried_out_goes_on_to_a_record_when_it_is_refused) {
  int records = 0;
  explore([&](const Edge& edge) {
    const auto* claiming = std::get_if<ClaimingSigned>(&edge.from);
    const auto* answer = std::get_if<SignedClaimAnswered>(&edge.event);
    if (!claiming || !answer || answer->outcome.outcome != RowOutcome::kNotMatched) return;
    const auto& row = answer->outcome.view.row;
    if (!row || row->status != DutyStatus::kSigned || row->lock_token != edge.facts.token) return;
    const bool is_over = edge.moment.now >= edge.facts.deadline || edge.moment.stop >= StopLevel::kClosed;
    if (is_over) {
      const auto* finish = std::get_if<Finish>(&edge.step.action);
      ASSERT_TRUE(finish);
      EXPECT_TRUE(std::holds_alternative<InDoubt>(std::get<SigningError>(finish->answer)));
      return;
    }
    ++records;
    const auto* send = std::get_if<SendRecord>(&edge.step.action);
    ASSERT_TRUE(send);
    EXPECT_EQ(send->token, edge.facts.token);
    EXPECT_EQ(send->signature, kOwnSignature);
  });
  EXPECT_GT(records, 0);
}

TEST(Transition, a_lease_that_does_not_run_is_waited_for_until_the_deadline) {
  const auto facts = all_facts().front();
  const std::function<LockToken(TokenKind)> draw = new_token;
  std::optional<Step> step = Step{.state = AwaitingLease{.pursuit = {}, .next = AwaitingLease::Claim{}}, .action = {}};
  for (const std::string reason : {"no answer", "connection refused"}) {
    step = transition(facts, std::move(step->state), LeaseNotRenewed{reason}, {.now = kStart, .new_token = draw});
    ASSERT_TRUE(step && std::holds_alternative<AwaitHeartbeat>(step->action));
    EXPECT_EQ(step->until, facts.deadline);
  }
  const auto renewed = transition(facts, step->state, LeaseHeld{}, {.now = kStart, .new_token = draw});
  EXPECT_TRUE(renewed && std::holds_alternative<SendClaim>(renewed->action));
  const auto ended = transition(facts, std::move(step->state), TimeUp{}, {.now = kOver, .new_token = draw});
  ASSERT_TRUE(ended && std::holds_alternative<Finish>(ended->action));
  const auto& error = std::get<SigningError>(std::get<Finish>(ended->action).answer);
  EXPECT_EQ(std::get<Unavailable>(error).reason, "the lease could not be renewed: connection refused");
}

TEST(Transition, a_claim_that_met_a_locked_row_is_released_at_the_end) {
  const auto facts = all_facts().front();
  const std::function<LockToken(TokenKind)> draw = new_token;
  auto backing_off =
      transition(facts, Claiming{}, ClaimAnswered{{.outcome = RowOutcome::kLocked, .token = kClaimToken, .view = {}}},
                 {.now = kStart, .new_token = draw});
  ASSERT_TRUE(backing_off && std::holds_alternative<BackingOff>(backing_off->state));
  const auto ended = transition(facts, std::move(backing_off->state), TimeUp{}, {.now = kOver, .new_token = draw});
  ASSERT_TRUE(ended);
  const auto* release = std::get_if<SendRelease>(&ended->action);
  ASSERT_TRUE(release);
  EXPECT_EQ(release->token, kClaimToken);
}

DutyView held_by_own_claim() {
  DutyView view;
  view.row = DutyRow{.status = DutyStatus::kSigning,
                     .message_hash = kOwnHash,
                     .signature = {},
                     .node_id = "node-1",
                     .lock_token = kClaimToken,
                     .holder = HolderState::kAlive};
  return view;
}

TEST(Transition, a_request_without_an_answer_is_released_although_its_repetition_was_seen_and_is_gone) {
  const auto facts = all_facts().front();
  const std::function<LockToken(TokenKind)> draw = new_token;
  const DutyView held = held_by_own_claim();
  // The first claim may still be carried out after the row of the second one has been deleted.
  std::optional<Step> step = Step{.state = Claiming{}, .action = SendClaim{kClaimToken}};
  for (const Event& event : std::initializer_list<Event>{
           StoreFailed{{StoreErrorKind::kInDoubt, "the reply was lost"}}, TimeUp{}, LeaseHeld{},
           ClaimAnswered{claim_outcome(kClaimToken, held)}, SignatureMade{kOwnSignature},
           RecordAnswered{RowOutcome::kNotMatched}, ViewAnswered{}, LeaseRefused{Unavailable{"gone"}}}) {
    step = transition(facts, std::move(step->state), event, {.now = kStart, .new_token = draw});
    ASSERT_TRUE(step) << kEventNames[event.index()];
  }
  const auto* release = std::get_if<SendRelease>(&step->action);
  ASSERT_TRUE(release) << kActionNames[step->action.index()];
  EXPECT_EQ(release->token, kClaimToken);
}

TEST(Transition, a_row_that_a_look_shows_under_the_claims_token_is_released_after_a_failure) {
  const auto facts = all_facts().front();
  const std::function<LockToken(TokenKind)> draw = new_token;
  std::optional<Step> step = Step{.state = Looking{}, .action = SendLook{}};
  for (const Event& event :
       std::initializer_list<Event>{ViewAnswered{held_by_own_claim()}, SigningFailed{"the key is gone"}}) {
    step = transition(facts, std::move(step->state), event, {.now = kStart, .new_token = draw});
    ASSERT_TRUE(step) << kEventNames[event.index()];
  }
  const auto* release = std::get_if<SendRelease>(&step->action);
  ASSERT_TRUE(release) << next_of(*step);
  EXPECT_EQ(release->token, kClaimToken);
}

TEST(Transition, of_several_rows_to_release_those_that_are_not_settled_stay) {
  const auto facts = all_facts().front();
  const std::function<LockToken(TokenKind)> draw = new_token;
  State state = Releasing{.traces = {{kClaimToken, Origin::kClaim, Presence::kUnknown},
                                     {kReplacementToken, Origin::kReplacement, Presence::kStands}},
                          .until = kStart + milliseconds(1'000),
                          .when = Releasing::BeforeAnswer{SigningError(Unavailable{"no answer"})}};
  const Moment moment{.now = kStart, .new_token = draw};
  auto second = transition(facts, std::move(state), ReleaseAnswered{{RowOutcome::kNotMatched, false}}, moment);
  ASSERT_TRUE(second && std::holds_alternative<SendRelease>(second->action));
  EXPECT_EQ(std::get<SendRelease>(second->action).token, kReplacementToken);
  auto last = transition(facts, std::move(second->state), ReleaseAnswered{{RowOutcome::kApplied, true}}, moment);
  ASSERT_TRUE(last && std::holds_alternative<Unsettled>(last->state));
  const Traces& left = std::get<Unsettled>(last->state).traces;
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].token, kClaimToken);
}

TEST(Transition, the_token_of_a_takeover_tells_others_whether_the_row_has_a_fence) {
  std::set<TokenKind> kinds;
  explore([&](const Edge& edge) {
    const auto* send = std::get_if<SendTakeover>(&edge.step.action);
    if (!send) return;
    const auto& request = send->request;
    const bool is_for_caller = edge.facts.purpose == Purpose::kClaimForCaller;
    const auto of_replacement = is_for_caller ? TokenKind::kHandedOut : TokenKind::kFenced;
    EXPECT_EQ(request.token.kind(), request.kind == TakeoverKind::kSameData ? TokenKind::kTakenOver : of_replacement);
    kinds.insert(request.token.kind().value());
  });
  EXPECT_EQ(kinds.size(), 3u);
}

TEST(Transition, a_takeover_is_repeated_under_its_token_only_while_its_own_answer_is_lost) {
  const auto facts = all_facts().front();
  std::uint8_t drawn = 0;
  const std::function<LockToken(TokenKind)> draw = [&](TokenKind kind) {
    return LockToken::make(kOwnIncarnation, kind, {++drawn});
  };
  DutyView abandoned = held_by_own_claim();
  abandoned.row->lock_token = kOther;
  abandoned.row->holder = HolderState::kExpired;
  for (const bool is_lost : {true, false}) {
    std::vector<LockToken> sent;
    std::optional<Step> step = Step{.state = Looking{}, .action = SendLook{}};
    for (int tries = 0; tries < 3; ++tries) {
      const Event answer = is_lost ? Event(StoreFailed{{StoreErrorKind::kInDoubt, "the reply was lost"}})
                                   : Event(TakeoverAnswered{RowOutcome::kNotMatched});
      for (const Event& event : {Event(ViewAnswered{abandoned}), Event(LeaseHeld{}), answer, Event(TimeUp{})}) {
        step = transition(facts, std::move(step->state), event, {.now = kStart, .new_token = draw});
        ASSERT_TRUE(step) << kEventNames[event.index()];
        if (const auto* send = std::get_if<SendTakeover>(&step->action)) sent.push_back(send->request.token);
      }
    }
    ASSERT_EQ(sent.size(), 3u);
    EXPECT_EQ(sent[0] == sent[1] && sent[1] == sent[2], is_lost);
    EXPECT_EQ(sent[0] != sent[1] && sent[1] != sent[2], !is_lost);
  }
}

TEST(Transition, an_inspection_that_finds_other_data_ends_with_the_lost_lock) {
  int found = 0;
  explore([&](const Edge& edge) {
    const auto* inspecting = std::get_if<Inspecting>(&edge.from);
    const auto* answer = std::get_if<ViewAnswered>(&edge.event);
    if (!inspecting || !answer || !answer->view.row || answer->view.row->message_hash == kOwnHash) return;
    if (answer->view.row->lock_token == inspecting->record.token) return;
    ++found;
    const auto* finish = std::get_if<Finish>(&edge.step.action);
    const auto* releasing = std::get_if<Releasing>(&edge.step.state);
    const auto* before = releasing ? std::get_if<Releasing::BeforeAnswer>(&releasing->when) : nullptr;
    const Answer* given = finish ? &finish->answer : before ? &before->answer : nullptr;
    ASSERT_TRUE(given) << next_of(edge.step);
    const auto* error = std::get_if<SigningError>(given);
    EXPECT_TRUE(error && std::holds_alternative<SigningLockLost>(*error));
  });
  EXPECT_GT(found, 0);
}

TEST(Transition, a_record_that_a_released_message_refuses_ends_as_slashing_protection) {
  const auto facts = all_facts().front();
  const std::function<LockToken(TokenKind)> draw = new_token;
  DutyView view = held_by_own_claim();
  view.released = DutyView::ReleasedMessage{kOtherHash, kOtherHash, std::nullopt, "serve-1"};
  const auto next =
      transition(facts, Inspecting{RecordTry{.token = kClaimToken, .signature = kOwnSignature, .traces = {}}},
                 ViewAnswered{view}, {.now = kStart, .new_token = draw});
  ASSERT_TRUE(next);
  const auto* finish = std::get_if<Finish>(&next->action);
  ASSERT_TRUE(finish) << next_of(*next);
  const auto* refused = std::get_if<SlashingProtection>(&std::get<SigningError>(finish->answer));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->existing_hash, kOtherHash.to_string());
}

TEST(Transition, a_caller_whose_request_has_no_answer_repeats_the_one_that_wrote_the_row) {
  const auto all = all_facts();
  const auto& facts = *std::ranges::find(all, Purpose::kClaimForCaller, &Facts::purpose);
  const std::function<LockToken(TokenKind)> draw = new_token;
  const auto repeated = [&](LockToken token, Origin origin) {
    DutyView view = held_by_own_claim();
    view.row->lock_token = token;
    const Pursuit pursuit{.hand = {}, .traces = {{token, origin, Presence::kUnknown}}};
    auto next = transition(facts, Looking{pursuit}, ViewAnswered{view}, {.now = kStart, .new_token = draw});
    EXPECT_TRUE(next && std::holds_alternative<AwaitingLease>(next->state));
    return std::get<AwaitingLease>(next->state).next;
  };
  EXPECT_TRUE(std::holds_alternative<AwaitingLease::Claim>(repeated(kHandedOutToken, Origin::kClaim)));
  for (const auto& [token, origin, kind] :
       {std::tuple(kTakeoverToken, Origin::kSameData, TakeoverKind::kSameData),
        std::tuple(kReplacementToken, Origin::kReplacement, TakeoverKind::kReplace)}) {
    const auto next = repeated(token, origin);
    const auto* takeover = std::get_if<AwaitingLease::TakeOver>(&next);
    ASSERT_TRUE(takeover);
    EXPECT_EQ(takeover->kind, kind);
    EXPECT_EQ(takeover->seen, token);
  }
}

TEST(Transition, a_lock_that_is_lost_to_other_data_is_called_lost_also_when_the_claim_after_it_finds_that) {
  const auto facts = all_facts().front();
  const std::function<LockToken(TokenKind)> draw = new_token;
  DutyView other = held_by_own_claim();
  other.row->status = DutyStatus::kSigned;
  other.row->message_hash = MessageHash{};
  other.row->lock_token = kOther;
  std::optional<Step> step = Step{
      .state = Recording{RecordTry{.token = kClaimToken, .signature = kOwnSignature, .traces = {}}}, .action = End{}};
  for (const Event& event :
       std::initializer_list<Event>{RecordAnswered{RowOutcome::kNotMatched}, ViewAnswered{}, LeaseHeld{},
                                    ClaimAnswered{claim_outcome(kClaimToken, other)}}) {
    step = transition(facts, std::move(step->state), event, {.now = kStart, .new_token = draw});
    ASSERT_TRUE(step) << kEventNames[event.index()];
  }
  const auto* finish = std::get_if<Finish>(&step->action);
  ASSERT_TRUE(finish) << next_of(*step);
  EXPECT_TRUE(std::holds_alternative<SigningLockLost>(std::get<SigningError>(finish->answer)));
}

// ---- Progress

TEST(Transition, a_claim_that_finds_no_row_afterwards_is_repeated_after_a_pause) {
  const auto facts = all_facts().front();
  const std::function<LockToken(TokenKind)> draw = new_token;
  const auto next =
      transition(facts, Claiming{}, ClaimAnswered{claim_outcome(kClaimToken, {})}, {.now = kStart, .new_token = draw});
  ASSERT_TRUE(next && std::holds_alternative<BackingOff>(next->state));
  EXPECT_EQ(std::get<BackingOff>(next->state).retry, BackingOff::Retry::kClaim);
  EXPECT_TRUE(std::holds_alternative<Pause>(next->action)) << next_of(*next);
}

TEST(Transition, a_record_that_matches_nothing_although_the_row_is_ours_pauses_and_ends_with_the_reason) {
  const auto facts = all_facts().front();
  const std::function<LockToken(TokenKind)> draw = new_token;
  const Moment moment{.now = kStart, .new_token = draw};
  const DutyView held = held_by_own_claim();
  State state = Recording{RecordTry{.token = kClaimToken, .signature = kOwnSignature, .traces = {}}};
  milliseconds paused{};
  for (int records = 1; records <= 20; ++records) {
    auto inspecting = transition(facts, std::move(state), RecordAnswered{RowOutcome::kNotMatched}, moment);
    ASSERT_TRUE(inspecting && std::holds_alternative<Inspecting>(inspecting->state));
    auto next = transition(facts, std::move(inspecting->state), ViewAnswered{held}, moment);
    ASSERT_TRUE(next);
    if (const auto* finish = std::get_if<Finish>(&next->action)) {
      const auto* error = std::get_if<SigningError>(&finish->answer);
      ASSERT_TRUE(error && std::holds_alternative<Unavailable>(*error));
      EXPECT_NE(std::get<Unavailable>(*error).reason.find("does not accept the record"), std::string::npos);
      EXPECT_EQ(records, 5);
      EXPECT_EQ(paused, milliseconds(10 + 20 + 40 + 80));
      return;
    }
    const auto* pause = std::get_if<Pause>(&next->action);
    ASSERT_TRUE(pause);
    paused += pause->length;
    auto again = transition(facts, std::move(next->state), TimeUp{}, moment);
    ASSERT_TRUE(again && std::holds_alternative<Recording>(again->state));
    state = std::move(again->state);
  }
  FAIL() << "it never ends";
}

}  // namespace
}  // namespace hasigner::attempt::test
