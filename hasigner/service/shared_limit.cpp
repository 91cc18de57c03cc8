#include "hasigner/service/shared_limit.hpp"

#include <algorithm>

namespace hasigner::service {

bool SharedLimit::take(const std::string& client, std::size_t amount) {
  if (amount == 0) return true;
  const auto entry = of_clients_.find(client);
  const std::size_t own = entry == of_clients_.end() ? 0 : entry->second;
  const std::size_t free = all_ - std::min(all_, taken_);
  if (own > free || amount > free - own) return false;
  take_anyway(client, amount);
  return true;
}

void SharedLimit::take_anyway(const std::string& client, std::size_t amount) {
  if (amount == 0) return;
  taken_ += amount;
  of_clients_[client] += amount;
}

void SharedLimit::give_back(const std::string& client, std::size_t amount) {
  if (amount == 0) return;
  taken_ -= amount;
  const auto entry = of_clients_.find(client);
  entry->second -= amount;
  if (entry->second == 0) of_clients_.erase(entry);
}

}  // namespace hasigner::service
