// What an Aztec node's own store may hold: bytes as a record, and as a file. What is accepted can be written to a
// table.

#include "hasigner/duty/assert.hpp"
#include "hasigner/store/lmdb/duty_record.hpp"
#include "hasigner/store/lmdb/lmdb_file.hpp"
#include "hasigner/store/rows/table_row.hpp"
#include "tests/fuzz/fuzz_target.hpp"

namespace {

using namespace hasigner;

constexpr std::string_view kKey(
    "map:signing-protection-duties\0"
    "0x1111111111111111111111111111111111111111:0x2222222222222222222222222222222222222222:7:ATTESTATION:-1",
    133 - 1);

void check_record(std::string_view value) {
  const auto duty = lmdb::parse_duty_record(kKey, value);
  if (!duty) return test::check_showable(duty.error());
  HASIGNER_ASSERT(duty->slot == "7" && duty->duty_type == "ATTESTATION" && table_row_of(*duty));
}

void check_file(std::string_view file) {
  try {
    lmdb::for_each_entry(file, "data", [](std::string_view, std::string_view) {});
  } catch (const lmdb::UnreadableFile& error) {
    test::check_showable(error.what());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const auto text = test::text_of(bytes, size);
  check_record(text);
  check_file(text);
  return 0;
}
