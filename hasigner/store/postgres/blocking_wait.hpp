#pragma once

#include <utility>

#include "hasigner/async/asio.hpp"

namespace hasigner::postgres {

/// Runs a coroutine on a context that no thread runs, and returns when it has ended.
template <class T>
T wait_for(asio::io_context& context, asio::awaitable<T> work) {
  auto result = asio::co_spawn(context, std::move(work), asio::use_future);
  context.restart();
  // Idle connections are watched too, so the context never runs out of work.
  while (result.wait_for(std::chrono::seconds(0)) != std::future_status::ready) context.run_one();
  return result.get();
}

}  // namespace hasigner::postgres
