#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <tuple>

#include "hasigner/duty/duty.hpp"
#include "hasigner/duty/ownership.hpp"

// What holds for all values, not only for chosen examples. A failure prints the seed that replays it.

namespace hasigner {
namespace {

constexpr std::int64_t kMaxNumber = 9223372036854775807;

EthAddress any_address() {
  return EthAddress(*rc::gen::arbitrary<std::array<std::uint8_t, 20>>());
}

Slot any_slot() {
  return *Slot::from_signed(*rc::gen::inRange<std::int64_t>(0, kMaxNumber));
}

DutyType any_type() {
  return *rc::gen::elementOf(std::vector<DutyType>(kProtectedDutyTypes.begin(), kProtectedDutyTypes.end()));
}

/// Few addresses and slots, so that keys often agree in their first parts.
DutyKey any_key(const std::vector<EthAddress>& addresses) {
  return {.rollup = *rc::gen::elementOf(addresses),
          .validator = *rc::gen::elementOf(addresses),
          .slot = *Slot::from_signed(*rc::gen::inRange<std::int64_t>(0, 3)),
          .duty_type = any_type(),
          .block_index = *rc::gen::inRange<std::int32_t>(-1, 3)};
}

auto columns_of(const DutyKey& key) {
  return std::tuple(key.rollup.to_string(), key.validator.to_string(), key.slot.value(),
                    static_cast<int>(key.duty_type), key.block_index);
}

RC_GTEST_PROP(DutyKeyProperty, keys_are_ordered_and_equal_as_their_columns_are, ()) {
  const std::vector<EthAddress> addresses = {any_address(), any_address()};
  const DutyKey a = any_key(addresses);
  const DutyKey b = any_key(addresses);
  RC_ASSERT((a < b) == (columns_of(a) < columns_of(b)));
  RC_ASSERT((a == b) == (columns_of(a) == columns_of(b)));
  RC_ASSERT(a != b || DutyKeyHash{}(a) == DutyKeyHash{}(b));
}

RC_GTEST_PROP(ValueProperty, what_is_written_is_read_back, ()) {
  const auto address = any_address();
  const auto slot = any_slot();
  RC_ASSERT(EthAddress::try_parse(address.to_string()) == address);
  RC_ASSERT(*Slot::parse(slot.to_string()) == slot);
}

RC_GTEST_PROP(MakeDutyProperty, a_block_index_is_demanded_of_block_proposals_and_of_nothing_else, ()) {
  const auto type = any_type();
  const auto index =
      *rc::gen::maybe(rc::gen::oneOf(rc::gen::inRange<std::int64_t>(-3, 3), rc::gen::arbitrary<std::int64_t>()));
  const bool allowed =
      type == DutyType::kBlockProposal ? index && *index >= 0 && *index <= 2147483647 : !index || *index == -1;
  const auto duty =
      make_duty(any_address(), any_address(), MessageHash(),
                {.duty_type = type, .slot = any_slot(), .block_index = index ? std::optional(*index) : std::nullopt});
  RC_ASSERT(duty.has_value() == allowed);
  RC_ASSERT(!duty || duty->key.block_index == (index ? *index : -1));
}

RC_GTEST_PROP(LockTokenProperty, a_token_of_ours_names_its_incarnation_and_kind, ()) {
  const Incarnation incarnation(*rc::gen::arbitrary<std::array<std::uint8_t, 8>>());
  const auto kind = *rc::gen::element(TokenKind::kFenced, TokenKind::kTakenOver, TokenKind::kHandedOut);
  const auto token = LockToken::make(incarnation, kind, *rc::gen::arbitrary<std::array<std::uint8_t, 7>>());
  RC_ASSERT(token.str().size() == 32u);
  RC_ASSERT(token.incarnation() == incarnation);
  RC_ASSERT(token.kind() == kind);
}

}  // namespace
}  // namespace hasigner
