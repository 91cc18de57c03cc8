#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace hasigner::service {

/// Bounds the reads of the store that are in flight, in all and of each client.
///
/// Thread safety: the node's executor.
class Reads {
 public:
  static constexpr std::size_t kMost = 32;
  static constexpr std::size_t kMostOfClient = 8;

  /// A read in flight, as long as it lives.
  class Permit {
   public:
    Permit(std::shared_ptr<Reads> reads, std::string client) : reads_(std::move(reads)), client_(std::move(client)) {}
    Permit(Permit&&) = default;
    Permit& operator=(Permit&&) = delete;
    ~Permit() {
      if (reads_) reads_->leave(client_);
    }

   private:
    std::shared_ptr<Reads> reads_;
    std::string client_;
  };

  /// Returns nullopt when there are too many.
  [[nodiscard]] static std::optional<Permit> enter(const std::shared_ptr<Reads>& reads, const std::string& client) {
    auto& of_client = reads->of_clients_[client];
    if (reads->all_ >= kMost || of_client >= kMostOfClient) return std::nullopt;
    ++reads->all_;
    ++of_client;
    return Permit(reads, client);
  }

 private:
  void leave(const std::string& client) {
    --all_;
    const auto of_client = of_clients_.find(client);
    if (--of_client->second == 0) of_clients_.erase(of_client);
  }

  std::size_t all_ = 0;
  std::map<std::string, std::size_t> of_clients_;
};

}  // namespace hasigner::service
