#include "hasigner/factory/take_up_signed.hpp"

#include <charconv>

namespace hasigner {

namespace {

constexpr milliseconds kTimeout{3'000};
/// Of each validator so many are read, so that a start of a node with a thousand validators is not held up.
constexpr std::size_t kMostRows = 1'000;

/// A foreign row may hold anything.
std::optional<JournalEntry> entry_of(const DutyEntry& row) {
  const auto rollup = EthAddress::try_parse(row.rollup);
  const auto validator = EthAddress::try_parse(row.validator);
  const auto slot = Slot::parse(row.slot);
  const auto type = parse_duty_type(row.duty_type);
  const auto hash = MessageHash::try_parse(row.message_hash);
  std::int32_t block_index = 0;
  const auto* const end = row.block_index.data() + row.block_index.size();
  const bool is_number = std::from_chars(row.block_index.data(), end, block_index).ptr == end;
  if (!rollup || !validator || !slot || !type || !hash || !is_number) return std::nullopt;
  return JournalEntry{.key = {.rollup = *rollup,
                              .validator = *validator,
                              .slot = *slot,
                              .duty_type = *type,
                              .block_index = block_index},
                      .message_hash = *hash,
                      .signature = Signature::try_parse(row.signature)};
}

}  // namespace

asio::awaitable<void> take_up_signed(std::shared_ptr<JournaledStore> journaled, std::shared_ptr<History> history,
                                     NodeId node_id, EthAddress rollup) {
  const auto deadline = std::chrono::steady_clock::now() + kTimeout;
  DutyFilter filter;
  filter.rollup = rollup;
  filter.status = DutyStatus::kSigned;
  filter.limit = kMostRows;
  auto reading = history->duties(std::move(filter), deadline);
  const auto rows = co_await std::move(reading);
  if (!rows) co_return;
  std::vector<JournalEntry> entries;
  for (const auto& row : *rows) {
    // Not asked of the store, which might look through all its rows for those of a node that has few.
    if (row.node_id != node_id.str()) continue;
    if (auto entry = entry_of(row)) entries.push_back(std::move(*entry));
  }
  auto taking = JournaledStore::take_up(std::move(journaled), std::move(entries), deadline);
  const auto taken = co_await std::move(taking);
  (void)taken;
}

}  // namespace hasigner
