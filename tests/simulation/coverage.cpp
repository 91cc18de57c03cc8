#include "tests/simulation/coverage.hpp"

#include "hasigner/protection/attempt/names.hpp"

namespace hasigner::simulation {

namespace {

constexpr std::array<std::string_view, kTold> kToldNames = {"begun",
                                                            "turn came",
                                                            "lease held",
                                                            "lease refused",
                                                            "lease not renewed",
                                                            "signature made",
                                                            "signing failed",
                                                            "claim read",
                                                            "claim locked",
                                                            "signed claim applied",
                                                            "signed claim not matched",
                                                            "signed claim locked",
                                                            "view",
                                                            "takeover applied",
                                                            "takeover not matched",
                                                            "takeover locked",
                                                            "record applied",
                                                            "record not matched",
                                                            "record locked",
                                                            "stored confirmed",
                                                            "stored not confirmed",
                                                            "release applied",
                                                            "release not matched",
                                                            "release locked",
                                                            "release not settled",
                                                            "unavailable",
                                                            "in doubt",
                                                            "incompatible",
                                                            "in flight ended",
                                                            "delivered",
                                                            "time up",
                                                            "stopped"};

/// `applied`, or what comes after it for the other outcomes.
Told of(RowOutcome outcome, Told applied) {
  return static_cast<Told>(static_cast<std::size_t>(applied) + static_cast<std::size_t>(outcome));
}

struct ToldBy {
  Told operator()(const attempt::Begun&) const { return Told::kBegun; }
  Told operator()(const attempt::TurnCame&) const { return Told::kTurnCame; }
  Told operator()(const attempt::LeaseHeld&) const { return Told::kLeaseHeld; }
  Told operator()(const attempt::LeaseRefused&) const { return Told::kLeaseRefused; }
  Told operator()(const attempt::LeaseNotRenewed&) const { return Told::kLeaseNotRenewed; }
  Told operator()(const attempt::SignatureMade&) const { return Told::kSignatureMade; }
  Told operator()(const attempt::SigningFailed&) const { return Told::kSigningFailed; }
  Told operator()(const attempt::ClaimAnswered& it) const {
    return it.outcome.outcome == RowOutcome::kLocked ? Told::kClaimLocked : Told::kClaimRead;
  }
  Told operator()(const attempt::SignedClaimAnswered& it) const {
    return of(it.outcome.outcome, Told::kSignedClaimApplied);
  }
  Told operator()(const attempt::ViewAnswered&) const { return Told::kView; }
  Told operator()(const attempt::TakeoverAnswered& it) const { return of(it.outcome, Told::kTakeoverApplied); }
  Told operator()(const attempt::RecordAnswered& it) const { return of(it.outcome, Told::kRecordApplied); }
  Told operator()(const attempt::StoredConfirmed& it) const {
    return it.is_confirmed ? Told::kStoredConfirmed : Told::kStoredNotConfirmed;
  }
  Told operator()(const attempt::ReleaseAnswered& it) const {
    if (it.result.outcome == RowOutcome::kLocked) return Told::kReleaseLocked;
    return it.result.settled ? of(it.result.outcome, Told::kReleaseApplied) : Told::kReleaseNotSettled;
  }
  Told operator()(const attempt::StoreFailed& it) const {
    return static_cast<Told>(static_cast<std::size_t>(Told::kUnavailable) + static_cast<std::size_t>(it.error.kind));
  }
  Told operator()(const attempt::InFlightEnded&) const { return Told::kInFlightEnded; }
  Told operator()(const attempt::Delivered&) const { return Told::kDelivered; }
  Told operator()(const attempt::TimeUp&) const { return Told::kTimeUp; }
  Told operator()(const attempt::Stopped&) const { return Told::kStopped; }
};

}  // namespace

Told told_by(const attempt::Event& event) {
  return std::visit(ToldBy{}, event);
}

void Coverage::add(const Coverage& other) {
  for (std::size_t state = 0; state < kStates; ++state) {
    for (std::size_t told = 0; told < kTold; ++told) counts[state][told] += other.counts[state][told];
  }
}

std::string Coverage::describe() const {
  std::string text;
  for (std::size_t state = 0; state < kStates; ++state) {
    std::string line;
    for (std::size_t told = 0; told < kTold; ++told) {
      if (counts[state][told] == 0) continue;
      line += (line.empty() ? "" : ", ") + std::string(kToldNames[told]) + " " + std::to_string(counts[state][told]);
    }
    if (!line.empty()) text += std::string(attempt::kStateNames[state]) + ": " + line + "\n";
  }
  return text;
}

std::string Coverage::name_of(std::size_t state, std::size_t told) {
  return std::string(attempt::kStateNames[state]) + ", " + std::string(kToldNames[told]);
}

}  // namespace hasigner::simulation
