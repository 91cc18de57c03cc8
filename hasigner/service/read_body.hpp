#pragma once

#include <functional>

#include "hasigner/async/asio.hpp"
#include "hasigner/service/active_request.hpp"
#include "hasigner/service/answer_text.hpp"
#include "hasigner/service/application_parts.hpp"
#include "hasigner/service/duty_requests.hpp"

namespace hasigner::service {

template <class T>
asio::awaitable<T> call(std::function<T()> function) {
  co_return function();
}

/// Waits for a turn of the request's client. Errors: as ActiveRequest::refuse_after_wait().
inline asio::awaitable<std::expected<FairQueue::Turn, Problem>> take_turn(std::shared_ptr<FairQueue> queue,
                                                                          ActiveRequestPtr request, std::size_t units) {
  auto taking = FairQueue::take(queue, request->share, units);
  auto turn = co_await std::move(taking);
  if (turn.has_waited()) {
    if (auto refused = request->refuse_after_wait()) co_return std::unexpected(std::move(*refused));
  }
  co_return std::move(turn);
}

/// Ends a turn after a while, even when its duties still wait for another node or for a remote signer: that costs the
/// other clients nothing, and the client's next duties must not wait for it.
class EndsInTime {
 public:
  EndsInTime(FairQueue::Turn turn, const asio::any_io_executor& executor)
      : turn_(std::make_shared<FairQueue::Turn>(std::move(turn))), timer_(executor, kLongestTurn) {
    timer_.async_wait([turn = turn_](boost::system::error_code) { turn->end(); });
  }
  ~EndsInTime() { turn_->end(); }
  EndsInTime(const EndsInTime&) = delete;
  EndsInTime& operator=(const EndsInTime&) = delete;

 private:
  static constexpr std::chrono::milliseconds kLongestTurn{10};

  std::shared_ptr<FairQueue::Turn> turn_;
  asio::steady_timer timer_;
};

/// Reads the body of a request by `read`, when it is its client's turn, on a thread for reading; a small one at once
/// while the node's thread has time for that.
template <class T>
asio::awaitable<ReadResult<T>> read_body(std::shared_ptr<FairWork> work, ActiveRequestPtr request,
                                         std::function<ReadResult<T>()> read) {
  const auto size = request->body.size();
  if (size <= FairWork::kInlineBytes && work->may_read_inline()) {
    const auto began = std::chrono::steady_clock::now();
    auto result = read();
    work->has_read_inline(std::chrono::steady_clock::now() - began);
    co_return result;
  }
  auto taking = take_turn(work->reading(size), request, 1);
  const auto turn = co_await std::move(taking);
  if (!turn) co_return std::unexpected(turn.error());
  auto reading = call(std::move(read));
  auto result = co_await asio::co_spawn(work->readers(), std::move(reading), asio::use_awaitable);
  if (auto refused = request->refuse_lost_rights()) co_return std::unexpected(std::move(*refused));
  co_return result;
}

/// An answer of at most so many entries may be written on the node's thread.
inline constexpr std::size_t kWriteInline = 100;

/// Makes an answer of so many entries by `write`, when it is its client's turn, on a thread for reading.
inline asio::awaitable<HttpResponse> write_in_turn(std::shared_ptr<FairWork> work, ActiveRequestPtr request,
                                                   std::size_t entries, std::function<HttpResponse()> write) {
  auto taking = FairQueue::take(work->reading(entries * kUsualEntry), request->share, 1);
  const auto turn = co_await std::move(taking);
  auto writing = call(std::move(write));
  auto response = co_await asio::co_spawn(work->readers(), std::move(writing), asio::use_awaitable);
  co_return response;
}

/// The same; a small one at once.
inline asio::awaitable<HttpResponse> write_answer(std::shared_ptr<FairWork> work, ActiveRequestPtr request,
                                                  std::size_t entries, std::function<HttpResponse()> write) {
  if (entries <= kWriteInline) co_return write();
  auto writing = write_in_turn(std::move(work), std::move(request), entries, std::move(write));
  auto response = co_await std::move(writing);
  co_return response;
}

/// Reads the duty requests of a body.
template <class T>
asio::awaitable<ReadResult<RequestList<T>>> read_request_list(ApplicationParts& parts, ActiveRequestPtr request,
                                                              RequestReader<T> read_one) {
  std::function<ReadResult<RequestList<T>>()> read = [request, read_one, most = parts.max_duties] {
    return read_requests<T>(request->body, most, read_one);
  };
  auto reading = read_body(parts.work, request, std::move(read));
  auto list = co_await std::move(reading);
  co_return list;
}

}  // namespace hasigner::service
