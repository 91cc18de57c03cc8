#include "tests/contract/racer.hpp"

#include <algorithm>
#include <map>

#include "hasigner/protection/async.hpp"

namespace hasigner::contract {
namespace {

constexpr milliseconds kWholeRace{60'000};
constexpr milliseconds kCall{20'000};
constexpr std::size_t kLargestBatch = 40;

/// One racer's run.
class Race {
 public:
  explicit Race(RaceEntry entry) : entry_(std::move(entry)), random_(entry_.racer) {
    incarnation_.bytes().fill(entry_.racer);
    for (std::uint64_t number = 0; number < entry_.duties; ++number) open_.emplace(number, new_token());
  }

  asio::awaitable<void> run() {
    const auto end = now() + kWholeRace;
    co_await keep_lease();
    while (!open_.empty()) {
      if (now() > end) throw std::runtime_error("the race does not end");
      co_await keep_lease();
      co_await claim_some_signed();
      std::vector<std::uint64_t> won = co_await claim_some();
      if (entry_.stands_still_after && confirmed_ >= *entry_.stands_still_after && !won.empty()) {
        entry_.stands_still_after.reset();
        co_await entry_.standing_still();
      }
      const bool progress = co_await record(std::move(won));
      const auto pause = now() + milliseconds(progress ? 0 : chance(5) + 1);
      co_await sleep_until(entry_.executor, *entry_.clock, pause);
    }
    const NodeRegistration last = registration();
    [[maybe_unused]] auto lease_ended = co_await entry_.connection.store->end_lease(last, now() + kCall);
  }

 private:
  [[nodiscard]] MonotonicTime now() const { return entry_.clock->now(); }
  [[nodiscard]] NodeRegistration registration() const { return {entry_.node_id, incarnation_, entry_.lease}; }
  std::uint32_t chance(std::uint32_t of) { return static_cast<std::uint32_t>(random_()) % of; }
  LockToken new_token() {
    ++tokens_;
    return LockToken::make(incarnation_, TokenKind::kFenced,
                           {0, 0, 0, static_cast<std::uint8_t>(tokens_ >> 24), static_cast<std::uint8_t>(tokens_ >> 16),
                            static_cast<std::uint8_t>(tokens_ >> 8), static_cast<std::uint8_t>(tokens_)});
  }
  [[nodiscard]] Duty duty(std::uint64_t number) const { return {raced_duty(number), {}, {}, raced_data(entry_.racer)}; }
  static Signature signature(std::uint8_t racer) {
    Signature signature;
    signature.bytes().fill(racer);
    return signature;
  }

  asio::awaitable<void> keep_lease() {
    if (renewed_at_ && now() < *renewed_at_ + entry_.lease / 4) co_return;
    const auto sent_at = now();
    const NodeRegistration node = registration();
    if (!renewed_at_) {
      auto outcome = co_await entry_.connection.store->register_node(node, now() + kCall);
      if (!outcome || !outcome->registered) throw std::runtime_error("the racer could not be registered");
    } else {
      auto renewed = co_await entry_.connection.store->renew(node, now() + kCall);
      if (renewed && !*renewed) throw std::runtime_error("another racer has this node id");
    }
    renewed_at_ = sent_at;
  }

  std::vector<std::uint64_t> choose() {
    std::vector<std::uint64_t> numbers;
    for (const auto& [number, token] : open_) numbers.push_back(number);
    std::ranges::shuffle(numbers, random_);
    numbers.resize(std::min<std::size_t>(numbers.size(), 1 + chance(kLargestBatch)));
    return numbers;
  }

  /// Now and then, claims and records at once.
  asio::awaitable<void> claim_some_signed() {
    if (!entry_.connection.store->capabilities().signed_claims || chance(2) == 0 || open_.empty()) co_return;
    const std::vector<std::uint64_t> numbers = choose();
    std::vector<SignedClaim> claims;
    for (const std::uint64_t number : numbers)
      claims.push_back({duty(number), open_.at(number), signature(entry_.racer)});
    auto reply = co_await entry_.connection.store->claim_signed(entry_.node_id, std::move(claims), now() + kCall);
    for (std::size_t i = 0; reply && i < numbers.size(); ++i) {
      const SignedClaimOutcome& outcome = (*reply)[i];
      const bool applied = outcome.outcome == RowOutcome::kApplied;
      if (applied) entry_.confirmed(numbers[i]);
      confirmed_ += applied ? 1 : 0;
      if (applied || (outcome.view.row && outcome.view.row->status == DutyStatus::kSigned)) open_.erase(numbers[i]);
    }
  }

  /// The duties that are now held.
  asio::awaitable<std::vector<std::uint64_t>> claim_some() {
    const std::vector<std::uint64_t> numbers = choose();
    std::vector<DutyClaim> claims;
    for (const std::uint64_t number : numbers) claims.push_back({duty(number), open_.at(number)});
    auto reply = co_await entry_.connection.store->claim(entry_.node_id, std::move(claims), now() + kCall);
    std::vector<std::uint64_t> held;
    if (!reply) co_return held;

    std::vector<Takeover> takeovers;
    std::vector<std::uint64_t> taken_over;
    std::vector<DutyRelease> releases;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const ClaimOutcome& outcome = (*reply)[i];
      if (outcome.outcome == RowOutcome::kLocked || !outcome.view.row) continue;
      const DutyRow& row = *outcome.view.row;
      const LockToken& mine = open_.at(numbers[i]);
      if (row.status == DutyStatus::kSigned) {
        open_.erase(numbers[i]);
      } else if (row.lock_token == mine && chance(8) == 0) {
        releases.push_back({raced_duty(numbers[i]), mine});
        open_[numbers[i]] = new_token();
      } else if (row.lock_token == mine) {
        held.push_back(numbers[i]);
      } else if (row.holder == HolderState::kExpired) {
        takeovers.push_back({TakeoverKind::kReplace, duty(numbers[i]), row.lock_token, mine});
        taken_over.push_back(numbers[i]);
      }
    }
    if (!releases.empty()) {
      [[maybe_unused]] auto released = co_await entry_.connection.store->release(std::move(releases), now() + kCall);
    }
    if (takeovers.empty()) co_return held;
    auto outcomes = co_await entry_.connection.store->take_over(entry_.node_id, std::move(takeovers), now() + kCall);
    for (std::size_t i = 0; outcomes && i < taken_over.size(); ++i) {
      if ((*outcomes)[i] == RowOutcome::kApplied) held.push_back(taken_over[i]);
    }
    co_return held;
  }

  /// False: nothing was confirmed.
  asio::awaitable<bool> record(std::vector<std::uint64_t> held) {
    std::vector<DutyRecord> records;
    for (const std::uint64_t number : held) {
      records.push_back({raced_duty(number), open_.at(number), raced_data(entry_.racer), signature(entry_.racer)});
    }
    if (records.empty()) co_return false;
    auto reply = co_await entry_.connection.store->record(std::move(records), now() + kCall);
    if (!reply) co_return false;
    bool any = false;
    for (std::size_t i = 0; i < held.size(); ++i) {
      switch ((*reply)[i]) {
        case RowOutcome::kApplied:
          entry_.confirmed(held[i]);
          open_.erase(held[i]);
          ++confirmed_;
          any = true;
          break;
        case RowOutcome::kNotMatched: open_[held[i]] = new_token(); break;
        case RowOutcome::kLocked: break;
      }
    }
    co_return any;
  }

  RaceEntry entry_;
  std::mt19937 random_;
  Incarnation incarnation_;
  std::map<std::uint64_t, LockToken> open_;  ///< not yet known to be signed, with this racer's token
  std::optional<MonotonicTime> renewed_at_;
  std::uint32_t tokens_ = 0;
  std::uint64_t confirmed_ = 0;
};

}  // namespace

DutyKey raced_duty(std::uint64_t number) {
  DutyKey key;
  key.rollup.bytes().fill(0xaa);
  key.validator.bytes().fill(static_cast<std::uint8_t>(number % 50));
  key.slot = Slot::from(number).value();
  return key;
}

MessageHash raced_data(std::uint8_t racer) {
  MessageHash hash;
  hash.bytes().fill(racer);
  return hash;
}

asio::awaitable<void> race(RaceEntry entry) {
  Race race(std::move(entry));
  co_await race.run();
}

}  // namespace hasigner::contract
