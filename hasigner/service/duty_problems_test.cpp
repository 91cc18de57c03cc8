#include "hasigner/service/duty_problems.hpp"

#include <gmock/gmock.h>

namespace hasigner::service {
namespace {

using testing::ElementsAre;

Problem refusal_at(std::uint64_t slot, std::string_view kind = "slashing_protection", const std::string& hash = "0x1") {
  auto problem = make_problem(kind, "why");
  problem.duty = DutyKey{.rollup = {}, .validator = {}, .slot = Slot::from(slot).value()};
  problem.attempted_message_hash = hash;
  problem.signature = "0x5";
  return problem;
}

ActiveRequest request_of(const std::string& client) {
  ActiveRequest request;
  request.client.name = client;
  request.share = "client " + client;
  return request;
}

std::vector<std::uint64_t> slots_of(const std::vector<DutyProblem>& problems) {
  std::vector<std::uint64_t> slots;
  for (const auto& problem : problems) slots.push_back(problem.problem.duty->slot.value());
  return slots;
}

TEST(DutyProblems, are_one_entry_for_the_same_client_duty_kind_and_message) {
  DutyProblems problems;
  const auto anna = request_of("anna");
  for (int i = 0; i < 3; ++i) problems.note(anna, refusal_at(5));
  problems.note(anna, refusal_at(5, "slashing_protection", "0x2"));
  problems.note(anna, refusal_at(5, "in_doubt"));
  problems.note(request_of("berta"), refusal_at(5));
  problems.note(anna, refusal_at(5));
  const auto all = problems.newest({}, {});
  ASSERT_EQ(all.size(), 4);
  EXPECT_EQ(all[0].count, 4);
  EXPECT_LE(all[0].first_at, all[0].last_at);
  EXPECT_EQ(all[0].problem.signature, "");
  EXPECT_EQ(all[1].client, "berta");
}

TEST(DutyProblems, without_a_duty_are_not_remembered) {
  DutyProblems problems;
  problems.note(request_of("anna"), make_problem("unavailable", "why"));
  EXPECT_TRUE(problems.newest({}, {}).empty());
}

TEST(DutyProblems, make_room_at_the_cost_of_the_client_with_most_of_them) {
  DutyProblems problems(4);
  problems.note(request_of("anna"), refusal_at(1));
  for (std::uint64_t slot = 2; slot <= 9; ++slot) problems.note(request_of("berta"), refusal_at(slot));
  EXPECT_THAT(slots_of(problems.newest({}, {})), ElementsAre(9, 8, 7, 1));
}

TEST(DutyProblems, of_duties_that_are_signed_already_push_out_no_others) {
  DutyProblems problems(2);
  problems.note(request_of("anna"), refusal_at(1));
  for (std::uint64_t slot = 2; slot <= 9; ++slot)
    problems.note(request_of("anna"), refusal_at(slot, "duty_already_signed"));
  EXPECT_THAT(slots_of(problems.newest({}, {})), ElementsAre(9, 8, 1));
}

TEST(DutyProblems, are_shown_for_validators_and_slots_that_are_asked_for) {
  DutyProblems problems;
  for (std::uint64_t slot = 1; slot <= 5; ++slot) problems.note(request_of("anna"), refusal_at(slot));
  DutyFilter filter;
  filter.from_slot = Slot::from(2).value();
  filter.to_slot = Slot::from(4).value();
  filter.limit = 2;
  EXPECT_THAT(slots_of(problems.newest({}, filter)), ElementsAre(4, 3));
  Client other;
  other.validators = {EthAddress::parse("0x2b5ad5c4795c026514f8317c7a215e218dccd6cf", "").value()};
  EXPECT_TRUE(problems.newest(other, {}).empty());
}

TEST(DutyProblems, since_a_number_are_those_that_came_after_it) {
  DutyProblems problems;
  for (std::uint64_t slot = 1; slot <= 3; ++slot) problems.note(request_of("anna"), refusal_at(slot));
  const auto number = problems.last_number();
  EXPECT_TRUE(problems.since(number, 10).empty());
  problems.note(request_of("anna"), refusal_at(2));
  problems.note(request_of("anna"), refusal_at(4, "duty_already_signed"));
  EXPECT_THAT(slots_of(problems.since(number, 10)), ElementsAre(4, 2));
  EXPECT_THAT(slots_of(problems.since(number, 1)), ElementsAre(4));
}

}  // namespace
}  // namespace hasigner::service
