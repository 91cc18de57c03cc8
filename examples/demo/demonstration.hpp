#pragma once

#include <cstddef>
#include <string>

namespace hasigner::demo {

struct Options {
  std::size_t validators = 4;
  std::size_t slots = 12;
  std::string database_url;  ///< of a migrated PostgreSQL database; empty: a SQLite file in a temporary folder
  bool keep = false;         ///< leave the SQLite file
  bool json = false;         ///< print only the report, as JSON
};

/// Plays the demonstration and prints its report. Returns whether every check has passed.
///
/// Errors: StartupError about the database; std::runtime_error for everything else that stops it.
[[nodiscard]] bool run_demonstration(const Options& options);

}  // namespace hasigner::demo
