#include "hasigner/service/unknown_client_log.hpp"

namespace hasigner::service {

namespace {

/// Those of more addresses are counted together.
constexpr std::size_t kMostCounts = 1'000;

}  // namespace

struct UnknownClientLog::State : std::enable_shared_from_this<State> {
  using What = std::pair<std::string, unsigned>;  ///< address and status

  State(asio::any_io_executor executor, std::shared_ptr<Log> log_in, std::chrono::milliseconds interval_in)
      : log(std::move(log_in)), interval(interval_in), timer(std::move(executor)) {}

  void begin_interval() {
    timer.expires_after(interval);
    timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (self && !error) self->end_interval();
    });
  }

  void end_interval() {
    for (const auto& [what, count] : std::exchange(counts, {})) {
      if (count <= kLines) continue;
      log->write(LogLevel::kInfo, "more_requests",
                 {{"peer", what.first},
                  {"status", std::to_string(what.second)},
                  {"count", std::to_string(count - kLines)},
                  {"meaning", "so many more requests like the last ones from there, without a known client"}});
    }
  }

  std::shared_ptr<Log> log;
  std::chrono::milliseconds interval;
  asio::steady_timer timer;
  std::map<What, std::size_t> counts;  ///< of requests in this interval
};

UnknownClientLog::UnknownClientLog(asio::any_io_executor executor, std::shared_ptr<Log> log,
                                   std::chrono::milliseconds interval)
    : state_(std::make_shared<State>(std::move(executor), std::move(log), interval)) {}

bool UnknownClientLog::may_write(const std::string& peer, unsigned status) {
  auto& counts = state_->counts;
  if (counts.empty()) state_->begin_interval();
  State::What what{peer, status};
  if (counts.size() >= kMostCounts && !counts.contains(what)) what.first = "other addresses";
  return ++counts[std::move(what)] <= kLines;
}

}  // namespace hasigner::service
