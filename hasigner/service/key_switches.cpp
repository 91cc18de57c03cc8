#include "hasigner/service/key_switches.hpp"

#include <algorithm>
#include <chrono>

#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::service {

namespace {

constexpr milliseconds kSwitchesReadTimeout{2'000};
constexpr milliseconds kSwitchSetTimeout{5'000};

}  // namespace

std::size_t KeySwitches::disabled() const {
  const auto is_disabled = [](const auto& entry) { return !entry.second.is_enabled; };
  return static_cast<std::size_t>(std::ranges::count_if(known_, is_disabled));
}

/// Before the store is read again, and also if it cannot be.
void KeySwitches::put(const EthAddress& key, KeySwitch now) {
  // What a read that has begun before this will say is older.
  latest_ = ++requests_;
  if (is_disabled(key) != now.is_enabled) return;
  known_[key] = now;
  on_change_(key, now);
}

void KeySwitches::take(std::vector<KeySwitch> switches) {
  std::map<EthAddress, KeySwitch> now;
  for (auto& one : switches) {
    if (const auto key = EthAddress::try_parse(one.address)) now[*key] = std::move(one);
  }
  const auto before = std::exchange(known_, std::move(now));
  were_read_ = true;
  if (!has_tried_) return;
  for (const auto& [key, one] : known_) {
    const auto old = before.find(key);
    const bool was_enabled = old == before.end() || old->second.is_enabled;
    if (was_enabled != one.is_enabled) on_change_(key, one);
  }
  for (const auto& [key, one] : before) {
    if (one.is_enabled || known_.contains(key)) continue;
    on_change_(
        key,
        {.address = one.address, .is_enabled = true, .changed_by = "unknown: its row was removed", .changed_at = {}});
  }
}

asio::awaitable<void> KeySwitches::read(std::shared_ptr<KeySwitches> self) {
  const auto number = ++self->requests_;
  auto reading = self->node_.history().key_switches(self->node_.clock().now() + kSwitchesReadTimeout);
  auto switches = co_await std::move(reading);
  if (number < self->latest_) co_return;
  self->latest_ = number;
  const std::string failure = switches ? "" : printable(switches.error().reason, 500);
  if (switches) self->take(std::move(*switches));
  self->has_tried_ = true;
  const bool is_news = self->failure_.empty() != failure.empty();
  self->failure_ = failure;
  if (is_news) self->on_failure_(failure);
}

asio::awaitable<void> KeySwitches::watch(std::weak_ptr<KeySwitches> weak, asio::any_io_executor executor) {
  asio::steady_timer timer(executor);
  for (;;) {
    timer.expires_after(kBetweenReads);
    co_await timer.async_wait(asio::use_awaitable);
    const auto self = weak.lock();
    if (!self) co_return;
    auto reading = read(self);
    co_await std::move(reading);
  }
}

asio::awaitable<StoreResult<bool>> KeySwitches::set(std::shared_ptr<KeySwitches> self, EthAddress key, KeyState state,
                                                    std::string by) {
  auto setting = self->node_.history().set_key_switch(key, state, by, self->node_.clock().now() + kSwitchSetTimeout);
  auto changed = co_await std::move(setting);
  if (changed) {
    const auto now = std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    self->put(key, {.address = key.to_string(),
                    .is_enabled = state == KeyState::kEnabled,
                    .changed_by = std::move(by),
                    .changed_at = utc_text(now)});
    auto reading = read(self);
    co_await std::move(reading);
  }
  co_return changed;
}

}  // namespace hasigner::service
