#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "hasigner/duty/duty.hpp"

namespace hasigner::demo {

/// The duties of a demonstration: in each slot every validator has one of each protected type, and a second block
/// proposal.
///
/// A duty is named by its number, counted by slot, then validator, then type.
class Duties {
 public:
  static constexpr std::size_t kPerValidator = 7;

  Duties(EthAddress rollup, std::vector<EthAddress> validators, std::size_t slots);

  [[nodiscard]] std::size_t count() const { return slots_ * per_slot(); }
  [[nodiscard]] std::size_t per_slot() const { return validators_.size() * kPerValidator; }
  [[nodiscard]] std::size_t slots() const { return slots_; }
  [[nodiscard]] std::size_t first_of(std::size_t slot_index) const { return slot_index * per_slot(); }
  [[nodiscard]] std::size_t slot_index_of(std::size_t duty) const { return duty / per_slot(); }
  [[nodiscard]] const EthAddress& rollup() const { return rollup_; }
  [[nodiscard]] const std::vector<EthAddress>& validators() const { return validators_; }

  [[nodiscard]] std::size_t validator_index_of(std::size_t duty) const { return duty % per_slot() / kPerValidator; }
  [[nodiscard]] const EthAddress& validator_of(std::size_t duty) const;
  [[nodiscard]] SigningContext context_of(std::size_t duty) const;

  /// Whether every node makes this message itself, so that no two are alike: true for proposals.
  [[nodiscard]] bool differs_by_node(std::size_t duty) const;

  /// What `author` (a node in one of its lives) wants to have signed.
  [[nodiscard]] MessageHash message_of(std::size_t duty, std::string_view author) const;

 private:
  EthAddress rollup_;
  std::vector<EthAddress> validators_;
  std::size_t slots_;
};

}  // namespace hasigner::demo
