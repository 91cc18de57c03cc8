#include "hasigner/store/postgres/lost_sessions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasigner::postgres {
namespace {

using testing::ElementsAre;

const SessionId kFirst{"7", "10:00", "09:00"};
const SessionId kSecond{"8", "10:01", "09:00"};
const SessionId kThird{"9", "10:02", "09:00"};

SqlRows rows_with(const std::vector<SessionId>& sessions) {
  SqlRows rows;
  for (const SessionId& session : sessions) {
    rows.rows.push_back({session.process_id, session.started_at, session.server_started_at});
  }
  return rows;
}

TEST(LostSessions, are_asked_about_by_their_process_ids) {
  LostSessions lost;
  lost.add(kFirst);
  lost.add(kSecond);
  lost.add(kFirst);
  EXPECT_THAT(lost.which_are_alive().parameters, ElementsAre("{7,8}"));
}

TEST(LostSessions, that_are_not_in_the_answer_have_ended) {
  LostSessions lost;
  lost.add(kFirst);
  lost.add(kSecond);
  lost.forget_ended(rows_with({kSecond}), {kFirst, kSecond});
  EXPECT_THAT(lost.all(), ElementsAre(kSecond));
}

TEST(LostSessions, that_were_not_asked_about_stay) {
  LostSessions lost;
  lost.add(kFirst);
  lost.add(kThird);
  lost.forget_ended(rows_with({}), {kFirst});
  EXPECT_THAT(lost.all(), ElementsAre(kThird));
}

TEST(LostSessions, of_a_process_id_that_is_used_again_have_ended) {
  LostSessions lost;
  lost.add(kFirst);
  lost.forget_ended(rows_with({{"7", "11:00", "09:00"}, {"8", "10:00", "09:00"}}), {kFirst});
  EXPECT_TRUE(lost.empty());
}

TEST(LostSessions, of_an_earlier_life_of_the_server_have_ended) {
  LostSessions lost;
  lost.add(kFirst);
  lost.forget_ended(rows_with({{"7", "10:00", "11:00"}}), {kFirst});
  EXPECT_TRUE(lost.empty());
}

}  // namespace
}  // namespace hasigner::postgres
