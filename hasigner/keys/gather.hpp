#pragma once

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "hasigner/async/asio.hpp"

namespace hasigner::keys {

template <class T>
struct Gathering {
  Gathering(asio::any_io_executor executor, std::size_t count)
      : results(count), missing(count), complete(std::move(executor), asio::steady_timer::time_point::max()) {}
  std::vector<std::optional<T>> results;
  std::size_t missing;
  std::exception_ptr failure;
  asio::steady_timer complete;
};

template <class T>
asio::awaitable<std::vector<T>> gather_on(asio::any_io_executor strand, std::vector<asio::awaitable<T>> coroutines) {
  const auto gathering = std::make_shared<Gathering<T>>(strand, coroutines.size());
  for (std::size_t i = 0; i < coroutines.size(); ++i) {
    auto keep = [gathering, i](std::exception_ptr failure, T result) {
      if (failure) gathering->failure = std::move(failure);
      gathering->results[i] = std::move(result);
      if (--gathering->missing == 0) gathering->complete.cancel();
    };
    asio::co_spawn(strand, std::move(coroutines[i]), asio::bind_executor(strand, std::move(keep)));
  }
  if (gathering->missing > 0) {
    boost::system::error_code ignored;
    auto token = asio::redirect_error(asio::use_awaitable, ignored);
    co_await gathering->complete.async_wait(token);
  }
  if (gathering->failure) std::rethrow_exception(gathering->failure);
  std::vector<T> results;
  results.reserve(gathering->results.size());
  for (auto& result : gathering->results) results.push_back(std::move(*result));
  co_return results;
}

/// Runs coroutines concurrently and waits for all of them. Results are in the order of the coroutines.
///
/// Rethrows an exception when all have ended. T must be default-constructible, as with co_spawn().
template <class T>
asio::awaitable<std::vector<T>> gather(std::vector<asio::awaitable<T>> coroutines) {
  const auto executor = co_await asio::this_coro::executor;
  const asio::any_io_executor strand = asio::make_strand(executor);
  auto gathering = gather_on(strand, std::move(coroutines));
  auto results = co_await asio::co_spawn(strand, std::move(gathering), asio::use_awaitable);
  co_return results;
}

}  // namespace hasigner::keys
