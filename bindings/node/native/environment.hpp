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

/// Names one thing that JavaScript has asked for, or that it is asked for.
using CallId = std::uint64_t;

/// Makes the value of an event on the JavaScript thread.
using MakeValue = std::move_only_function<Napi::Value(Napi::Env)>;

/// What happens to JavaScript. The numbers are part of the agreement with lib/core.js.
enum class EventKind : std::uint8_t {
  kResolve = 0,  ///< the operation of this id has ended well
  kReject = 1,   ///< it has failed; the value says why
  kSign = 2,     ///< call the sign function of the operation of this id
  kQuery = 3,    ///< run statements in a caller's pool; answered by answer()
  kCall = 4,     ///< call a method of a caller's database; answered by answer()
  kNotice = 5,   ///< something for the metrics of the signer of this id
};

struct Event {
  EventKind kind;
  CallId id = 0;
  std::variant<std::monostate, std::string, MakeValue> value;
};

/// One Node.js environment (the main thread or one worker thread): the protocol's thread, and the way from there to
/// JavaScript and back.
///
/// Events are handed over in bundles, and so is what comes the other way, so that a crossing of the two threads is paid
/// for once by thousands of duties.
/// Lifetime: until the environment is torn down; whatever is in flight then is dropped, nothing is released.
/// Thread safety: emit() and run_on_protocol() from any thread, all else on the JavaScript thread.
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

  /// The environment keeps Node.js alive from the first of these until as many operations have ended by an event
  /// kResolve or kReject.
  void operation_begins();

  /// Ends the thread; from then on nothing is run and nothing is delivered. False: it did not end in time, so whatever
  /// it works with must stay. Harmless when called twice.
  bool shut_down();
  /// Destroys what was left undone. After shut_down(), when whatever uses the executor is gone.
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
  napi_threadsafe_function to_javascript_ = nullptr;  ///< null: torn down
  std::size_t operations_ = 0;
};

/// Runs a coroutine on the protocol's thread; how it ended becomes the event that ends the operation.
void run_operation(const std::shared_ptr<Environment>& environment, CallId id,
                   std::move_only_function<asio::awaitable<Event>()> operation);

/// An event that ends an operation with an error: its kind, a sentence, and whatever else JavaScript needs.
[[nodiscard]] Event rejection(CallId id, std::string kind, std::string message,
                              std::vector<std::pair<std::string, std::string>> fields = {});

}  // namespace hasigner::node
