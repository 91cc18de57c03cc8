#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>

#include "hasigner/protection/clock.hpp"

namespace hasigner {

/// Whether this node should take duties, as a check outside of the protocol says: for one, that the Aztec node which
/// asks it for signatures has peers.
///
/// So many failures in a row make the node unhealthy, one success makes it healthy again. A node that has not been
/// checked is healthy. Nothing about safety rests on it.
/// Thread safety: one executor, the protocol's.
class NodeHealth {
 public:
  /// What an unhealthy node does with a duty that it is asked for for the first time.
  enum class Action : std::uint8_t {
    kHoldBack,  ///< claims it later, so that a healthy node wins it, and so that it is signed where none is healthy
    kRefuse,    ///< refuses it with Unhealthy
  };
  struct Rules {
    std::size_t failures_in_a_row = 3;
    Action action = Action::kHoldBack;
    milliseconds delay{1'000};  ///< to hold back, beside SignerConfig::claim_delay
  };
  /// The outcome of a check: the error says in a sentence's main clause what is wrong, without secrets.
  using Outcome = std::expected<void, std::string>;

  explicit NodeHealth(Rules rules) : rules_(rules) {}

  /// Returns whether the node has become healthy or unhealthy by this outcome.
  [[nodiscard]] bool note(Outcome outcome);

  [[nodiscard]] bool is_healthy() const { return failures_ < rules_.failures_in_a_row; }
  /// What was wrong at the latest check; empty when nothing was.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  [[nodiscard]] const Rules& rules() const { return rules_; }

 private:
  Rules rules_;
  std::size_t failures_ = 0;  ///< in a row
  std::string failure_;
};

}  // namespace hasigner
