#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "hasigner/protection/async.hpp"
#include "hasigner/protection/config.hpp"
#include "hasigner/protection/errors.hpp"
#include "hasigner/protection/ports.hpp"

namespace hasigner {

/// This process's entry in the node registry: registers an incarnation, keeps its lease alive, gives it back.
///
/// Safety does not rest on it (the fence does): it tells others when this node's duties may be replaced, and keeps two
/// processes from working under one node id.
/// Thread safety: one executor.
class NodeLease : public std::enable_shared_from_this<NodeLease> {
 public:
  NodeLease(Ports ports, const SignerConfig& config);

  /// Registers, waiting out the lease of an incarnation that has died.
  ///
  /// Errors: NodeIdTaken when the other incarnation is alive, Unavailable when the store does not answer by `deadline`.
  [[nodiscard]] asio::awaitable<SignResult<Unit>> start(MonotonicTime deadline);

  [[nodiscard]] bool held_now() const;
  /// Why the lease will not run again; returns nullopt when it runs or may be renewed.
  [[nodiscard]] std::optional<SigningError> refusal() const;
  /// Comes with the next answer of the store, or its silence, about this lease.
  [[nodiscard]] std::shared_ptr<Arrival<Unit>> next_answer();
  /// Why the latest renewal failed.
  [[nodiscard]] const std::string& last_error() const { return last_error_; }

  /// Ends the lease, so that a restart has nothing to wait for.
  [[nodiscard]] asio::awaitable<void> stop();

  [[nodiscard]] const Incarnation& incarnation() const { return registration_.incarnation; }
  /// Whether the lease has been renewed in time, by this node's own clock; also where the store keeps no registry.
  [[nodiscard]] bool runs_now() const;
  [[nodiscard]] bool superseded() const { return superseded_; }

 private:
  static asio::awaitable<void> keep_alive(std::shared_ptr<NodeLease> self);
  [[nodiscard]] asio::awaitable<bool> renew_once();
  [[nodiscard]] asio::awaitable<void> give_back();
  void tell_waiting();
  [[nodiscard]] bool fresh() const;
  [[nodiscard]] NodeIdTaken taken(std::string reason) const;

  Ports ports_;
  NodeRegistration registration_;
  milliseconds heartbeat_interval_;
  milliseconds call_timeout_;
  MonotonicTime renewed_at_{};  ///< when the last successful renewal was sent
  std::string last_error_;
  bool stopping_ = false;
  bool permanent_ = false;  ///< the last answer was that this is not the database that was expected
  std::vector<std::shared_ptr<Arrival<Unit>>> waiting_;  ///< for the next answer
  std::shared_ptr<Arrival<Unit>> stop_signal_;
  std::shared_ptr<Arrival<Unit>> stopped_;
  std::atomic<bool> running_ = false;
  std::atomic<bool> superseded_ = false;  ///< read by other threads too
};

}  // namespace hasigner
