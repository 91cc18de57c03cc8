#pragma once

#include <string_view>

#include "hasigner/protection/history.hpp"

namespace hasigner::service {

/// Reads the query of `GET /api/v1/duties`: `rollup`, `validator`, `slot`, `fromSlot`, `toSlot`, `dutyType`, `status`,
/// `nodeId`, `limit`; each at most once.
///
/// Errors: InvalidInput naming the parameter.
[[nodiscard]] Parsed<DutyFilter> parse_duty_query(std::string_view query);

}  // namespace hasigner::service
