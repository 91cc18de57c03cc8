#include "examples/demo/tally.hpp"

#include <gtest/gtest.h>

#include "hasigner/crypto/secp256k1.hpp"

namespace hasigner::demo {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Kind = NodeEvent::Kind;

constexpr TimePoint kStart{};

/// A demonstration of one validator and three slots of seven duties, the second slot special.
class TallyTest : public testing::Test {
 protected:
  static SecretKey key() {
    return *SecretKey::parse("0x0000000000000000000000000000000000000000000000000000000000000001");
  }

  NodeEvent signature(std::size_t duty, const std::string& author) const {
    NodeEvent event{.kind = Kind::kSigned, .number = duty, .took = milliseconds(5)};
    event.message = duties.message_of(duty, author);
    event.signature = sign(key(), *event.message);
    return event;
  }

  void sign_all_but(std::size_t left_out) {
    for (std::size_t duty = 0; duty < duties.count(); ++duty) {
      if (duty != left_out) tally.take(0, "a", signature(duty, "a"), kStart);
    }
  }

  /// The table that agrees with sign_all_but() of nothing.
  std::vector<DutyEntry> table() const {
    std::vector<DutyEntry> rows;
    for (std::size_t duty = 0; duty < duties.count(); ++duty) {
      const auto event = signature(duty, "a");
      const auto context = duties.context_of(duty);
      DutyEntry row;
      row.rollup = duties.rollup().to_string();
      row.validator = duties.validator_of(duty).to_string();
      row.slot = context.slot.to_string();
      row.block_index = std::to_string(context.block_index.value_or(-1));
      row.duty_type = to_string(context.duty_type);
      row.status = "signed";
      row.message_hash = event.message->to_string();
      row.signature = event.signature->to_string();
      rows.push_back(row);
    }
    return rows;
  }

  Duties duties{EthAddress{}, {address_of(key())}, 3};
  Tally tally{duties, {1}};
  static constexpr std::size_t kNone = 1000;
};

TEST_F(TallyTest, passes_when_every_duty_has_one_message) {
  sign_all_but(kNone);
  const auto verdict = tally.judge(table());
  EXPECT_TRUE(verdict.good());
  EXPECT_EQ(verdict.recovered, duties.count());
}

TEST_F(TallyTest, passes_when_two_nodes_let_the_same_message_out) {
  sign_all_but(kNone);
  auto again = signature(3, "b");
  ASSERT_FALSE(duties.differs_by_node(3));
  tally.take(1, "b", again, kStart);
  again.kind = Kind::kAlreadySigned;
  tally.take(2, "c", again, kStart);
  EXPECT_TRUE(tally.judge(table()).good());
}

TEST_F(TallyTest, finds_a_duty_that_no_node_signed) {
  sign_all_but(4);
  const auto verdict = tally.judge(std::nullopt);
  EXPECT_EQ(verdict.missed, 1U);
  EXPECT_FALSE(verdict.good());
}

TEST_F(TallyTest, finds_a_duty_signed_for_two_messages) {
  sign_all_but(kNone);
  ASSERT_TRUE(duties.differs_by_node(0));
  tally.take(1, "b", signature(0, "b"), kStart);
  const auto verdict = tally.judge(std::nullopt);
  EXPECT_EQ(verdict.two_messages, 1U);
  EXPECT_EQ(verdict.wrong_signatures, 0U);
  EXPECT_FALSE(verdict.good());
}

TEST_F(TallyTest, finds_two_messages_when_a_recorded_signature_is_handed_out_for_other_data) {
  sign_all_but(kNone);
  auto handed_out = signature(1, "b");
  handed_out.kind = Kind::kAlreadySigned;
  tally.take(1, "b", handed_out, kStart);
  EXPECT_EQ(tally.judge(std::nullopt).two_messages, 1U);
}

TEST_F(TallyTest, finds_a_signature_that_is_not_the_validators) {
  sign_all_but(6);
  auto forged = signature(6, "a");
  forged.signature->bytes()[40] ^= 1;
  tally.take(0, "a", forged, kStart);
  EXPECT_EQ(tally.judge(std::nullopt).wrong_signatures, 1U);
}

TEST_F(TallyTest, finds_a_signature_of_something_else_than_the_nodes_message) {
  sign_all_but(6);
  NodeEvent other{.kind = Kind::kSigned, .number = 6};
  other.message = MessageHash{};
  other.signature = sign(key(), *other.message);
  tally.take(0, "a", other, kStart);
  EXPECT_EQ(tally.judge(std::nullopt).wrong_signatures, 1U);
}

TEST_F(TallyTest, finds_rows_that_disagree_are_unfinished_or_missing) {
  sign_all_but(kNone);
  auto rows = table();
  rows[2].message_hash = rows[3].message_hash;
  EXPECT_EQ(tally.judge(rows).table_disagrees, 1U);
  rows = table();
  rows[2].status = "signing";
  EXPECT_EQ(tally.judge(rows).still_signing, 1U);
  rows = table();
  rows.pop_back();
  EXPECT_EQ(tally.judge(rows).table_disagrees, 1U);
}

TEST_F(TallyTest, finds_a_node_that_gave_up) {
  sign_all_but(kNone);
  tally.take(1, "b", {.kind = Kind::kGaveUp, .number = 2, .text = "why"}, kStart);
  EXPECT_FALSE(tally.judge(std::nullopt).good());
}

TEST_F(TallyTest, measures_from_the_kill_to_another_nodes_signature) {
  for (const std::size_t duty : {7U, 10U}) tally.take(1, "b", {.kind = Kind::kHolding, .number = duty}, kStart);
  tally.killed(1, kStart);
  EXPECT_EQ(tally.rescue().held, (std::set<std::size_t>{7, 10}));
  tally.take(0, "a", signature(7, "a"), kStart + milliseconds(30));
  EXPECT_FALSE(tally.all_signed(tally.rescue().held));
  tally.take(2, "c", signature(10, "c"), kStart + milliseconds(20));
  EXPECT_TRUE(tally.all_signed(tally.rescue().held));
  EXPECT_EQ(tally.rescue().other_data.percentile(1.0), milliseconds(30));
  EXPECT_EQ(tally.rescue().same_data.percentile(1.0), milliseconds(20));
  // They are not counted among the ordinary latencies.
  EXPECT_EQ(tally.signed_latencies().count(), 0U);
  tally.restarted(kStart + milliseconds(100));
  tally.take(1, "b2", signature(14, "b2"), kStart + milliseconds(140));
  EXPECT_EQ(tally.rescue().first_signature_after_restart, milliseconds(40));
}

TEST_F(TallyTest, counts_no_duty_as_held_whose_signature_arrives_after_the_kill_of_its_node) {
  for (const std::size_t duty : {7U, 10U}) tally.take(1, "b", {.kind = Kind::kHolding, .number = duty}, kStart);
  tally.killed(1, kStart);
  tally.take(1, "b", signature(7, "b"), kStart + milliseconds(1));
  EXPECT_EQ(tally.rescue().held, (std::set<std::size_t>{10}));
  tally.take(0, "a", signature(10, "a"), kStart + milliseconds(20));
  EXPECT_TRUE(tally.all_signed(tally.rescue().held));
}

TEST(Latencies, give_the_nearest_rank) {
  Latencies latencies;
  for (int i = 100; i >= 1; --i) latencies.add(microseconds(i));
  EXPECT_EQ(latencies.percentile(0.5), microseconds(50));
  EXPECT_EQ(latencies.percentile(0.99), microseconds(99));
  EXPECT_EQ(latencies.percentile(1.0), microseconds(100));
  EXPECT_EQ(Latencies().percentile(0.5), microseconds(0));
}

TEST(Wire, brings_every_event_back) {
  NodeEvent event{.kind = Kind::kSlotDone, .number = 3, .took = microseconds(42), .text = "two words\nand a line"};
  event.message = MessageHash{};
  const auto line = to_line(event);
  ASSERT_EQ(line.find('\n'), line.size() - 1);
  const auto back = parse_event(std::string_view(line).substr(0, line.size() - 1));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->kind, event.kind);
  EXPECT_EQ(back->number, 3U);
  EXPECT_EQ(back->took, event.took);
  EXPECT_EQ(back->message, event.message);
  EXPECT_EQ(back->signature, event.signature);
  EXPECT_EQ(back->text, "two words and a line");
  for (const std::string_view wrong : {"", "signed", "signed x 0 - - ", "signed 1 0 0x12 - ", "unknown 1 0 - - "}) {
    EXPECT_FALSE(parse_event(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace hasigner::demo
