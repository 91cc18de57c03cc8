#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hasigner/async/asio.hpp"
#include "hasigner/duty/duty.hpp"
#include "hasigner/duty/ownership.hpp"
#include "hasigner/protection/clock.hpp"

namespace hasigner::service {

/// The claims of each client that this process made and that are neither recorded nor released.
///
/// A claim that its client leaves holds its duty for good, so a client may have so many. Another service may have
/// recorded or released them, and a record in doubt may have been carried out: before a client is refused, its claims
/// are looked up in the store.
/// Thread safety: the node's executor.
class OpenClaims {
 public:
  struct Claim {
    DutyKey key;
    LockToken token;
  };
  /// One look at the claims of a client in the store.
  struct Look {
    MonotonicTime began;
    asio::steady_timer ended;  ///< cancelled at the end, for those who wait for it
    bool is_over = false;
  };

  /// `most`: for each client. A claim that is left counts for `remembered`.
  OpenClaims(std::size_t most, milliseconds remembered) : most_(most), remembered_(remembered) {}

  [[nodiscard]] std::size_t most() const { return most_; }
  /// Counts a claim that is about to be made. Returns false when the client has too many.
  [[nodiscard]] bool begin(const std::string& client, MonotonicTime now);
  /// The claim was made: it counts until close().
  void opened(const std::string& client, const Claim& claim, MonotonicTime now);
  /// The claim was not made.
  void refused(const std::string& client);
  /// The claim is no longer open, whichever client has ended it.
  void close(const LockToken& token);

  /// Whether the client may have so many more claims.
  [[nodiscard]] bool has_room(const std::string& client, std::size_t claims) const;
  /// The oldest claims of the client, at most so many, in the order of their keys.
  [[nodiscard]] std::vector<Claim> oldest(const std::string& client, std::size_t most) const;
  /// The latest look at the claims of the client; null until there is one.
  [[nodiscard]] std::shared_ptr<Look>& latest_look(const std::string& client) { return looks_[client]; }

 private:
  struct Open {
    std::string client;
    DutyKey key;
    MonotonicTime since;
  };

  void forget_old(MonotonicTime now);

  std::size_t most_;
  milliseconds remembered_;
  std::map<std::string, std::size_t> counts_;  ///< with those that are being made
  std::map<LockToken, Open> open_;
  std::map<std::string, std::shared_ptr<Look>> looks_;
};

}  // namespace hasigner::service
