#pragma once

#include <napi.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "hasigner/async/asio.hpp"
#include "hasigner/protection/async.hpp"
#include "hasigner/protection/ports.hpp"

namespace hasigner::node {

/// The number of an operation, a question, a pool, a store or a signer.
using CallId = std::uint64_t;

/// Makes the value of an event on the JavaScript thread.
using MakeValue = std::move_only_function<Napi::Value(Napi::Env)>;

/// The kinds of events for JavaScript. lib/core.js has the same numbers.
enum class EventKind : std::uint8_t {
  kResolve = 0,  ///< the operation with this id has succeeded
  kReject = 1,   ///< the operation with this id has failed; the value says why
  kSign = 2,     ///< call the sign function of the operation of this id
  kQuery = 3,    ///< run statements in a caller's pool; answered by answer()
  kCall = 4,     ///< call a method of a caller's database; answered by answer()
  kNotice = 5,   ///< for the metrics of the signer with this id
};

struct Event {
  EventKind kind;
  CallId id = 0;
  std::variant<std::monostate, std::string, MakeValue> value;
};

/// One Node.js environment (the main thread or one worker thread): the protocol's thread, and its connection to
/// JavaScript.
///
/// Events for JavaScript and work for the protocol's thread are handed over in bundles, so that thousands of duties
/// share the cost of one switch between the threads. Lifetime: until the environment is torn down. Operations in flight
/// are dropped then; their duties are not released. Thread safety: emit() and run_on_protocol() from any thread, all
/// other functions on the JavaScript thread.
class Environment : public std::enable_shared_from_this<Environment> {
 public:
  static std::shared_ptr<Environment> create(Napi::Env env, Napi::Function deliver);
  ~Environment();
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  [[nodiscard]] asio::any_io_executor executor() const;
  [[nodiscard]] const std::shared_ptr<Clock>& clock() const { return clock_; }
  [[nodiscard]] const std::shared_ptr<RandomSource>& random() const { return random_; }
  [[nodiscard]] CallId next_id() { return ++last_id_; }

  void run_on_protocol(std::move_only_function<void()> work);
  void emit(Event event);

  /// Keeps Node.js alive until every operation that has begun has ended by an event kResolve or kReject.
  void operation_begins();

  /// Ends the thread. From then on no work is run and no event is delivered. Returns false when the thread did not end
  /// in time; then the objects that it uses must not be destroyed. A second call has no effect.
  bool shut_down();
  /// Destroys unfinished work. Called after shut_down(), when all users of the executor are destroyed.
  void drop_work();

 private:
  struct Contexts;
  class AllThreads;
  Environment(napi_env env, std::shared_ptr<Contexts> contexts);
  static void deliver_bundle(napi_env env, napi_value deliver, void* self, void* nothing);
  void deliver(Napi::Env env, Napi::Function deliver);

  napi_env env_;
  std::shared_ptr<Contexts> contexts_;
  std::thread thread_;
  std::shared_ptr<Clock> clock_;
  std::shared_ptr<RandomSource> random_;
  std::atomic<CallId> last_id_ = 0;

  std::mutex inbox_mutex_;
  std::vector<std::move_only_function<void()>> inbox_;  ///< for the protocol's thread

  std::mutex outbox_mutex_;
  std::vector<Event> outbox_;  ///< for JavaScript
  bool bundle_is_on_its_way_ = false;
  napi_threadsafe_function to_javascript_ = nullptr;  ///< null once it is torn down
  std::size_t operations_ = 0;
};

/// Runs a coroutine on the protocol's thread. Its result is the event that ends the operation.
void run_operation(const std::shared_ptr<Environment>& environment, CallId id,
                   std::move_only_function<asio::awaitable<Event>()> operation);

/// An event that ends an operation with an error: its kind, a sentence, and the fields of the JavaScript error.
[[nodiscard]] Event rejection(CallId id, std::string kind, std::string message,
                              std::vector<std::pair<std::string, std::string>> fields = {});

}  // namespace hasigner::node
