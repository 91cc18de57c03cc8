#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hasigner/store/sqlite/connection.hpp"

namespace hasigner::sqlite {

/// In the header of each of our files: "HaSg".
inline constexpr std::int64_t kApplicationId = 0x48615367;

/// What tells whose file it is.
struct FileFacts {
  std::int64_t application = 0;
  std::int64_t version = 0;
  bool is_empty = true;
};
[[nodiscard]] FileFacts facts_of(Connection& connection);

/// The SQL files of schema/sqlite in their order; the n-th makes version n, which stands in user_version.
[[nodiscard]] const std::vector<const char*>& migrations();

/// The version that this program knows.
[[nodiscard]] inline std::int64_t schema_version() {
  return static_cast<std::int64_t>(migrations().size());
}

/// A file that this program must not use. The message names it and says what to do.
class UnusableDatabase : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The version of the file; 0 for one that nothing was ever written to. Errors: as bring_up_to_date().
[[nodiscard]] std::int64_t known_version(Connection& connection, const std::string& path);

/// Makes an empty or older file one of the version that this program knows, also when another process does so at the
/// same time.
///
/// Errors: UnusableDatabase for a file of another program or of a newer version, which is not touched; SqliteError,
/// also while another connection holds the write lock: call again.
void bring_up_to_date(Connection& connection, const std::string& path);

}  // namespace hasigner::sqlite
