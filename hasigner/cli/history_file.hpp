#pragma once

#include <expected>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/protection/history.hpp"

namespace hasigner::cli {

inline constexpr std::string_view kHistoryFormat = "ha-signer protection history";
inline constexpr int kHistoryVersion = 1;

/// The protection history of one database at one moment. docs/protection-history.md describes the file.
struct HistoryFile {
  std::string exported_at;  ///< ISO 8601, UTC
  std::string exported_by;
  std::string cluster_id;  ///< empty: not known
  HistorySnapshot snapshot;
};

/// Takes out what parse_history() would refuse, and says of each entry what is wrong with it.
[[nodiscard]] std::vector<std::string> take_out_unreadable(HistorySnapshot& snapshot);

/// One line for each field, so that two exports can be compared.
void write_history(std::ostream& out, const HistoryFile& file);

/// Reads what write_history() writes and nothing else.
///
/// Errors: a sentence that names the field, as in `duties[3].slot`, and what is allowed there: text that is not JSON,
/// another format or version, a field that is unknown, missing, there twice or of another type, a value that no table
/// can hold.
[[nodiscard]] std::expected<HistoryFile, std::string> parse_history(std::string_view text);

}  // namespace hasigner::cli
