#include "hasigner/service/log.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/protection/errors.hpp"
#include "hasigner/store/rows/utc_time.hpp"

namespace hasigner::service {

namespace {

using std::chrono::steady_clock;

constexpr std::size_t kMostLines = 10'000;
constexpr std::size_t kLongestLogField = 2'000;
constexpr auto kLastWrites = std::chrono::seconds(1);

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarning: return "warning";
    case LogLevel::kError: return "error";
  }
  return "";
}

std::string as_json(const LogLine& line) {
  nlohmann::ordered_json object = {{"time", line.time}, {"level", name_of(line.level)}, {"event", line.event}};
  for (const auto& [name, value] : line.fields) object[std::string(name)] = printable(value, kLongestLogField);
  return object.dump() + "\n";
}

std::string as_text(const LogLine& line) {
  std::string text = line.time + " " + std::string(name_of(line.level)) + " " + line.event;
  for (const auto& [name, value] : line.fields) {
    const auto shown = printable(value, kLongestLogField);
    const bool is_word = !shown.empty() && shown.find_first_of(" =\"") == std::string::npos;
    text += " " + std::string(name) + "=" + (is_word ? shown : nlohmann::json(shown).dump());
  }
  return text + "\n";
}

}  // namespace

std::string iso_text(std::chrono::system_clock::time_point time) {
  return iso_time(utc_text(std::chrono::floor<std::chrono::microseconds>(time)));
}

std::string to_text(const LogLine& line, LogFormat format) {
  return format == LogFormat::kJson ? as_json(line) : as_text(line);
}

struct Log::State {
  State(int descriptor_in, LogFormat format_in) : descriptor(descriptor_in), format(format_in) {}

  void add(LogLine line) {
    const std::scoped_lock lock(mutex);
    if (lines.size() >= kMostLines) {
      ++dropped;
      return;
    }
    if (dropped > 0) {
      LogLine lost{line.time, LogLevel::kWarning, "log_lines_dropped", {{"count", std::to_string(dropped)}}};
      lines.push_back(to_text(lost, format));
      dropped = 0;
    }
    lines.push_back(to_text(line, format));
    changed.notify_one();
  }

  /// Waits for lines. Returns nullopt when the log ends.
  std::optional<std::string> take() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return !lines.empty() || ending; });
    if (lines.empty()) return std::nullopt;
    std::string all;
    for (auto& line : lines) all += line;
    lines.clear();
    return all;
  }

  /// Whether there is time left to wait for the descriptor.
  bool may_wait() {
    const std::scoped_lock lock(mutex);
    return !ending || steady_clock::now() < end_by;
  }

  void put(std::string_view text) {
    while (!text.empty()) {
      pollfd ready{descriptor, POLLOUT, 0};
      const int count = ::poll(&ready, 1, 100);
      if (count == 0 || (count < 0 && errno == EINTR)) {
        if (!may_wait()) return;
        continue;
      }
      const auto written = ::write(descriptor, text.data(), std::min<std::size_t>(text.size(), 4'096));
      if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (written < 0) return;
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  const int descriptor;
  const LogFormat format;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> lines;
  std::size_t dropped = 0;
  bool ending = false;
  steady_clock::time_point end_by;
  std::thread thread;
};

Log::Log(int descriptor, LogFormat format) : state_(std::make_shared<State>(descriptor, format)) {
  state_->thread = std::thread([state = state_.get()] {
    while (const auto text = state->take()) state->put(*text);
  });
}

Log::~Log() {
  end();
}

void Log::end() {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->ending = true;
    state_->end_by = steady_clock::now() + kLastWrites;
    state_->changed.notify_one();
  }
  if (state_->thread.joinable()) state_->thread.join();
}

void Log::write(LogLevel level, std::string event, std::vector<LogField> fields) {
  state_->add({iso_text(std::chrono::system_clock::now()), level, std::move(event), std::move(fields)});
}

ReportFailure report_to(std::shared_ptr<Log> log) {
  return [log = std::move(log)](std::string_view work, std::exception_ptr failure) {
    try {
      std::rethrow_exception(std::move(failure));
    } catch (...) {
      log->write(LogLevel::kError, "unexpected",
                 {{"work", std::string(work)}, {"what", describe_current_exception(work)}});
    }
  };
}

}  // namespace hasigner::service
