#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "hasigner/protection/history.hpp"

namespace hasigner::lmdb {

/// Reads one duty of a published node's own store: its key and its MessagePack value.
///
/// The fields are taken by their names. Of schema 1 there is no checkpoint number, and only schema 3 has an expiry.
/// Errors: a sentence that names the duty, the field and what is allowed: another key, bytes that are not a record of
/// msgpackr, a field that is missing, unknown, there twice or of another type, a value that no table can hold, a key
/// that names another duty, bytes behind the record.
/// Source: yarn-project/kv-store/src/lmdb-v2/utils.ts and map.ts of the published package; msgpackr 1.11.
[[nodiscard]] std::expected<DutyEntry, std::string> parse_duty_record(std::string_view key, std::string_view value);

}  // namespace hasigner::lmdb
