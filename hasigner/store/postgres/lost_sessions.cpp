#include "hasigner/store/postgres/lost_sessions.hpp"

#include <algorithm>

#include "hasigner/store/postgres/sql_texts.hpp"

namespace hasigner::postgres {

namespace {

/// Of so many the oldest has certainly ended.
constexpr std::size_t kMostLostSessions = 10'000;

bool contains(const std::vector<SessionId>& sessions, const SessionId& session) {
  return std::ranges::find(sessions, session) != sessions.end();
}

}  // namespace

void LostSessions::add(const SessionId& session) {
  if (contains(sessions_, session)) return;
  if (sessions_.size() >= kMostLostSessions) sessions_.erase(sessions_.begin());
  sessions_.push_back(session);
}

SqlStatement LostSessions::which_are_alive() const {
  std::string ids;
  for (const auto& session : sessions_) ids += (ids.empty() ? "{" : ",") + session.process_id;
  return {sql_texts(kNewestSchemaVersion).sessions_alive, {ids + "}"}};
}

void LostSessions::forget_ended(const SqlRows& alive, const std::vector<SessionId>& asked) {
  std::vector<SessionId> found;
  for (const auto& row : alive.rows) {
    found.push_back({row.at(0).value_or(""), row.at(1).value_or(""), row.at(2).value_or("")});
  }
  std::erase_if(sessions_,
                [&](const SessionId& session) { return contains(asked, session) && !contains(found, session); });
}

}  // namespace hasigner::postgres
