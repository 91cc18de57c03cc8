#include "hasigner/factory/seen_slots.hpp"

#include <boost/asio/redirect_error.hpp>

#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner {

namespace {

constexpr milliseconds kLookTimeout{2'000};
constexpr auto kPause = std::chrono::minutes(1);

}  // namespace

asio::awaitable<StoreResult<std::optional<SlotAnchor>>> highest_seen_slot(std::shared_ptr<History> history,
                                                                          EthAddress rollup, Slot latest,
                                                                          MonotonicTime deadline) {
  DutyFilter filter;
  filter.rollup = rollup;
  filter.to_slot = latest;
  filter.limit = 1;
  auto reading = history->duties(std::move(filter), deadline);
  const auto rows = co_await std::move(reading);
  if (!rows) co_return std::unexpected(rows.error());
  if (rows->empty()) co_return std::optional<SlotAnchor>();
  // A foreign row may hold anything.
  const auto slot = Slot::parse(rows->front().slot);
  const auto at = parse_utc_text(rows->front().started_at);
  if (!slot || !at) co_return std::optional<SlotAnchor>();
  co_return std::optional(SlotAnchor{*slot, std::chrono::floor<std::chrono::seconds>(*at)});
}

asio::awaitable<void> look_for_seen_slots(std::shared_ptr<PlausibleSlots> slots, std::shared_ptr<History> history,
                                          EthAddress rollup) {
  const auto deadline = std::chrono::steady_clock::now() + kLookTimeout;
  auto looking = highest_seen_slot(history, rollup, slots->latest_anchor(), deadline);
  const auto seen = co_await std::move(looking);
  if (seen && *seen) slots->seen(**seen);
}

asio::awaitable<void> SeenSlotsSearch::run(std::shared_ptr<SeenSlotsSearch> self, std::shared_ptr<PlausibleSlots> slots,
                                           std::shared_ptr<History> history, EthAddress rollup) {
  while (slots->wants_anchor() && !self->ended_) {
    self->timer_.expires_after(kPause);
    boost::system::error_code cancelled;
    co_await self->timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    if (cancelled) co_return;
    auto looking = look_for_seen_slots(slots, history, rollup);
    co_await std::move(looking);
  }
}

}  // namespace hasigner
