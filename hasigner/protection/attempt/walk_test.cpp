#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <set>
#include <utility>

#include "hasigner/protection/attempt/explore.hpp"
#include "hasigner/protection/attempt/names.hpp"

// Whole attempts: whatever happens to them, in whatever order. A failure prints the seed that replays it.

namespace hasigner::attempt::test {
namespace {

/// One attempt and what an observer of the store would know of it.
class Walk {
 public:
  explicit Walk(const Facts& facts) : facts_(facts) {}

  /// Lets the attempt run to its end; false: it was still at work after very many steps.
  bool run() {
    const Event first =
        facts_.purpose == Purpose::kRecordForCaller ? Event(SignatureMade{kOwnSignature}) : Event(Begun{});
    take(first);
    for (int steps = 0; steps < 2'000; ++steps) {
      if (std::holds_alternative<Done>(state_)) return true;
      take(next_event());
    }
    return false;
  }

  /// Claims and replacements that may be in the store, and that are not known to be released.
  [[nodiscard]] std::size_t left_behind() const { return may_stand_.size(); }
  [[nodiscard]] const std::optional<Answer>& answer() const { return answer_; }
  [[nodiscard]] int answers() const { return answers_; }
  [[nodiscard]] bool gave_up_settling() const { return gave_up_settling_; }
  [[nodiscard]] int longest_run_without_pause() const { return longest_run_; }
  /// What was recorded or released without what must come before it.
  [[nodiscard]] const std::vector<std::string>& unfounded() const { return unfounded_; }

 private:
  Event next_event() {
    std::vector<const Event*> possible;
    for (const Event& event : all_events()) {
      if (!may_answer(action_, event)) continue;
      if (std::holds_alternative<Stopped>(event) && stop_ < stopped_by_) continue;
      possible.push_back(&event);
    }
    // Most attempts are let come to the end of their story before the clock runs out.
    if (*rc::gen::inRange(0, 12) == 0)
      now_ +=
          *rc::gen::elementOf(std::vector<milliseconds>{milliseconds(500), milliseconds(4'000), milliseconds(61'000)});
    if (*rc::gen::inRange(0, 40) == 0 && stop_ < StopLevel::kClosed) {
      stop_ = static_cast<StopLevel>(static_cast<int>(stop_) + 1);
    }
    Event event = *possible[*rc::gen::inRange<std::size_t>(0, possible.size())];
    if (auto* made = std::get_if<SignatureMade>(&event))
      made->signature = signature_of(*rc::gen::inRange<std::uint8_t>(10, 20));
    return event;
  }

  void take(Event event) {
    observe(event);
    const Action answered = std::exchange(action_, End{});
    const Event said = event;
    const std::function<LockToken(TokenKind)> draw = [this](TokenKind kind) {
      return LockToken::make(kOwnIncarnation, kind,
                             {9, 9, 9, static_cast<std::uint8_t>(++drawn_ >> 8), static_cast<std::uint8_t>(drawn_)});
    };
    if (std::holds_alternative<TimeUp>(event)) now_ = std::max(now_, std::min(until_, now_ + milliseconds(600)));
    const bool was_unsettled = std::holds_alternative<Unsettled>(state_);
    auto step =
        transition(facts_, std::move(state_), std::move(event), {.now = now_, .stop = stop_, .new_token = draw});
    RC_ASSERT(step.has_value());
    state_ = std::move(step->state);
    action_ = std::move(step->action);
    judge(answered, said);
    until_ = step->until;
    stopped_by_ = step->stopped_by;
    gave_up_settling_ = was_unsettled && std::holds_alternative<Done>(state_);
    run_ = std::holds_alternative<Pause>(action_) || std::holds_alternative<Sign>(action_) ? 0 : run_ + 1;
    longest_run_ = std::max(longest_run_, run_);
    if (const auto* claim = std::get_if<SendClaim>(&action_)) sent_ = claim->token;
    if (const auto* claim = std::get_if<SendClaim>(&action_)) own_.insert(claim->token);
    if (std::holds_alternative<SendSignedClaim>(action_)) own_.insert(facts_.token);
    if (const auto* takeover = std::get_if<SendTakeover>(&action_)) own_.insert(takeover->request.token);
    if (const auto* takeover = std::get_if<SendTakeover>(&action_)) {
      sent_ = takeover->request.kind == TakeoverKind::kReplace ? takeover->request.token : LockToken{};
    }
    if (const auto* release = std::get_if<SendRelease>(&action_)) released_ = release->token;
    if (const auto* finish = std::get_if<Finish>(&action_)) {
      ++answers_;
      answer_ = finish->answer;
    }
  }

  /// What the attempt asks for, or answers, after it was told `event` as the answer to `answered`.
  void judge(const Action& answered, const Event& event) {
    if (const auto* made = std::get_if<SignatureMade>(&event)) made_ = made->signature;
    if (const auto* claim = std::get_if<ClaimAnswered>(&event)) {
      own_.insert(claim->outcome.token);
      if (claim->outcome.outcome != RowOutcome::kLocked) see_row(claim->outcome.view);
    }
    if (const auto* looked = std::get_if<ViewAnswered>(&event)) see_row(looked->view);
    if (const auto* claim = std::get_if<SignedClaimAnswered>(&event)) see_row(claim->outcome.view);
    const auto* takeover = std::get_if<TakeoverAnswered>(&event);
    if (takeover && takeover->outcome == RowOutcome::kApplied) won_ = std::get<SendTakeover>(answered).request.token;

    if (const auto* record = std::get_if<SendRecord>(&action_)) {
      const auto& token = facts_.purpose == Purpose::kRecordForCaller ? facts_.token : won_;
      if (record->token != token) unfounded_.push_back("a record under another token than the one that was won last");
      if (record->signature != made_) unfounded_.push_back("a record of a signature that was not made");
    }
    if (const auto* claim = std::get_if<SendSignedClaim>(&action_); claim && claim->signature != made_)
      unfounded_.push_back("a signed claim with a signature that was not made");
    if (const auto* finish = std::get_if<Finish>(&action_)) judge_answer(finish->answer, answered, event);
  }
  void judge_answer(const Answer& answer, const Action& answered, const Event& event) {
    const auto* recorded = std::get_if<RecordAnswered>(&event);
    const auto* claimed = std::get_if<SignedClaimAnswered>(&event);
    const auto* stored = std::get_if<StoredConfirmed>(&event);
    std::optional<Signature> confirmed;
    if (recorded && recorded->outcome == RowOutcome::kApplied) confirmed = std::get<SendRecord>(answered).signature;
    if (claimed && claimed->outcome.outcome == RowOutcome::kApplied)
      confirmed = std::get<SendSignedClaim>(answered).signature;
    if (facts_.purpose == Purpose::kSignUnprotected) confirmed = made_;
    if (const auto* signature = std::get_if<Signature>(&answer); signature && *signature != confirmed)
      unfounded_.push_back("a signature that nothing has confirmed");
    if (std::holds_alternative<Recorded>(answer) && !confirmed)
      unfounded_.push_back("recorded, and nothing has confirmed it");
    if (const auto* held = std::get_if<HeldToken>(&answer); held && held->token != won_)
      unfounded_.push_back("a token that was not won");
    const auto* error = std::get_if<SigningError>(&answer);
    const auto* already = error ? std::get_if<DutyAlreadySigned>(error) : nullptr;
    if (!already || !already->signature) return;
    if (!stored || !stored->is_confirmed || std::get<ConfirmStored>(answered).signature != *already->signature)
      unfounded_.push_back("a stored signature that nothing has confirmed");
  }
  /// The row is won if it carries a token of this attempt and its message.
  void see_row(const DutyView& view) {
    const auto& row = view.row;
    if (row && row->message_hash == facts_.duty.message_hash && own_.contains(row->lock_token)) won_ = row->lock_token;
  }

  /// What the store has done with what was sent, as far as its answer tells.
  void observe(const Event& event) {
    const bool claimed = std::holds_alternative<SendClaim>(action_);
    const bool taken = std::holds_alternative<SendTakeover>(action_) && !sent_.empty();
    if (claimed || taken) {
      const auto* failed = std::get_if<StoreFailed>(&event);
      const bool no_answer = std::holds_alternative<TimeUp>(event) || std::holds_alternative<Stopped>(event);
      if (no_answer || (failed && failed->error.kind == StoreErrorKind::kInDoubt))
        may_stand_[sent_.str()] = Mode::kUnknown;
      if (const auto* answer = std::get_if<TakeoverAnswered>(&event);
          answer && answer->outcome == RowOutcome::kApplied) {
        see(sent_);
      }
      if (const auto* answer = std::get_if<ClaimAnswered>(&event);
          answer && answer->outcome.outcome != RowOutcome::kLocked)
        look(answer->outcome.view, answer->outcome.token);
    }
    if (const auto* answer = std::get_if<ViewAnswered>(&event)) look(answer->view, facts_.token);
    if (const auto* answer = std::get_if<SignedClaimAnswered>(&event);
        answer && answer->outcome.outcome == RowOutcome::kNotMatched) {
      look(answer->outcome.view, facts_.token);
    }
    if (const auto* answer = std::get_if<ReleaseAnswered>(&event); answer && answer->result.settled)
      may_stand_.erase(released_.str());
    if (const auto* answer = std::get_if<RecordAnswered>(&event); answer && answer->outcome == RowOutcome::kApplied)
      may_stand_.clear();
    if (const auto* answer = std::get_if<SignedClaimAnswered>(&event);
        answer && answer->outcome.outcome == RowOutcome::kApplied)
      may_stand_.clear();
  }
  void look(const DutyView& view, const LockToken& claimed) {
    const bool signing = view.row && view.row->status == DutyStatus::kSigning;
    std::erase_if(may_stand_, [&](const auto& entry) {
      return entry.second == Mode::kSeen && !(signing && view.row->lock_token.str() == entry.first);
    });
    if (signing && !claimed.empty() && view.row->lock_token == claimed) see(claimed);
  }
  void see(const LockToken& token) { may_stand_.try_emplace(token.str(), Mode::kSeen); }

  enum class Mode : std::uint8_t { kSeen, kUnknown };
  const Facts& facts_;
  State state_ = New{};
  Action action_ = End{};
  MonotonicTime now_ = kStart, until_{};
  StopLevel stop_ = StopLevel::kRunning, stopped_by_ = StopLevel::kClosed;
  LockToken sent_, released_;
  std::map<std::string, Mode> may_stand_;
  std::set<LockToken> own_;
  LockToken won_;
  std::optional<Signature> made_;
  std::vector<std::string> unfounded_;
  std::optional<Answer> answer_;
  int answers_ = 0, drawn_ = 0, run_ = 0, longest_run_ = 0;
  bool gave_up_settling_ = false;
};

RC_GTEST_PROP(Walk, every_attempt_answers_once_and_comes_to_an_end, ()) {
  const auto facts = *rc::gen::elementOf(all_facts());
  Walk walk(facts);
  RC_ASSERT(walk.run());
  RC_ASSERT(walk.answers() == 1);
}

RC_GTEST_PROP(Walk, nothing_leaves_that_was_not_confirmed_under_the_token_that_was_won_and_for_the_message, ()) {
  const auto facts = *rc::gen::elementOf(all_facts());
  Walk walk(facts);
  RC_ASSERT(walk.run());
  RC_ASSERT(walk.unfounded() == std::vector<std::string>{});
}

RC_GTEST_PROP(Walk, every_claim_ends_recorded_released_or_left_for_a_reason_that_is_named, ()) {
  const auto facts = *rc::gen::elementOf(all_facts());
  Walk walk(facts);
  RC_ASSERT(walk.run());
  if (walk.left_behind() == 0) return;
  const auto& answer = *walk.answer();
  const bool is_the_callers = std::holds_alternative<HeldToken>(answer) || facts.purpose == Purpose::kRecordForCaller;
  const auto* error = std::get_if<SigningError>(&answer);
  const bool is_in_doubt = error && std::holds_alternative<InDoubt>(*error);
  RC_ASSERT(is_the_callers || is_in_doubt || walk.gave_up_settling());
}

RC_GTEST_PROP(Walk, the_store_is_not_asked_again_and_again_without_a_pause, ()) {
  const auto facts = *rc::gen::elementOf(all_facts());
  Walk walk(facts);
  RC_ASSERT(walk.run());
  RC_ASSERT(walk.longest_run_without_pause() < 40);
}

}  // namespace
}  // namespace hasigner::attempt::test
