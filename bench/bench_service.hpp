#pragma once

#include <nlohmann/json.hpp>

#include "bench/bench_cases.hpp"

namespace hasigner::bench {

/// What the service adds to one request on loopback: the same duties with real keys, one after the other, through the
/// key store of a node in this process, and through HTTP.
[[nodiscard]] nlohmann::ordered_json measure_service_one(const Options& options);

/// Throughput of requests of 1,000 duties each, four at a time, with real keys: through the key store of a node in this
/// process, and through the many-duties route, in turns.
[[nodiscard]] nlohmann::ordered_json measure_service_many(const Options& options);

}  // namespace hasigner::bench
