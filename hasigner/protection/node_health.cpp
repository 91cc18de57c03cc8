#include "hasigner/protection/node_health.hpp"

#include <utility>

namespace hasigner {

bool NodeHealth::note(Outcome outcome) {
  const bool was_healthy = is_healthy();
  failure_ = outcome ? std::string() : std::move(outcome.error());
  failures_ = outcome ? 0 : failures_ + 1;
  return is_healthy() != was_healthy;
}

}  // namespace hasigner
