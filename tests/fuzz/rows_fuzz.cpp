// What a table or an exported file may hold: what is accepted is written back the same, what is refused can be shown.

#include <array>
#include <string>

#include "hasigner/duty/assert.hpp"
#include "hasigner/store/rows/table_row.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace hasigner;

void check_time(std::string_view text) {
  const auto time = parse_utc_text(text);
  if (!time) return;
  HASIGNER_ASSERT(parse_utc_text(utc_text(*time)) == time);
}

/// One field a line.
DutyEntry entry_of(std::string_view text) {
  DutyEntry entry;
  for (std::string* field :
       {&entry.rollup, &entry.validator, &entry.slot, &entry.block_number, &entry.checkpoint_number, &entry.block_index,
        &entry.duty_type, &entry.status, &entry.message_hash, &entry.signature, &entry.node_id, &entry.lock_token,
        &entry.started_at, &entry.completed_at, &entry.expires_at}) {
    const auto end = text.find('\n');
    *field = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return entry;
}

void check_entry(std::string_view text) {
  const auto row = table_row_of(entry_of(text));
  if (!row) return test::check_showable(row.error());
  test::check_showable(describe(*row));
  const auto seen = duty_row_of(*row, HolderState::kUnfenced);
  HASIGNER_ASSERT(seen.status == row->status);
  const auto again = table_row_of(duty_entry_of(*row));
  HASIGNER_ASSERT(again && again->slot == row->slot && again->message_hash == row->message_hash &&
                  again->lock_token == row->lock_token && again->started_at == row->started_at &&
                  again->signature == row->signature && again->block_index == row->block_index);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = test::text_of(bytes, size);
  check_time(text);
  check_entry(text);
  return 0;
}
