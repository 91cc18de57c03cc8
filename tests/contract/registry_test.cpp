#include "tests/contract/contract.hpp"

namespace hasigner::contract {
namespace {

class Registry : public Contract {
 protected:
  HolderState holder(std::uint64_t slot_number) { return look(duty(slot_number)).row.value().holder; }
  bool renew(Node& node) { return answer(node.connection.store->renew(node.registration(), soon())); }
  NodeRemoval forget(const std::string& node_id) {
    return answer(observer().history->remove_node(NodeId::parse(node_id).value(), soon()));
  }
  std::size_t registered() { return answer(observer().history->nodes(soon())).size(); }
  void end_lease(Node& node) { answer(node.connection.store->end_lease(node.registration(), soon())); }
};
INSTANTIATE_TEST_SUITE_P(Stores, Registry, testing::ValuesIn(kinds()), name_of);

TEST_P(Registry, a_second_incarnation_is_refused_while_the_first_lives) {
  Node &a = node("node-a"), &twin = stranger("node-a");
  const RegistrationOutcome refused = register_node(twin);
  EXPECT_FALSE(refused.registered);
  EXPECT_EQ(refused.holder, hex_of(a.incarnation));
  EXPECT_FALSE(refused.heartbeat.empty());
  EXPECT_TRUE(renew(a));
  EXPECT_FALSE(renew(twin));
}

TEST_P(Registry, a_heartbeat_shows_that_the_holder_lives) {
  Node &a = node("node-a"), &twin = stranger("node-a");
  const std::string first = register_node(twin).heartbeat;
  EXPECT_EQ(register_node(twin).heartbeat, first);
  EXPECT_TRUE(renew(a));
  EXPECT_NE(register_node(twin).heartbeat, first);
}

TEST_P(Registry, registering_again_is_recognised) {
  Node& a = node("node-a");
  EXPECT_TRUE(register_node(a).registered);
  EXPECT_TRUE(renew(a));
}

TEST_P(Registry, a_killed_node_can_be_registered_anew_and_its_earlier_incarnation_is_remembered) {
  Node& a = node("node-a");
  claim(a, duty(5), token(a));
  kill(a);
  EXPECT_EQ(holder(5), HolderState::kExpired);
  Node& restarted = node("node-a");
  EXPECT_EQ(holder(5), HolderState::kExpired);
  claim(restarted, duty(6), token(restarted));
  EXPECT_EQ(holder(6), HolderState::kAlive);
  const auto nodes = answer(observer().history->nodes(soon()));
  ASSERT_EQ(nodes.size(), 1U);
  EXPECT_EQ(nodes[0].node_id, "node-a");
  EXPECT_EQ(nodes[0].incarnation, hex_of(restarted.incarnation));
  EXPECT_TRUE(nodes[0].alive);
  EXPECT_EQ(nodes[0].earlier_incarnations, 1U);
  EXPECT_TRUE(parse_utc_text(nodes[0].heartbeat_at)) << nodes[0].heartbeat_at;
}

TEST_P(Registry, a_node_that_was_replaced_is_told_so) {
  Node& a = node("node-a");
  const NodeRegistration earlier = a.registration();
  kill(a);
  Node& restarted = node("node-a");
  EXPECT_FALSE(answer(restarted.connection.store->renew(earlier, soon())));
  answer(restarted.connection.store->end_lease(earlier, soon()));
  claim(restarted, duty(5), token(restarted));
  EXPECT_EQ(holder(5), HolderState::kAlive) << "only the current incarnation can end its lease";
  EXPECT_TRUE(renew(restarted));
}

TEST_P(Registry, a_holder_seen_silent_is_replaced_though_its_lease_seems_to_run) {
  Node& a = node("node-a");
  claim(a, duty(5), token(a));
  kill(a);
  under_test->put_lease_ahead("node-a");
  Node& restarted = stranger("node-a");
  RegistrationOutcome outcome = register_node(restarted);
  if (!outcome.registered) {
    NodeRegistration silent = restarted.registration();
    silent.silent_heartbeat = outcome.heartbeat + "0";
    EXPECT_FALSE(answer(restarted.connection.store->register_node(silent, soon())).registered);
    silent.silent_heartbeat = outcome.heartbeat;
    outcome = answer(restarted.connection.store->register_node(silent, soon()));
  }
  EXPECT_TRUE(outcome.registered);
  EXPECT_EQ(holder(5), HolderState::kExpired);
}

TEST_P(Registry, a_holder_whose_heart_has_beaten_since_is_not_replaced) {
  Node &a = node("node-a"), &twin = stranger("node-a");
  NodeRegistration silent = twin.registration();
  silent.silent_heartbeat = register_node(twin).heartbeat;
  EXPECT_TRUE(renew(a));
  EXPECT_FALSE(answer(twin.connection.store->register_node(silent, soon())).registered);
  EXPECT_TRUE(renew(a));
}

TEST_P(Registry, an_unknown_node_is_not_renewed) {
  Node& unregistered = stranger("node-a");
  EXPECT_FALSE(renew(unregistered));
  end_lease(unregistered);
  EXPECT_TRUE(answer(observer().history->nodes(soon())).empty());
}

TEST_P(Registry, a_clean_stop_ends_the_lease_at_once) {
  Node& a = node("node-a");
  claim(a, duty(5), token(a));
  EXPECT_EQ(holder(5), HolderState::kAlive);
  end_lease(a);
  EXPECT_EQ(holder(5), HolderState::kExpired);
  EXPECT_FALSE(answer(observer().history->nodes(soon())).at(0).alive);
  node("node-a");
}

TEST_P(Registry, a_node_that_is_gone_can_be_forgotten_and_what_it_signed_stays) {
  Node &a = node("node-a"), &b = node("node-b");
  sign(a, duty(5));
  EXPECT_EQ(forget("node-a"), NodeRemoval::kAlive);
  EXPECT_EQ(forget("node-c"), NodeRemoval::kUnknown);
  EXPECT_EQ(registered(), 2U);
  end_lease(a);
  EXPECT_EQ(forget("node-a"), NodeRemoval::kRemoved);
  EXPECT_EQ(forget("node-a"), NodeRemoval::kUnknown);
  EXPECT_EQ(registered(), 1U);
  EXPECT_EQ(look(duty(5)).row.value().status, DutyStatus::kSigned);
  EXPECT_TRUE(renew(b));
}

TEST_P(Registry, a_node_under_whose_id_a_duty_is_being_signed_is_not_forgotten) {
  Node& a = node("node-a");
  const LockToken held = token(a);
  claim(a, duty(5), held);
  kill(a);
  EXPECT_EQ(forget("node-a"), NodeRemoval::kStillSigns);
  EXPECT_EQ(holder(5), HolderState::kExpired) << "others must still know whose row that is";
  Node& restarted = node("node-a");
  EXPECT_TRUE(release(restarted, duty(5), held));
  end_lease(restarted);
  EXPECT_EQ(forget("node-a"), NodeRemoval::kRemoved);
}

TEST_P(Registry, a_node_that_was_forgotten_and_comes_back_registers_anew) {
  Node& a = node("node-a");
  end_lease(a);
  EXPECT_EQ(forget("node-a"), NodeRemoval::kRemoved);
  EXPECT_FALSE(renew(a)) << "it must not go on as if nothing had happened";
  EXPECT_TRUE(register_node(a).registered);
  EXPECT_TRUE(renew(a));
}

TEST_P(Registry, nodes_do_not_disturb_each_other) {
  Node &a = node("node-a"), &b = node("node-b");
  claim(a, duty(5), token(a));
  claim(b, duty(6), token(b));
  kill(a);
  EXPECT_EQ(holder(5), HolderState::kExpired);
  EXPECT_EQ(holder(6), HolderState::kAlive);
  EXPECT_TRUE(renew(b));
}

TEST_P(Registry, only_fenced_rows_of_registered_incarnations_have_a_fence) {
  Node &a = node("node-a"), &unregistered = stranger("node-x");
  claim(a, duty(1), token(a));
  claim(a, duty(2), token(a, TokenKind::kTakenOver));
  claim(a, duty(3), token(a, TokenKind::kHandedOut));
  claim(a, duty(4), LockToken("not one of ours"));
  claim(a, duty(5), token(unregistered));
  claim(unregistered, duty(6), token(unregistered));
  claim(unregistered, duty(7), token(a));
  under_test->put(foreign_row(duty(8)));
  EXPECT_EQ(holder(1), HolderState::kAlive);
  for (std::uint64_t number = 2; number <= 8; ++number) EXPECT_EQ(holder(number), HolderState::kUnfenced) << number;
}

}  // namespace
}  // namespace hasigner::contract
