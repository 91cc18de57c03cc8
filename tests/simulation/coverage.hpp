#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "hasigner/protection/attempt/state.hpp"

namespace hasigner::simulation {

/// What an attempt was told: an event, and for the answers of a store what they said.
enum class Told : std::uint8_t {
  kBegun,
  kTurnCame,
  kLeaseHeld,
  kLeaseRefused,
  kLeaseNotRenewed,
  kSignatureMade,
  kSigningFailed,
  kClaimRead,
  kClaimLocked,
  kSignedClaimApplied,
  kSignedClaimNotMatched,
  kSignedClaimLocked,
  kView,
  kTakeoverApplied,
  kTakeoverNotMatched,
  kTakeoverLocked,
  kRecordApplied,
  kRecordNotMatched,
  kRecordLocked,
  kStoredConfirmed,
  kStoredNotConfirmed,
  kReleaseApplied,
  kReleaseNotMatched,
  kReleaseLocked,
  kReleaseNotSettled,
  kUnavailable,
  kInDoubt,
  kIncompatible,
  kInFlightEnded,
  kDelivered,
  kTimeUp,
  kStopped,
};
inline constexpr std::size_t kTold = static_cast<std::size_t>(Told::kStopped) + 1;

[[nodiscard]] Told told_by(const attempt::Event& event);

/// How often attempts were told what in which state.
struct Coverage {
  static constexpr std::size_t kStates = std::variant_size_v<attempt::State>;

  std::array<std::array<std::uint64_t, kTold>, kStates> counts{};

  void count(const attempt::State& state, const attempt::Event& event) {
    ++counts[state.index()][static_cast<std::size_t>(told_by(event))];
  }
  void add(const Coverage& other);
  /// One line for each state, in the words of docs/protocol.md.
  [[nodiscard]] std::string describe() const;
  /// As "Recording, record locked".
  [[nodiscard]] static std::string name_of(std::size_t state, std::size_t told);
};

}  // namespace hasigner::simulation
