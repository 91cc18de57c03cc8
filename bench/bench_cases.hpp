#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace hasigner::bench {

/// What one measurement is asked to do; bench/README.md says what each workload is.
struct Options {
  std::string workload;
  std::string database_url;
  std::optional<std::size_t> duties;
  std::size_t in_flight = 1000;
  std::string keys = "noop";
  std::string steps = "one";
  std::optional<std::int64_t> at_ms;  ///< wall clock
  std::size_t pool = 10;
  std::string node_id = "bench-1";
  std::string journal;  ///< file; empty: none is kept
};

/// A process of a race that was not ready at the instant at which all begin.
struct TooLate {
  std::int64_t by_ms = 0;
};

/// Runs the workload and returns its figures.
///
/// Errors: throws std::exception when a call failed that should have signed, TooLate.
[[nodiscard]] nlohmann::ordered_json measure(Options options);

}  // namespace hasigner::bench
