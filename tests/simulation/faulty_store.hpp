#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "tests/simulation/shared_state.hpp"

namespace hasigner::simulation {

/// The store as a node reaches it. Every request is carried out later than it is sent, and answered later than that.
/// Requests, replies and the store itself can be lost; a request can be carried out late or twice; rows can be locked;
/// another database can answer. As PostgreSQL's, it learns by the next request that the history is another one.
class FaultyStore final : public Store, public JournalRounds {
 public:
  FaultyStore(SharedState& shared, std::shared_ptr<Life> life)
      : shared_(shared), life_(std::move(life)), known_epoch_(shared.epoch) {}

  [[nodiscard]] StoreCapabilities capabilities() const override {
    return {.signed_claims = true, .parallel_batches = 2};
  }
  [[nodiscard]] std::shared_ptr<const StoreEpoch> epoch() const override { return known_epoch_; }
  StoreBatch<ClaimOutcome> claim(NodeId node_id, std::vector<DutyClaim> claims, MonotonicTime deadline) override;
  StoreBatch<SignedClaimOutcome> claim_signed(NodeId node_id, std::vector<SignedClaim> claims,
                                              MonotonicTime deadline) override;
  StoreBatch<DutyView> look(std::vector<DutyKey> keys, MonotonicTime deadline) override;
  StoreBatch<RowOutcome> take_over(NodeId node_id, std::vector<Takeover> takeovers, MonotonicTime deadline) override;
  StoreBatch<RowOutcome> record(std::vector<DutyRecord> records, MonotonicTime deadline) override;
  asio::awaitable<StoreResult<ReleaseReply>> release(std::vector<DutyRelease> releases,
                                                     MonotonicTime deadline) override;
  StoreBatch<bool> confirm_stored(NodeId node_id, std::vector<StoredSignature> signatures,
                                  MonotonicTime deadline) override;
  asio::awaitable<StoreResult<RegistrationOutcome>> register_node(NodeRegistration registration,
                                                                  MonotonicTime deadline) override;
  asio::awaitable<StoreResult<bool>> renew(NodeRegistration registration, MonotonicTime deadline) override;
  asio::awaitable<StoreResult<void>> end_lease(NodeRegistration registration, MonotonicTime deadline) override;
  asio::awaitable<StoreResult<RemovalOutcome>> remove(RemovalRequest request, MonotonicTime deadline) override;
  asio::awaitable<void> close() override { co_return; }

  [[nodiscard]] bool has_rounds() const override { return shared_.has_rounds; }
  asio::awaitable<StoreResult<std::uint64_t>> begin_round(NodeRegistration node, Why why,
                                                          MonotonicTime deadline) override;
  asio::awaitable<StoreResult<std::vector<JournaledNode>>> journaled_nodes(MonotonicTime deadline) override;
  asio::awaitable<StoreResult<Unit>> tell(NodeRegistration node, std::uint64_t completed, ReachedSlots slots,
                                          MonotonicTime deadline) override;
  asio::awaitable<StoreResult<Unit>> leave(NodeRegistration node, MonotonicTime deadline) override;
  asio::awaitable<StoreResult<Unit>> give_up(std::vector<std::string> node_ids, MonotonicTime deadline) override;
  asio::awaitable<StoreResult<Unit>> forbid_up_to(EthAddress rollup, std::optional<EthAddress> validator,
                                                  std::vector<DutyType> duty_types, Slot slot,
                                                  MonotonicTime deadline) override;

 private:
  /// Whether a request that is carried out late can make rows appear after a release.
  enum class MakesRows : std::uint8_t { kNo, kYes };
  /// Whether a request goes to another history than that in which it was asked.
  enum class Goes : std::uint8_t { kAnywhere, kWhereItWasAsked };

  /// Sends a request whose parts the server carries out one after the other; the reply is what the last part gave.
  template <class T>
  asio::awaitable<StoreResult<T>> send(std::vector<std::function<T(T)>> parts, MonotonicTime deadline,
                                       MakesRows makes_rows, Goes goes);

  asio::awaitable<StoreResult<Unit>> change_rounds(std::function<void(memory::MemoryTables&)> change,
                                                   MonotonicTime deadline);

  template <class T>
  StoreBatch<T> send_batch(std::vector<std::function<std::vector<T>(std::vector<T>)>> parts, MonotonicTime deadline,
                           MakesRows makes_rows, Goes goes);

  SharedState& shared_;
  std::shared_ptr<Life> life_;
  std::shared_ptr<int> in_limbo_ =
      std::make_shared<int>(0);                    ///< claims that were given up and may still be carried out
  std::shared_ptr<const StoreEpoch> known_epoch_;  ///< of the server that was reached last
};

}  // namespace hasigner::simulation
