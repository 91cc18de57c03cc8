#include "tests/contract/store_under_test.hpp"

namespace hasigner::contract {
namespace {

std::string sql_text(std::string_view text) {
  std::string sql = "'";
  for (const char c : text) sql += c == '\'' ? std::string("''") : std::string(1, c);
  return sql + "'";
}

std::string time_or_null(const std::optional<UtcTime>& time) {
  return time ? sql_text(utc_text(*time)) : "null";
}

}  // namespace

std::vector<Kind> kinds() {
  return {memory_kind(), sqlite_kind(), postgres_kind(1), postgres_kind(2), postgres_kind(3)};
}

void SqlUnderTest::put(const TableRow& row) {
  std::string columns =
      "rollup_address, validator_address, slot, block_number, block_index_within_checkpoint, duty_type, status,"
      " message_hash, signature, node_id, lock_token, started_at, completed_at";
  std::string values = sql_text(row.rollup) + "," + sql_text(row.validator) + "," + std::to_string(row.slot) + "," +
                       std::to_string(row.block_number) + "," + std::to_string(row.block_index) + "," +
                       sql_text(row.duty_type) + "," + sql_text(to_text(row.status)) + "," +
                       sql_text(row.message_hash) + "," + (row.signature ? sql_text(*row.signature) : "null") + "," +
                       sql_text(row.node_id) + "," + sql_text(row.lock_token) + "," +
                       sql_text(utc_text(row.started_at)) + "," + time_or_null(row.completed_at);
  if (schema_version_ >= 2) {
    columns += ", checkpoint_number";
    values += "," + std::to_string(row.checkpoint_number);
  }
  if (schema_version_ >= 3) {
    columns += ", expires_at";
    values += "," + time_or_null(row.expires_at);
  }
  exec("insert into validator_duties (" + columns + ") values (" + values + ")");
}

void SqlUnderTest::erase(std::uint64_t slot) {
  exec("delete from validator_duties where slot = " + std::to_string(slot));
}

void SqlUnderTest::make_older(std::uint64_t slot, milliseconds by) {
  const std::string where = " where slot = " + std::to_string(slot);
  const std::string text = exec("select min(started_at) from validator_duties" + where);
  const UtcTime earlier = parse_utc_text(text).value() - by;
  exec("update validator_duties set started_at = " + sql_text(utc_text(earlier)) + where);
}

bool SqlUnderTest::expire(std::uint64_t slot) {
  if (schema_version_ < 3) return false;
  exec("update validator_duties set expires_at = '2020-01-01 00:00:00.000000' where slot = " + std::to_string(slot));
  return true;
}

}  // namespace hasigner::contract
