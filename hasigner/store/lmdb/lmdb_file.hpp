#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string_view>

namespace hasigner::lmdb {

/// What makes a file unreadable as an LMDB file, without its name: `page 3 lies beyond its end`.
class UnreadableFile : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// How much of a file last_transaction() needs: two pages of the largest size.
inline constexpr std::size_t kBeginning = std::size_t{2} << 16;

/// The number of the newest transaction. Errors: UnreadableFile.
[[nodiscard]] std::uint64_t last_transaction(std::string_view beginning);

/// Calls `take` with each key and value of a named database, as of the newest transaction and in the order of the file.
///
/// `file` is a whole data.mdb of data format 1 (LMDB 0.9 and its development versions up to 0.9.70) of a 64-bit
/// little-endian machine. Nothing in it is trusted: every page and node is checked before it is followed, and a tree
/// that does not have as many entries as it says is refused.
/// Errors: UnreadableFile, also where the database is missing, allows duplicates, or another one has entries.
/// Source: lmdb 0.9.24, libraries/liblmdb/mdb.c.
void for_each_entry(std::string_view file, std::string_view database,
                    const std::function<void(std::string_view key, std::string_view value)>& take);

}  // namespace hasigner::lmdb
