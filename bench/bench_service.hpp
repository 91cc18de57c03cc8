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

/// How long one client waits for a signature, one after the other, alone and beside another client that asks for 1,000
/// duties at a time at full speed, in turns.
[[nodiscard]] nlohmann::ordered_json measure_service_fair(const Options& options);

/// How long reading and hashing typed data of 100,000 bytes takes, for several kinds of documents, and how many times
/// as long it takes for twice the size: the highest of them.
[[nodiscard]] nlohmann::ordered_json measure_service_hashing(const Options& options);

}  // namespace hasigner::bench
