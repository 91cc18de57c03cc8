#pragma once

#include <functional>
#include <string>
#include <vector>

#include "hasigner/protection/attempt/transition.hpp"

// For the tests of transition(): everything that an attempt can be told, and every state that it can reach.

namespace hasigner::attempt::test {

inline const Incarnation kOwnIncarnation{{1, 2, 3, 4, 5, 6, 7, 8}};
inline const LockToken kClaimToken = LockToken::make(kOwnIncarnation, TokenKind::kFenced, {1});
inline const LockToken kReplacementToken = LockToken::make(kOwnIncarnation, TokenKind::kFenced, {2});
inline const LockToken kTakeoverToken = LockToken::make(kOwnIncarnation, TokenKind::kTakenOver, {3});
inline const LockToken kHandedOutToken = LockToken::make(kOwnIncarnation, TokenKind::kHandedOut, {4});
inline const LockToken kOther("another's token");
inline const LockToken kForeign("made by the database");

inline const MonotonicTime kStart = MonotonicTime{} + std::chrono::hours(1);
inline const MonotonicTime kPeerTimedOut = kStart + std::chrono::seconds(10);
inline const MonotonicTime kOver = kStart + std::chrono::hours(1);

inline MessageHash hash_of(std::uint8_t byte) {
  MessageHash hash;
  hash.bytes().fill(byte);
  return hash;
}
inline Signature signature_of(std::uint8_t byte) {
  Signature signature;
  signature.bytes().fill(byte);
  return signature;
}
inline const MessageHash kOwnHash = hash_of(1);
inline const MessageHash kOtherHash = hash_of(2);
inline const Signature kOwnSignature = signature_of(1);
inline const Signature kStoredSignature = signature_of(3);

/// Facts of an attempt of each purpose, on each kind of store.
[[nodiscard]] std::vector<Facts> all_facts();
/// What a store can find, for a claim under this token.
[[nodiscard]] std::vector<DutyView> all_views();
/// Every kind of event with every kind of content.
[[nodiscard]] const std::vector<Event>& all_events();
[[nodiscard]] LockToken new_token(TokenKind kind);

/// One transition that can happen.
struct Edge {
  const Facts& facts;
  const State& from;
  const Event& event;
  const Moment& moment;
  const Step& step;
};

/// Visits every transition from every state that the facts can reach, whatever happens and whenever.
/// `unexpected` is called with each pair for which transition() has no step.
void explore(const std::function<void(const Edge&)>& visit,
             const std::function<void(const State&, const Event&)>& unexpected = {});

/// Which events may answer an action.
[[nodiscard]] bool may_answer(const Action& action, const Event& event);

}  // namespace hasigner::attempt::test
