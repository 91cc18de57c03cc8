#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "hasigner/factory/ha_node.hpp"

namespace hasigner::service {

/// The keys that operators have disabled, as the store had them lately. All services that share the store see the same.
///
/// Read once a second. While the store cannot be read, what was read before holds: a key that is disabled stays so, and
/// no other key is lost. Before the first read nothing may be signed, since any key may be disabled. Thread safety: the
/// node's executor.
class KeySwitches {
 public:
  static constexpr milliseconds kBetweenReads{1'000};

  /// What was seen to have changed, and by whom. Not called for what the first read finds, unless one has failed
  /// before.
  using OnChange = std::function<void(const EthAddress& key, const KeySwitch& changed)>;
  /// Why the switches cannot be read; empty: they can be read again.
  using OnFailure = std::function<void(const std::string& reason)>;

  KeySwitches(HaNode& node, OnChange on_change, OnFailure on_failure)
      : node_(node), on_change_(std::move(on_change)), on_failure_(std::move(on_failure)) {}

  [[nodiscard]] bool is_disabled(const EthAddress& key) const { return find(key) && !find(key)->is_enabled; }
  /// Null for a key that was never disabled.
  [[nodiscard]] const KeySwitch* find(const EthAddress& key) const {
    const auto found = known_.find(key);
    return found == known_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const std::map<EthAddress, KeySwitch>& all() const { return known_; }
  [[nodiscard]] std::size_t disabled() const;
  /// Whether they have ever been read.
  [[nodiscard]] bool were_read() const { return were_read_; }
  /// Why they could not be read the last time; empty when they could.
  [[nodiscard]] const std::string& failure() const { return failure_; }

  [[nodiscard]] static asio::awaitable<void> read(std::shared_ptr<KeySwitches> self);
  /// Reads them until nothing else holds them.
  [[nodiscard]] static asio::awaitable<void> watch(std::weak_ptr<KeySwitches> weak, asio::any_io_executor executor);
  /// Disables or enables a key for all services. False: it was so already.
  [[nodiscard]] static asio::awaitable<StoreResult<bool>> set(std::shared_ptr<KeySwitches> self, EthAddress key,
                                                              KeyState state, std::string by);

 private:
  void take(std::vector<KeySwitch> switches);
  void put(const EthAddress& key, KeySwitch now);

  HaNode& node_;
  OnChange on_change_;
  OnFailure on_failure_;
  std::map<EthAddress, KeySwitch> known_;
  std::string failure_;
  bool has_tried_ = false;
  bool were_read_ = false;
  // The store is asked over several connections, so a later question may be answered earlier.
  std::uint64_t requests_ = 0;
  std::uint64_t latest_ = 0;  ///< whose answer holds
};

}  // namespace hasigner::service
