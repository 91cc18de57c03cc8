#pragma once

#include <cstdint>
#include <functional>
#include <random>

#include "tests/contract/store_under_test.hpp"

namespace hasigner::contract {

/// The number-th of the duties that racers race for.
[[nodiscard]] DutyKey raced_duty(std::uint64_t number);
/// What a racer signs: data of its own, so that two of them never agree.
[[nodiscard]] MessageHash raced_data(std::uint8_t racer);

struct RaceEntry {
  Connection connection;
  std::shared_ptr<Clock> clock;
  asio::any_io_executor executor;
  NodeId node_id;
  std::uint8_t racer = 0;    ///< also the seed
  std::uint64_t duties = 0;  ///< how many are raced for
  milliseconds lease{1'000};
  /// Told of each confirmed record, at once.
  std::function<void(std::uint64_t number)> confirmed;
  /// After this many confirmed records the racer claims once more, and then stands still.
  std::optional<std::uint64_t> stands_still_after;
  /// Told when it stands still, holding rows. What it is given, it calls to go on.
  std::function<asio::awaitable<void>()> standing_still;
};

/// Claims, releases, replaces and records duties in random order and batches until all of them are signed.
///
/// It does what the store allows and keeps no rule of its own, so only the store stands between two messages for a
/// duty. Errors: throws std::runtime_error when that does not come to an end.
[[nodiscard]] asio::awaitable<void> race(RaceEntry entry);

}  // namespace hasigner::contract
