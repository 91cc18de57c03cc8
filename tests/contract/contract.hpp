#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "tests/contract/store_under_test.hpp"

namespace hasigner::contract {

using namespace std::chrono_literals;

/// A node id with an incarnation of its own and a connection of its own.
struct Node {
  NodeId id;
  Incarnation incarnation;
  Connection connection;

  [[nodiscard]] NodeRegistration registration() const { return {id, incarnation, 60s}; }
};

/// What the tests of all subjects share: nodes, duties, and calls that wait for their answer.
class Contract : public testing::TestWithParam<Kind> {
 protected:
  Contract() : under_test(GetParam().make(context.get_executor())), observer_(run(under_test->connect())) {}
  ~Contract() override {
    for (Node& node : nodes_) close(node.connection);
    close(observer_);
  }

  template <class T>
  T run(asio::awaitable<T> work) {
    auto future = asio::co_spawn(context, std::move(work), asio::use_future);
    while (future.wait_for(0s) != std::future_status::ready) {
      context.restart();
      context.run_one_for(10ms);
    }
    return future.get();
  }
  [[nodiscard]] MonotonicTime soon() const { return under_test->clock()->now() + 20s; }

  /// The answer to a call that must get one.
  template <class T>
  T answer(asio::awaitable<StoreResult<T>> work) {
    StoreResult<T> result = run(std::move(work));
    if (!result) throw std::runtime_error(result.error().reason);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
  }

  // Nodes.

  /// A node that is registered and alive.
  Node& node(const std::string& id = "node-a") {
    Node& added = stranger(id);
    EXPECT_TRUE(register_node(added).registered);
    return added;
  }
  /// A node that is not registered.
  Node& stranger(const std::string& id) {
    Incarnation incarnation;
    incarnation.bytes().fill(0xa0);
    incarnation.bytes()[7] = static_cast<std::uint8_t>(nodes_.size());
    return nodes_.emplace_back(Node{NodeId::parse(id).value(), incarnation, run(under_test->connect())});
  }
  /// For those who only look at the tables, or after them.
  Connection& observer() { return observer_; }
  RegistrationOutcome register_node(Node& node) {
    return answer(node.connection.store->register_node(node.registration(), soon()));
  }
  void kill(Node& node) { under_test->kill(node.connection, node.id.str()); }

  LockToken token(const Node& node, TokenKind kind = TokenKind::kFenced) {
    ++tokens_;
    return LockToken::make(
        node.incarnation, kind,
        {0, 0, 0, 0, 0, static_cast<std::uint8_t>(tokens_ >> 8), static_cast<std::uint8_t>(tokens_)});
  }

  // Duties.

  static EthAddress address(std::uint8_t byte) {
    EthAddress a;
    a.bytes().fill(byte);
    return a;
  }
  static MessageHash hash(std::uint8_t byte) {
    MessageHash h;
    h.bytes().fill(byte);
    return h;
  }
  static Signature signature(std::uint8_t byte = 0x5a) {
    Signature s;
    s.bytes().fill(byte);
    return s;
  }
  static Slot slot(std::uint64_t number) { return Slot::from(number).value(); }

  static Duty duty(std::uint64_t slot_number, std::uint8_t data = 0x11, DutyType type = DutyType::kAttestation,
                   std::uint8_t validator = 0xab) {
    SigningContext context{.duty_type = type,
                           .slot = slot(slot_number),
                           .block_number = BlockNumber::from(900).value(),
                           .checkpoint_number = CheckpointNumber::from(30).value(),
                           .block_index = {}};
    if (type == DutyType::kBlockProposal) context.block_index = 0;
    return make_duty(address(0xaa), address(validator), hash(data), context).value();
  }

  // Calls about one duty.

  ClaimOutcome claim(Node& node, const Duty& duty, const LockToken& with) {
    return claim_all(node, {{duty, with}}).at(0);
  }
  std::vector<ClaimOutcome> claim_all(Node& node, std::vector<DutyClaim> claims) {
    return answer(node.connection.store->claim(node.id, std::move(claims), soon()));
  }
  DutyView look(const Duty& duty) { return look_all({duty.key}).at(0); }
  std::vector<DutyView> look_all(std::vector<DutyKey> keys) {
    return answer(observer().store->look(std::move(keys), soon()));
  }
  RowOutcome record(Node& node, const Duty& duty, const LockToken& with, std::uint8_t signature_byte = 0x5a) {
    return record_all(node, {{duty.key, with, duty.message_hash, signature(signature_byte)}}).at(0);
  }
  std::vector<RowOutcome> record_all(Node& node, std::vector<DutyRecord> records) {
    return answer(node.connection.store->record(std::move(records), soon()));
  }
  RowOutcome take_over(Node& node, TakeoverKind kind, const Duty& duty, const LockToken& seen, const LockToken& with) {
    return answer(node.connection.store->take_over(node.id, {{kind, duty, seen, with}}, soon())).at(0);
  }
  bool release(Node& node, const Duty& duty, const LockToken& with) {
    return answer(node.connection.store->release({{duty.key, with}}, soon())).outcomes.at(0) == RowOutcome::kApplied;
  }
  /// Claims and signs a duty.
  LockToken sign(Node& node, const Duty& duty) {
    const LockToken with = token(node);
    claim(node, duty, with);
    EXPECT_EQ(record(node, duty, with), RowOutcome::kApplied);
    return with;
  }
  void set_watermarks(const Duty& duty, Watermarks watermarks) {
    EXPECT_TRUE(change_watermarks(duty, {.low = watermarks.low, .high = watermarks.high}).applied);
  }
  WatermarkOutcome change_watermarks(const Duty& duty, WatermarkChange change) {
    return change_watermarks(duty.key.rollup, {{duty.key.validator, duty.key.duty_type}}, change).at(0);
  }
  std::vector<WatermarkOutcome> change_watermarks(const EthAddress& rollup, std::vector<WatermarkSubject> subjects,
                                                  WatermarkChange change) {
    return answer(observer().history->set_watermarks(rollup, std::move(subjects), change, soon()));
  }

  /// A row as a published node would write it, whose token is none of ours.
  TableRow foreign_row(const Duty& duty, DutyStatus status = DutyStatus::kSigning) {
    TableRow row =
        signing_row(duty, NodeId::parse("published").value(), LockToken(std::string(32, 'f')), under_test->utc_now());
    row.status = status;
    if (status == DutyStatus::kSigned) {
      row.signature = signature().to_string();
      row.completed_at = row.started_at;
    }
    return row;
  }
  static std::string upper(std::string text) {
    for (char& c : text) {
      if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
    }
    return text;
  }

  std::vector<DutyEntry> rows(DutyFilter filter = {}) { return answer(observer().history->duties(filter, soon())); }

  asio::io_context context;
  std::unique_ptr<StoreUnderTest> under_test;

 private:
  void close(Connection& connection) {
    if (!connection.store) return;
    run(connection.store->close());
    connection = {};
  }

  std::deque<Node> nodes_;
  Connection observer_;
  unsigned tokens_ = 0;
};

inline std::string name_of(const testing::TestParamInfo<Kind>& info) {
  return info.param.name;
}

}  // namespace hasigner::contract
