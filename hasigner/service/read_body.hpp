#pragma once

#include <functional>

#include "hasigner/async/asio.hpp"
#include "hasigner/service/active_request.hpp"
#include "hasigner/service/application_parts.hpp"
#include "hasigner/service/duty_requests.hpp"

namespace hasigner::service {

/// Work threads read bodies that are larger than this, so that other requests do not wait for them.
inline constexpr std::size_t kReadOnOwnThread = 16 * 1024;

template <class T>
asio::awaitable<T> call(std::function<T()> function) {
  co_return function();
}

/// Calls `read`, which reads a body of `size` bytes, on this thread or on a work thread.
template <class T>
asio::awaitable<T> read_body(asio::any_io_executor work, std::size_t size, std::function<T()> read) {
  if (size <= kReadOnOwnThread) co_return read();
  auto reading = call(std::move(read));
  auto result = co_await asio::co_spawn(work, std::move(reading), asio::use_awaitable);
  co_return result;
}

/// Reads the duty requests of a body.
template <class T>
asio::awaitable<ReadResult<RequestList<T>>> read_request_list(ApplicationParts& parts, ActiveRequestPtr request,
                                                              RequestReader<T> read_one) {
  std::function<ReadResult<RequestList<T>>()> read = [request, read_one, most = parts.max_duties] {
    return read_requests<T>(request->body, most, read_one);
  };
  const auto work = parts.node.work_executor();
  auto list = co_await read_body(work, request->body.size(), std::move(read));
  co_return list;
}

}  // namespace hasigner::service
