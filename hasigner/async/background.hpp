#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <string_view>
#include <utility>

#include "hasigner/async/asio.hpp"

namespace hasigner {

/// Is told which work an exception has ended. Must not throw.
using ReportFailure = std::function<void(std::string_view work, std::exception_ptr failure)>;

/// Reports the first failure only, of work that may fail over and over.
inline ReportFailure first_only(ReportFailure report) {
  return [report = std::move(report), is_first = true](std::string_view work, std::exception_ptr failure) mutable {
    if (std::exchange(is_first, false)) report(work, std::move(failure));
  };
}

/// How long a loop pauses after an exception.
inline constexpr std::chrono::milliseconds kLoopPause{1'000};

/// Runs a loop until it returns. After an exception, which is reported, and a pause it is begun anew.
inline asio::awaitable<void> keep_running(std::string_view name, std::function<asio::awaitable<void>()> begin,
                                          ReportFailure report, std::chrono::milliseconds pause) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  for (;;) {
    std::exception_ptr failure;
    try {
      auto running = begin();
      co_await std::move(running);
    } catch (...) {
      failure = std::current_exception();
    }
    if (!failure) co_return;
    report(name, std::move(failure));
    timer.expires_after(pause);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

/// Starts a loop that must not end by an exception, see keep_running(). `begin` makes its coroutine; what that refers
/// to must be in its parameters.
inline void spawn_loop(const asio::any_io_executor& executor, std::string_view name,
                       std::function<asio::awaitable<void>()> begin, ReportFailure report,
                       std::chrono::milliseconds pause = kLoopPause) {
  // What else is thrown here ends the program, as it leaves the thread.
  asio::co_spawn(executor, keep_running(name, std::move(begin), std::move(report), pause),
                 [](std::exception_ptr failure) {
                   if (failure) std::rethrow_exception(std::move(failure));
                 });
}

/// Starts work that ends by itself. An exception is reported.
inline void spawn_once(const asio::any_io_executor& executor, std::string_view name, asio::awaitable<void> work,
                       ReportFailure report) {
  asio::co_spawn(executor, std::move(work), [name, report = std::move(report)](std::exception_ptr failure) {
    if (failure) report(name, std::move(failure));
  });
}

}  // namespace hasigner
