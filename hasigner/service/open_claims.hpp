#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "hasigner/duty/ownership.hpp"
#include "hasigner/protection/clock.hpp"

namespace hasigner::service {

/// The claims of each client that are neither recorded nor released, as far as this process knows.
///
/// A claim that its client leaves holds its duty until the stuck-duty age or for good, so a client may have so many.
/// Thread safety: the node's executor.
class OpenClaims {
 public:
  /// `most`: for each client. A claim that is left counts for `remembered`.
  OpenClaims(std::size_t most, milliseconds remembered) : most_(most), remembered_(remembered) {}

  [[nodiscard]] std::size_t most() const { return most_; }
  /// Takes a place for a claim that is about to be made. False: the client has too many.
  [[nodiscard]] bool begin(const std::string& client, MonotonicTime now);
  /// The claim was made: it keeps its place until close().
  void opened(const std::string& client, const LockToken& token, MonotonicTime now);
  /// The claim was not made.
  void refused(const std::string& client);
  /// The claim was recorded, released or lost, by whichever client.
  void close(const LockToken& token);

 private:
  struct Open {
    std::string client;
    MonotonicTime since;
  };

  void forget_old(MonotonicTime now);

  std::size_t most_;
  milliseconds remembered_;
  std::map<std::string, std::size_t> counts_;  ///< with those that are being made
  std::map<std::string, Open> open_;           ///< by lock token
};

}  // namespace hasigner::service
