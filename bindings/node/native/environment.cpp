#include "environment.hpp"

#include <condition_variable>
#include <cstdlib>
#include <set>

#include "hasigner/async/signals_blocked.hpp"
#include "hasigner/protection/system_clock.hpp"

namespace hasigner::node {

namespace {

constexpr auto kThreadEndsWithin = std::chrono::seconds(2);

Napi::Value value_of(Napi::Env env, Event& event) {
  if (auto* text = std::get_if<std::string>(&event.value)) return Napi::String::New(env, *text);
  if (auto* make = std::get_if<MakeValue>(&event.value)) return (*make)(env);
  return env.Undefined();
}

}  // namespace

/// The thread owns it, too, so that a thread that does not end in time can still use it.
struct Environment::Contexts {
  asio::io_context protocol{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard = asio::make_work_guard(protocol);
  std::mutex mutex;
  std::condition_variable ended;
  bool is_running = false;

  /// Waits for the end of the thread. Returns false when the thread has not ended in time.
  bool stop() {
    protocol.stop();
    std::unique_lock lock(mutex);
    return ended.wait_for(lock, kThreadEndsWithin, [this] { return !is_running; });
  }
};

/// The threads of all environments in this process. On process.exit() Node.js does not run the hooks of an environment,
/// but the C library runs its atexit() functions before it destroys objects that the threads use.
class Environment::AllThreads {
 public:
  static AllThreads& get() {
    static auto* const all = [] {
      std::atexit([] { get().stop(); });
      return new AllThreads;
    }();
    return *all;
  }

  void add(const std::shared_ptr<Contexts>& contexts) {
    const std::scoped_lock lock(mutex_);
    contexts_.insert(contexts);
  }
  void remove(const std::shared_ptr<Contexts>& contexts) {
    const std::scoped_lock lock(mutex_);
    contexts_.erase(contexts);
  }

 private:
  void stop() {
    std::set<std::shared_ptr<Contexts>> all;
    {
      const std::scoped_lock lock(mutex_);
      all = contexts_;
    }
    for (const auto& contexts : all) contexts->stop();
    // Unfinished work is not destroyed: the process is ending.
    static_cast<void>(new auto(std::move(all)));
  }

  std::mutex mutex_;
  std::set<std::shared_ptr<Contexts>> contexts_;
};

Environment::Environment(napi_env env, std::shared_ptr<Contexts> contexts) : env_(env), contexts_(std::move(contexts)) {
  clock_ = std::make_shared<SystemClock>(executor());
  random_ = std::make_shared<SystemRandom>();
}

std::shared_ptr<Environment> Environment::create(Napi::Env env, Napi::Function deliver) {
  const std::shared_ptr<Environment> self(new Environment(env, std::make_shared<Contexts>()));
  const napi_status status =
      napi_create_threadsafe_function(env, deliver, nullptr, Napi::String::New(env, "ha-signer"), 0, 1, nullptr,
                                      nullptr, self.get(), &Environment::deliver_bundle, &self->to_javascript_);
  if (status != napi_ok) throw Napi::Error::New(env, "ha-signer: its thread could not be connected to JavaScript");
  napi_unref_threadsafe_function(env, self->to_javascript_);
  AllThreads::get().add(self->contexts_);
  const SignalsBlocked signals_blocked;
  self->contexts_->is_running = true;
  self->thread_ = std::thread([contexts = self->contexts_] {
    contexts->protocol.run();
    const std::scoped_lock lock(contexts->mutex);
    contexts->is_running = false;
    contexts->ended.notify_all();
  });
  return self;
}

Environment::~Environment() {
  shut_down();
}

asio::any_io_executor Environment::executor() const {
  return contexts_->protocol.get_executor();
}

void Environment::run_on_protocol(std::move_only_function<void()> work) {
  bool is_first = false;
  {
    const std::scoped_lock lock(inbox_mutex_);
    is_first = inbox_.empty();
    inbox_.push_back(std::move(work));
  }
  if (!is_first) return;
  asio::post(contexts_->protocol, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    std::vector<std::move_only_function<void()>> all;
    {
      const std::scoped_lock lock(self->inbox_mutex_);
      all.swap(self->inbox_);
    }
    for (auto& one : all) one();
  });
}

void Environment::emit(Event event) {
  const std::scoped_lock lock(outbox_mutex_);
  if (!to_javascript_) return;
  outbox_.push_back(std::move(event));
  if (bundle_is_on_its_way_) return;
  bundle_is_on_its_way_ = true;
  napi_call_threadsafe_function(to_javascript_, nullptr, napi_tsfn_nonblocking);
}

void Environment::deliver_bundle(napi_env env, napi_value deliver, void* self, void*) {
  // A call without an environment only means that the function is being torn down.
  if (!env || !deliver) return;
  const Napi::Env javascript(env);
  const auto environment = static_cast<Environment*>(self)->weak_from_this().lock();
  if (!environment) return;
  try {
    environment->deliver(javascript, Napi::Function(env, deliver));
  } catch (const Napi::Error& error) {
    napi_fatal_exception(env, error.Value());
  }
}

void Environment::deliver(Napi::Env env, Napi::Function deliver) {
  std::vector<Event> events;
  {
    const std::scoped_lock lock(outbox_mutex_);
    events.swap(outbox_);
    bundle_is_on_its_way_ = false;
  }
  const Napi::HandleScope scope(env);
  Napi::Array flat = Napi::Array::New(env, events.size() * 3);
  std::uint32_t index = 0;
  std::size_t ended = 0;
  for (Event& event : events) {
    if (event.kind == EventKind::kResolve || event.kind == EventKind::kReject) ++ended;
    const Napi::HandleScope each(env);
    flat.Set(index++, Napi::Number::New(env, static_cast<double>(event.kind)));
    flat.Set(index++, Napi::Number::New(env, static_cast<double>(event.id)));
    flat.Set(index++, value_of(env, event));
  }
  operations_ -= std::min(operations_, ended);
  if (operations_ == 0 && to_javascript_) napi_unref_threadsafe_function(env, to_javascript_);
  deliver.Call({flat});
}

void Environment::operation_begins() {
  if (operations_++ > 0 || !to_javascript_) return;
  napi_ref_threadsafe_function(env_, to_javascript_);
}

bool Environment::shut_down() {
  {
    const std::scoped_lock lock(outbox_mutex_);
    if (to_javascript_) napi_release_threadsafe_function(to_javascript_, napi_tsfn_abort);
    to_javascript_ = nullptr;
    outbox_.clear();
  }
  if (!thread_.joinable()) return true;
  AllThreads::get().remove(contexts_);
  const bool has_ended = contexts_->stop();
  if (has_ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
  return has_ended;
}

void Environment::drop_work() {
  inbox_.clear();
  // The clock's timer belongs to the context, so the clock is destroyed first. Objects that are destroyed with the
  // context may own this environment.
  const auto contexts = std::move(contexts_);
  clock_.reset();
}

namespace {

asio::awaitable<void> run(std::shared_ptr<Environment> environment, CallId id,
                          std::move_only_function<asio::awaitable<Event>()> operation) {
  Event event{EventKind::kReject, id, {}};
  std::string failure;
  try {
    event = co_await operation();
  } catch (const std::exception& e) {
    failure = e.what();
  }
  if (!failure.empty()) event = rejection(id, "failed", failure);
  event.id = id;
  environment->emit(std::move(event));
}

}  // namespace

void run_operation(const std::shared_ptr<Environment>& environment, CallId id,
                   std::move_only_function<asio::awaitable<Event>()> operation) {
  environment->operation_begins();
  environment->run_on_protocol([environment, id, operation = std::move(operation)]() mutable {
    asio::co_spawn(environment->executor(), run(environment, id, std::move(operation)), asio::detached);
  });
}

Event rejection(CallId id, std::string kind, std::string message,
                std::vector<std::pair<std::string, std::string>> fields) {
  fields.emplace_back("kind", std::move(kind));
  fields.emplace_back("message", std::move(message));
  MakeValue make = [fields = std::move(fields)](Napi::Env env) -> Napi::Value {
    Napi::Object error = Napi::Object::New(env);
    for (const auto& [name, text] : fields) error.Set(name, text);
    return error;
  };
  return Event{EventKind::kReject, id, std::move(make)};
}

}  // namespace hasigner::node
