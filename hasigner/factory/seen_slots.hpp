#pragma once

#include <memory>

#include "hasigner/async/asio.hpp"
#include "hasigner/protection/history.hpp"
#include "hasigner/protection/plausible_slots.hpp"

namespace hasigner {

/// The highest slot of the rollup in the store, of any validator, that is not later than `latest`. Returns nullopt when
/// there is none.
[[nodiscard]] asio::awaitable<StoreResult<std::optional<SlotAnchor>>> highest_seen_slot(
    std::shared_ptr<History> history, EthAddress rollup, Slot latest, MonotonicTime deadline);

/// One look for the anchor of these slots, of some seconds at most. A store that does not answer leaves them as they
/// are.
[[nodiscard]] asio::awaitable<void> look_for_seen_slots(std::shared_ptr<PlausibleSlots> slots,
                                                        std::shared_ptr<History> history, EthAddress rollup);

/// Looks from time to time until the slots have their anchor.
///
/// Thread safety: one executor.
class SeenSlotsSearch {
 public:
  explicit SeenSlotsSearch(asio::any_io_executor executor) : timer_(std::move(executor)) {}

  [[nodiscard]] static asio::awaitable<void> run(std::shared_ptr<SeenSlotsSearch> self,
                                                 std::shared_ptr<PlausibleSlots> slots,
                                                 std::shared_ptr<History> history, EthAddress rollup);
  void end() {
    ended_ = true;
    timer_.cancel();
  }

 private:
  asio::steady_timer timer_;
  bool ended_ = false;
};

}  // namespace hasigner
