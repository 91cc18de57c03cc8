#pragma once

#include <memory>
#include <vector>

#include "hasigner/async/asio.hpp"
#include "hasigner/protection/async.hpp"

namespace hasigner::service {

template <class T>
struct Gathering {
  std::vector<T> results;
  std::size_t missing = 0;
  std::move_only_function<void()> resume;
};

template <class T>
asio::awaitable<void> gather_one(std::shared_ptr<Gathering<T>> gathering, std::size_t place, asio::awaitable<T> task) {
  gathering->results[place] = co_await std::move(task);
  if (--gathering->missing == 0 && gathering->resume) std::exchange(gathering->resume, nullptr)();
}

/// Runs coroutines at once and returns what each returned, in their order. None may throw.
///
/// Thread safety: `executor` must be the one that the calling coroutine runs on, and run on one thread.
template <class T>
asio::awaitable<std::vector<T>> gather(asio::any_io_executor executor, std::vector<asio::awaitable<T>> tasks) {
  auto gathering = std::make_shared<Gathering<T>>();
  gathering->results.resize(tasks.size());
  gathering->missing = tasks.size();
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    asio::co_spawn(executor, gather_one(gathering, i, std::move(tasks[i])), asio::detached);
  }
  if (gathering->missing > 0) {
    auto keep = [gathering, executor](std::move_only_function<void()> resume) {
      gathering->resume = [executor, resume = std::move(resume)]() mutable { asio::post(executor, std::move(resume)); };
    };
    auto suspension = suspend(std::move(keep));
    co_await std::move(suspension);
  }
  co_return std::move(gathering->results);
}

}  // namespace hasigner::service
