#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace hasigner::service {

/// An amount that clients share: a client may have as much as is free before it takes more.
///
/// So a client alone gets half of all, two clients get a third each, and a client that has nothing finds something free
/// whatever the others do.
/// Thread safety: none.
class SharedLimit {
 public:
  explicit SharedLimit(std::size_t all) : all_(all) {}

  /// Returns false, and takes nothing, when the client would have more than is free.
  [[nodiscard]] bool take(const std::string& client, std::size_t amount);
  /// Takes the amount whatever is free.
  void take_anyway(const std::string& client, std::size_t amount);
  void give_back(const std::string& client, std::size_t amount);
  [[nodiscard]] std::size_t taken() const { return taken_; }

 private:
  std::size_t all_;
  std::size_t taken_ = 0;
  std::map<std::string, std::size_t> of_clients_;  ///< without zeros
};

}  // namespace hasigner::service
