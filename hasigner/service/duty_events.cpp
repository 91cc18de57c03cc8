#include "hasigner/service/duty_events.hpp"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <list>
#include <map>
#include <nlohmann/json.hpp>
#include <ranges>
#include <set>
#include <tuple>

#include "hasigner/service/duty_json.hpp"
#include "hasigner/service/http_limits.hpp"
#include "hasigner/service/shared_limit.hpp"

namespace hasigner::service {

namespace {

using std::chrono::steady_clock;

constexpr std::size_t kMostSubscribers = HttpLimits{}.event_streams;
constexpr std::size_t kMostWaitingBytes = HttpLimits{}.event_bytes;
constexpr std::size_t kWatchedDuties = 1'000;
/// From this event on, a state that lasts a second is not missed.
constexpr std::string_view kWatching = "event: watching\ndata: {}\n\n";
constexpr std::size_t kProblemsOfLook = 200;
constexpr std::chrono::seconds kBetweenReads{1};
constexpr std::chrono::seconds kSilence{15};
constexpr std::chrono::seconds kEventsReadTimeout{10};

using DutyName = std::tuple<std::string, std::string, std::string, std::string, std::string>;

DutyName name_of(const DutyEntry& entry) {
  return {entry.rollup, entry.validator, entry.slot, entry.duty_type, entry.block_index};
}

std::string event_text(std::string_view change, const DutyEntry& entry) {
  const nlohmann::ordered_json object = {{"change", change}, {"duty", duty_json(entry)}};
  return "event: duty\ndata: " + object.dump() + "\n\n";
}

/// What happened to a duty between two looks. Returns an empty text when nothing did.
std::string_view change_of(const DutyEntry* before, const DutyEntry& now) {
  if (!before) return now.status == "signed" ? "signed" : "claimed";
  if (before->status != now.status) return now.status == "signed" ? "signed" : "claimed";
  if (before->lock_token == now.lock_token) return "";
  return before->message_hash == now.message_hash ? "taken over" : "replaced";
}

}  // namespace

namespace {

class Subscriber final : public EventStream {
 public:
  Subscriber(asio::any_io_executor executor, std::shared_ptr<SharedLimit> streams, std::string client, Client viewer,
             std::optional<DutyEvents::Session> session)
      : bell_(std::move(executor)),
        streams_(std::move(streams)),
        client_(std::move(client)),
        viewer_(std::move(viewer)),
        session_(session) {}
  ~Subscriber() override { streams_->give_back(client_, 1); }
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  asio::awaitable<std::optional<std::string>> next() override {
    if (waiting_.empty() && !ended_) {
      const auto silence_ends = steady_clock::now() + kSilence;
      bell_.expires_at(session_ ? std::min(session_->ends_at, silence_ends) : silence_ends);
      boost::system::error_code ignored;
      auto token = asio::redirect_error(asio::use_awaitable, ignored);
      co_await bell_.async_wait(token);
    }
    if (ended_ || (session_ && session_->ends_at <= steady_clock::now())) co_return std::nullopt;
    // A comment of the protocol. It shows each side whether the other side is still there.
    if (waiting_.empty()) co_return std::string(": nothing new\n\n");
    co_return std::exchange(waiting_, {});
  }
  void end() override {
    ended_ = true;
    bell_.cancel();
  }
  [[nodiscard]] bool ended() const { return ended_; }

  [[nodiscard]] bool is_of_session(const Fingerprint& id) const { return session_ && session_->id == id; }
  [[nodiscard]] bool may_see(const std::string& validator) const { return viewer_.may_see(validator); }

  void push(std::string_view text) {
    if (waiting_.size() + text.size() > kMostWaitingBytes) return end();
    waiting_ += text;
    bell_.cancel();
  }

 private:
  asio::steady_timer bell_;
  std::shared_ptr<SharedLimit> streams_;
  std::string client_;
  Client viewer_;
  std::optional<DutyEvents::Session> session_;
  std::string waiting_;
  bool ended_ = false;
};

}  // namespace

struct DutyEvents::State {
  State(asio::any_io_executor executor_in, History& history_in, std::shared_ptr<const DutyProblems> problems_in,
        ReportFailure report_in)
      : executor(std::move(executor_in)),
        history(&history_in),
        problems(std::move(problems_in)),
        report(std::move(report_in)),
        pause(executor) {}

  void tell(std::string_view change, const DutyEntry& entry) {
    const auto text = event_text(change, entry);
    for (const auto& subscriber : subscribers) {
      if (subscriber->may_see(entry.validator)) subscriber->push(text);
    }
  }

  /// The newest of those since the last look; a client that reads them all after `watching` misses none but what more
  /// than so many push out within a second.
  void tell_problems() {
    const auto news = problems->since(std::exchange(told, problems->last_number()), kProblemsOfLook);
    for (const auto& entry : news | std::views::reverse) {
      const auto text = "event: problem\ndata: " + duty_problem_json(entry).dump() + "\n\n";
      const auto validator = entry.problem.duty->validator.to_string();
      for (const auto& subscriber : subscribers) {
        if (subscriber->may_see(validator)) subscriber->push(text);
      }
    }
  }

  /// The first look only remembers: a duty that is there already is not an event.
  void compare(const std::vector<DutyEntry>& entries) {
    std::map<DutyName, DutyEntry> now;
    for (const auto& entry : entries) {
      const auto name = name_of(entry);
      const auto before = last.find(name);
      if (looked) {
        const auto change = change_of(before == last.end() ? nullptr : &before->second, entry);
        if (!change.empty()) tell(change, entry);
      }
      now.emplace(name, entry);
    }
    // A duty that is missing in a list that was cut may still be in the store.
    if (looked && entries.size() < kWatchedDuties && last.size() < kWatchedDuties) {
      for (const auto& [name, entry] : last) {
        if (!now.contains(name)) tell("removed", entry);
      }
    }
    last = std::move(now);
    if (std::exchange(looked, true)) return;
    for (const auto& subscriber : subscribers) subscriber->push(kWatching);
  }

  static asio::awaitable<void> watch(std::shared_ptr<State> self) {
    while (!self->ended) {
      std::erase_if(self->subscribers, [](const auto& subscriber) { return subscriber->ended(); });
      if (self->subscribers.empty()) break;
      DutyFilter filter;
      filter.limit = kWatchedDuties;
      auto entries = co_await self->history->duties(filter, steady_clock::now() + kEventsReadTimeout);
      if (entries) self->compare(*entries);
      self->tell_problems();
      self->pause.expires_after(kBetweenReads);
      boost::system::error_code ignored;
      auto token = asio::redirect_error(asio::use_awaitable, ignored);
      co_await self->pause.async_wait(token);
    }
    self->watching = false;
    self->looked = false;
    self->last.clear();
  }

  asio::any_io_executor executor;
  History* history;
  std::shared_ptr<const DutyProblems> problems;
  std::uint64_t told = 0;
  ReportFailure report;
  asio::steady_timer pause;
  std::shared_ptr<SharedLimit> streams = std::make_shared<SharedLimit>(kMostSubscribers);
  std::list<std::shared_ptr<Subscriber>> subscribers;
  std::map<DutyName, DutyEntry> last;
  bool looked = false;
  bool watching = false;
  bool ended = false;
};

DutyEvents::DutyEvents(asio::any_io_executor executor, History& history, std::shared_ptr<const DutyProblems> problems,
                       ReportFailure report)
    : state_(std::make_shared<State>(std::move(executor), history, std::move(problems), std::move(report))) {}

DutyEvents::~DutyEvents() {
  end();
}

std::shared_ptr<EventStream> DutyEvents::subscribe(const std::string& client, const Client& viewer,
                                                   const std::optional<Session>& session) {
  std::erase_if(state_->subscribers, [](const auto& subscriber) { return subscriber->ended(); });
  if (state_->ended || !state_->streams->take(client, 1)) return nullptr;
  auto subscriber = std::make_shared<Subscriber>(state_->executor, state_->streams, client, viewer, session);
  subscriber->push("retry: 1000\n\n");
  if (state_->looked) subscriber->push(kWatching);
  state_->subscribers.push_back(subscriber);
  if (!std::exchange(state_->watching, true)) {
    state_->told = state_->problems->last_number();
    spawn_loop(
        state_->executor, "the watch over duties", [state = state_] { return State::watch(state); }, state_->report);
  }
  return subscriber;
}

void DutyEvents::end_session(const Fingerprint& id) {
  for (const auto& subscriber : state_->subscribers) {
    if (subscriber->is_of_session(id)) subscriber->end();
  }
}

void DutyEvents::end_streams() {
  for (const auto& subscriber : state_->subscribers) subscriber->end();
}

void DutyEvents::end() {
  state_->ended = true;
  end_streams();
  state_->pause.cancel();
}

}  // namespace hasigner::service
