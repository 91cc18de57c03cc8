#pragma once

#include <memory>

#include "answers.hpp"
#include "environment.hpp"
#include "hasigner/protection/store.hpp"
#include "signature_texts.hpp"

namespace hasigner::node {

/// The answer of a method of a caller's database.
struct CallReply {
  std::string error;  ///< why there is no answer; empty when there is one
  bool yes = false;   ///< the row is new, was recorded, or was deleted
  DutyRow row;        ///< the existing row; its token only names the holder when the database does not show the token
};

/// The store on a caller's own database object, which has the methods of the published package's class.
///
/// Such an object makes its own lock tokens and does not show those of others. So a claim cannot be repeated, and a
/// duty cannot be taken over. It has neither watermarks nor a registry. The result of a record is that of its
/// updateDutySigned(). A look finds no rows, so the protocol claims again: there is no other way to ask such a
/// database. Thread safety: the protocol's executor.
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
