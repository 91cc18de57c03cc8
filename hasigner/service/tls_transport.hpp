#pragma once

#include <boost/asio/buffer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

#include "hasigner/async/asio.hpp"

namespace hasigner::service {

enum class HandshakeStep : std::uint8_t { kTake, kGiveUp };

/// The socket below a TLS stream. While a handshake runs, the TLS stream is used on another thread, and the socket on
/// its own executor only. `Stream` is Beast's stream with time limits, basic_stream.
template <class Stream>
class TlsTransport {
 public:
  using executor_type = typename Stream::executor_type;
  using lowest_layer_type = typename Stream::socket_type;
  /// One step of the handshake: uses what was read or written. With kGiveUp the handshake ends with an error.
  using Step = std::move_only_function<void(HandshakeStep)>;

  explicit TlsTransport(lowest_layer_type socket) : stream_(std::move(socket)) {}

  [[nodiscard]] Stream& stream() { return stream_; }
  [[nodiscard]] lowest_layer_type& lowest_layer() { return stream_.socket(); }
  [[nodiscard]] const lowest_layer_type& lowest_layer() const { return stream_.socket(); }
  [[nodiscard]] executor_type get_executor() { return stream_.get_executor(); }

  /// Gives each step to `take_step` from now on. `limit`: how long the handshake may wait for the client, in all.
  void begin_handshake(std::chrono::nanoseconds limit, std::function<void(Step)> take_step) {
    left_ = limit;
    take_step_ = std::move(take_step);
  }
  void end_handshake() { take_step_ = nullptr; }

  // What a TLS stream asks of the layer below it; the names are Asio's.

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (!take_step_) return stream_.async_read_some(buffers, std::forward<Handler>(handler));
    auto start = [this, buffers](auto done) { stream_.async_read_some(buffers, std::move(done)); };
    transfer(std::move(start), std::forward<Handler>(handler));
  }
  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    if (!take_step_) return stream_.async_write_some(buffers, std::forward<Handler>(handler));
    auto start = [this, buffers](auto done) { stream_.async_write_some(buffers, std::move(done)); };
    transfer(std::move(start), std::forward<Handler>(handler));
  }

 private:
  template <class Start, class Handler>
  void transfer(Start start, Handler handler) {
    asio::dispatch(stream_.get_executor(), [this, start = std::move(start), handler = std::move(handler)]() mutable {
      const auto began = std::chrono::steady_clock::now();
      stream_.expires_after(left_);
      start([this, began, handler = std::move(handler)](boost::system::error_code error, std::size_t size) mutable {
        left_ -= std::chrono::steady_clock::now() - began;
        take_step_([handler = std::move(handler), error, size](HandshakeStep what) mutable {
          if (what == HandshakeStep::kGiveUp) error = asio::error::operation_aborted;
          std::move(handler)(error, size);
        });
      });
    });
  }

  Stream stream_;
  std::chrono::nanoseconds left_{0};
  std::function<void(Step)> take_step_;
};

}  // namespace hasigner::service
