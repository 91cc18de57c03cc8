#pragma once

#include <memory>

#include "answers.hpp"
#include "environment.hpp"
#include "hasigner/protection/store.hpp"
#include "signature_texts.hpp"

namespace hasigner::node {

/// What a method of a caller's database has answered.
struct CallReply {
  std::string error;  ///< why there is no answer; empty: there is one
  bool yes = false;   ///< the row is new, recorded, deleted
  DutyRow row;        ///< that is there; its token names the holder where the database keeps the token to itself
};

/// The store on a caller's own database object, one with the methods of the published package's class.
///
/// Such an object makes its own lock tokens and keeps those of others to itself, so a claim cannot be repeated and
/// nothing can be taken over; it knows neither watermarks nor a registry. A record is what its updateDutySigned() says.
/// A look finds nothing, which makes the protocol claim again: that is the only way to ask such a database.
/// Thread safety: the protocol's executor.
class CallersStore final : public Store {
 public:
  CallersStore(std::shared_ptr<Environment> environment, std::shared_ptr<Answers<CallReply>> answers,
               std::shared_ptr<SignatureTexts> texts, std::uint32_t database);

  [[nodiscard]] StoreCapabilities capabilities() const override;
  [[nodiscard]] StoreBatch<ClaimOutcome> claim(NodeId node_id, std::vector<DutyClaim> claims,
                                               MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<DutyView> look(std::vector<DutyKey> keys, MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<RowOutcome> take_over(NodeId node_id, std::vector<Takeover> takeovers,
                                                 MonotonicTime deadline) override;
  [[nodiscard]] StoreBatch<RowOutcome> record(std::vector<DutyRecord> records, MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<ReleaseReply>> release(std::vector<DutyRelease> releases,
                                                                   MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RegistrationOutcome>> register_node(NodeRegistration registration,
                                                                                MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<bool>> renew(NodeRegistration registration,
                                                         MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<void>> end_lease(NodeRegistration registration,
                                                             MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<StoreResult<RemovalOutcome>> remove(RemovalRequest request,
                                                                    MonotonicTime deadline) override;
  [[nodiscard]] asio::awaitable<void> close() override;

 private:
  asio::awaitable<CallReply> call(MakeValue question, MonotonicTime deadline);

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<Answers<CallReply>> answers_;
  std::shared_ptr<SignatureTexts> texts_;
  std::uint32_t database_;
};

}  // namespace hasigner::node
