#include "hasigner/service/open_claims.hpp"

#include <algorithm>
#include <tuple>

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

void OpenClaims::opened(const std::string& client, const Claim& claim, MonotonicTime now) {
  const bool is_new = open_.emplace(claim.token, Open{client, claim.key, now}).second;
  HASIGNER_ASSERT(is_new);
}

void OpenClaims::refused(const std::string& client) {
  const auto count = counts_.find(client);
  HASIGNER_ASSERT(count != counts_.end());
  if (--count->second == 0) counts_.erase(count);
}

void OpenClaims::close(const LockToken& token) {
  const auto found = open_.find(token);
  if (found == open_.end()) return;
  refused(found->second.client);
  open_.erase(found);
}

bool OpenClaims::has_room(const std::string& client, std::size_t claims) const {
  const auto count = counts_.find(client);
  return count == counts_.end() || count->second + claims <= most_;
}

std::vector<OpenClaims::Claim> OpenClaims::oldest(const std::string& client, std::size_t most) const {
  std::vector<decltype(open_)::const_iterator> of_client;
  for (auto claim = open_.begin(); claim != open_.end(); ++claim) {
    if (claim->second.client == client) of_client.push_back(claim);
  }
  const auto end = of_client.begin() + static_cast<std::ptrdiff_t>(std::min(most, of_client.size()));
  std::ranges::partial_sort(of_client, end, {}, [](auto claim) { return claim->second.since; });
  std::vector<Claim> claims;
  for (auto claim = of_client.begin(); claim != end; ++claim) {
    claims.push_back({(*claim)->second.key, (*claim)->first});
  }
  std::ranges::sort(claims, {}, [](const Claim& claim) { return std::tie(claim.key, claim.token); });
  return claims;
}

void OpenClaims::forget_old(MonotonicTime now) {
  for (auto claim = open_.begin(); claim != open_.end();) {
    const bool is_old = claim->second.since + remembered_ <= now;
    if (is_old) refused(claim->second.client);
    claim = is_old ? open_.erase(claim) : std::next(claim);
  }
}

}  // namespace hasigner::service
