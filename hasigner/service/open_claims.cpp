#include "hasigner/service/open_claims.hpp"

#include "hasigner/duty/assert.hpp"

namespace hasigner::service {

bool OpenClaims::begin(const std::string& client, MonotonicTime now) {
  auto count = counts_.find(client);
  if (count != counts_.end() && count->second >= most_) {
    forget_old(now);
    count = counts_.find(client);
    if (count != counts_.end() && count->second >= most_) return false;
  }
  ++counts_[client];
  return true;
}

void OpenClaims::opened(const std::string& client, const LockToken& token, MonotonicTime now) {
  const bool is_new = open_.emplace(token.str(), Open{client, now}).second;
  HASIGNER_ASSERT(is_new);
}

void OpenClaims::refused(const std::string& client) {
  const auto count = counts_.find(client);
  HASIGNER_ASSERT(count != counts_.end());
  if (--count->second == 0) counts_.erase(count);
}

void OpenClaims::close(const LockToken& token) {
  const auto found = open_.find(token.str());
  if (found == open_.end()) return;
  refused(found->second.client);
  open_.erase(found);
}

void OpenClaims::forget_old(MonotonicTime now) {
  for (auto claim = open_.begin(); claim != open_.end();) {
    const bool is_old = claim->second.since + remembered_ <= now;
    if (is_old) refused(claim->second.client);
    claim = is_old ? open_.erase(claim) : std::next(claim);
  }
}

}  // namespace hasigner::service
