// What lib/core.js calls. Every function returns at once; what it sets going ends by an event.

#include <napi.h>

#include <memory>
#include <stdexcept>
#include <unordered_map>

#include "hasigner/store/postgres/libpq_executor.hpp"
#include "hasigner/store/postgres/migrator.hpp"
#include "hasigner/store/postgres/schema_files.hpp"
#include "hasigner/store/postgres/session_check.hpp"
#include "operations.hpp"
#include "values.hpp"

namespace hasigner::node {

namespace {

constexpr milliseconds kQueryTimeout{60'000};

std::size_t count_of(const Napi::Object& object, const char* name, std::size_t otherwise) {
  const Napi::Value value = object.Get(name);
  if (!value.IsNumber()) return otherwise;
  const double number = value.As<Napi::Number>().DoubleValue();
  return number >= 0 && number < 1e15 ? static_cast<std::size_t>(number) : otherwise;
}

milliseconds ms_of(const Napi::Object& object, const char* name, milliseconds otherwise) {
  return milliseconds(static_cast<std::int64_t>(count_of(object, name, static_cast<std::size_t>(otherwise.count()))));
}

std::optional<std::chrono::hours> retention_of(const Napi::Object& object) {
  if (!object.Get("retentionHours").IsNumber()) return std::nullopt;
  return std::chrono::hours(static_cast<std::int64_t>(count_of(object, "retentionHours", 1)));
}

CallId id_of(const Napi::Value& value) {
  return static_cast<CallId>(value.As<Napi::Number>().Int64Value());
}

/// What happened on the way of signers whose metrics somebody wants to have.
class JavaScriptMetrics final : public Metrics {
 public:
  JavaScriptMetrics(std::shared_ptr<Environment> environment, CallId signer)
      : environment_(std::move(environment)), signer_(signer) {}

  void count(Event event, DutyType) override {
    if (event == Event::kLockAcquired) notify("lock");
  }
  void removed(Removal what, std::size_t rows) override {
    const char* name = what == Removal::kOld || what == Removal::kExpired ? "old:"
                       : what == Removal::kOtherRollups                   ? "outdated_rollup:"
                                                                          : "stuck:";
    notify(name + std::to_string(rows));
  }

 private:
  void notify(std::string what) { environment_->emit({EventKind::kNotice, signer_, std::move(what)}); }

  std::shared_ptr<Environment> environment_;
  CallId signer_;
};

using Arguments = const Napi::CallbackInfo&;

/// The addon as one attachment of JavaScript sees it: its own thread, stores and signers.
class Addon {
 public:
  /// (deliver) → the functions of a new attachment. There may be several in one environment: test runners load modules
  /// anew for each file.
  static Napi::Value attach(const Napi::CallbackInfo& arguments);
  ~Addon() { shut_down(); }
  Addon() = default;
  Addon(const Addon&) = delete;
  Addon& operator=(const Addon&) = delete;

 private:
  template <auto method>
  static Napi::Value call(Arguments arguments) {
    Addon& addon = *static_cast<Addon*>(arguments.Data());
    if (!addon.environment_) {
      throw Napi::Error::New(arguments.Env(), "ha-signer: this thread of Node.js is ending");
    }
    try {
      (addon.*method)(arguments);
    } catch (const std::out_of_range&) {
      throw Napi::Error::New(arguments.Env(), "ha-signer: what was asked for is closed");
    }
    return arguments.Env().Undefined();
  }
  void run(CallId id, std::move_only_function<asio::awaitable<Event>()> operation) {
    run_operation(environment_, id, std::move(operation));
  }
  void refuse(CallId id, const InvalidInput& input);
  NodeSigner node_signer(const Napi::Value& id) const;
  std::shared_ptr<HaSigner> signer(const Napi::Value& id) const { return node_signer(id).signer; }

  Napi::Object functions(Napi::Env env);
  static Napi::Value detach(Arguments arguments) {
    static_cast<Addon*>(arguments.Data())->shut_down();
    return arguments.Env().Undefined();
  }
  void shut_down();
  void open_pool(Arguments arguments);
  void query_pool(Arguments arguments);
  void close_pool(Arguments arguments);
  void open_store(Arguments arguments);
  void open_callers_store(Arguments arguments);
  void close_store(Arguments arguments);
  void create_signer(Arguments arguments);
  void drop_signer(Arguments arguments);
  void drop_store(Arguments arguments);
  void start(Arguments arguments);
  void stop(Arguments arguments);
  void sign(Arguments arguments);
  void signed_by_function(Arguments arguments);
  void sign_function_failed(Arguments arguments);
  void check_and_record(Arguments arguments);
  void record_success(Arguments arguments);
  void delete_duty(Arguments arguments);
  void try_insert(Arguments arguments);
  void update_signed(Arguments arguments);
  void release_duty(Arguments arguments);
  void remove_duties(Arguments arguments);
  void answer_query(Arguments arguments);
  void answer_call(Arguments arguments);

  std::shared_ptr<Environment> environment_;
  DeskPtr desk_;
  // Each is filled by the operation that opens it, under the id of that operation.
  std::unordered_map<CallId, Opened<OpenedPool>> pools_;
  std::unordered_map<CallId, Opened<NodeStore>> stores_;
  std::unordered_map<CallId, NodeSigner> signers_;
};

/// All attachments of one environment.
using Attachments = std::vector<std::unique_ptr<Addon>>;

Napi::Value Addon::attach(const Napi::CallbackInfo& arguments) {
  const Napi::Env env = arguments.Env();
  auto addon = std::make_unique<Addon>();
  addon->environment_ = Environment::create(env, arguments[0].As<Napi::Function>());
  addon->desk_ = std::make_shared<Desk>(addon->environment_);
  // Made after the way to JavaScript, so that it runs before that is torn down.
  napi_add_env_cleanup_hook(
      env, [](void* ending) { static_cast<Addon*>(ending)->shut_down(); }, addon.get());
  auto& attachments = *env.GetInstanceData<Attachments>();
  attachments.push_back(std::move(addon));
  return attachments.back()->functions(env);
}

void Addon::shut_down() {
  if (!environment_) return;
  const bool has_ended = environment_->shut_down();
  // What a thread that did not end works with stays until the process is gone.
  if (!has_ended) {
    static_cast<void>(new std::shared_ptr<Environment>(environment_));
    static_cast<void>(new auto(signers_));
    static_cast<void>(new auto(stores_));
    static_cast<void>(new auto(pools_));
  }
  signers_.clear();
  stores_.clear();
  pools_.clear();
  desk_.reset();
  if (has_ended) environment_->drop_work();
  environment_.reset();
}

void Addon::refuse(CallId id, const InvalidInput& input) {
  environment_->operation_begins();
  environment_->emit(rejection(id, "invalid_input", input.message(), {{"field", input.field}}));
}

NodeSigner Addon::node_signer(const Napi::Value& id) const {
  const auto found = signers_.find(id_of(id));
  if (found == signers_.end()) throw Napi::Error::New(id.Env(), "ha-signer: no such signer");
  return found->second;
}

/// (id, {url, max, min, idleMs, connectMs, openMs})
void Addon::open_pool(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  const auto settings = arguments[1].As<Napi::Object>();
  postgres::PoolConfig config;
  config.url = text_of(settings.Get("url"));
  config.max = count_of(settings, "max", config.max);
  config.min = count_of(settings, "min", config.min);
  config.idle_timeout = ms_of(settings, "idleMs", config.idle_timeout);
  config.connection_timeout = ms_of(settings, "connectMs", config.connection_timeout);
  const auto open_timeout = ms_of(settings, "openMs", milliseconds(15'000));
  auto opened = std::make_shared<std::optional<OpenedPool>>();
  pools_[id] = opened;
  run(id, [desk = desk_, config, open_timeout, opened] { return node::open_pool(desk, config, open_timeout, opened); });
}

/// (id, pool, text, values)
void Addon::query_pool(Arguments arguments) {
  const auto& pool = *pools_.at(id_of(arguments[1]));
  std::vector<std::optional<std::string>> values;
  const auto given = arguments[3].As<Napi::Array>();
  for (std::uint32_t i = 0; i < given.Length(); ++i) {
    const Napi::Value value = given.Get(i);
    values.push_back(value.IsNull() || value.IsUndefined() ? std::nullopt : std::optional(text_of(value)));
  }
  const auto text = std::make_shared<const std::string>(text_of(arguments[2]));
  const auto deadline = environment_->clock()->now() + kQueryTimeout;
  run(id_of(arguments[0]), [executor = pool->executor, deadline, text, values = std::move(values)] {
    return node::query_pool(executor, deadline, text, values);
  });
}

/// (id, pool)
void Addon::close_pool(Arguments arguments) {
  const auto pool = pools_.extract(id_of(arguments[1]));
  if (pool.empty()) throw std::out_of_range("pool");
  run(id_of(arguments[0]), [executor = (*pool.mapped())->executor] { return node::close_pool(executor); });
}

/// (id, {pool | callersPool, connections | url, allowEphemeral, retentionHours, openMs})
void Addon::open_store(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  const auto given = arguments[1].As<Napi::Object>();
  StoreSettings settings;
  settings.retention = retention_of(given);
  settings.open_timeout = ms_of(given, "openMs", settings.open_timeout);
  settings.allow_ephemeral = given.Get("allowEphemeral").ToBoolean();
  settings.database_url = "postgresql://";
  if (given.Get("url").IsString()) settings.database_url = text_of(given.Get("url"));
  if (given.Get("pool").IsNumber()) settings.sql_pool = (*pools_.at(id_of(given.Get("pool"))))->shared;
  std::optional<CallersPool> callers;
  if (given.Get("callersPool").IsNumber()) {
    callers =
        CallersPool{given.Get("callersPool").As<Napi::Number>().Uint32Value(), count_of(given, "connections", 10)};
  }
  auto opened = std::make_shared<std::optional<NodeStore>>();
  stores_[id] = opened;
  run(id, [desk = desk_, settings, callers, opened]() mutable {
    if (callers) {
      const auto pool = std::make_shared<PoolExecutor>(desk->environment, desk->queries, *callers);
      settings.sql_pool = std::make_shared<SharedSqlPool>(std::make_shared<TextExecutor>(pool, desk->texts));
    }
    return open_store_for_node(desk, settings, opened);
  });
}

/// (store, database)
void Addon::open_callers_store(Arguments arguments) {
  auto store = std::make_shared<CallersStore>(environment_, desk_->calls, desk_->texts,
                                              arguments[1].As<Napi::Number>().Uint32Value());
  stores_[id_of(arguments[0])] = std::make_shared<std::optional<NodeStore>>(NodeStore{std::move(store), nullptr});
}

/// (id, store)
void Addon::close_store(Arguments arguments) {
  auto opened = stores_.extract(id_of(arguments[1]));
  if (opened.empty()) throw std::out_of_range("store");
  run(id_of(arguments[0]), [store = (*opened.mapped())->store] { return node::close_store(store); });
}

/// (signer, store, settings)
void Addon::create_signer(Arguments arguments) {
  const Napi::Env env = arguments.Env();
  const CallId id = id_of(arguments[0]);
  const auto& store = *stores_.at(id_of(arguments[1]));
  const auto given = arguments[2].As<Napi::Object>();
  const auto node_id = NodeId::parse(text_of(given.Get("nodeId")));
  if (!node_id) throw Napi::Error::New(env, node_id.error().message());
  const auto rollup = EthAddress::parse(text_of(given.Get("rollup")), "rollup address");
  if (!rollup) throw Napi::Error::New(env, rollup.error().message());
  SignerConfig config{.node_id = *node_id, .rollup = *rollup};
  config.polling_interval = ms_of(given, "pollingIntervalMs", config.polling_interval);
  config.peer_signing_timeout = ms_of(given, "peerSigningTimeoutMs", config.peer_signing_timeout);
  config.signer_call_timeout = ms_of(given, "signerCallTimeoutMs", config.signer_call_timeout);
  config.attempt_timeout = ms_of(given, "attemptTimeoutMs", config.attempt_timeout);
  config.max_stuck_duties_age = ms_of(given, "maxStuckDutiesAgeMs", config.max_stuck_duties_age);
  config.old_duties_max_age = retention_of(given);
  config.max_batch = count_of(given, "maxBatch", config.max_batch);
  Ports ports{.executor = environment_->executor(),
              .clock = environment_->clock(),
              .random = environment_->random(),
              .store = store->store};
  if (given.Get("wantsMetrics").ToBoolean()) ports.metrics = std::make_shared<JavaScriptMetrics>(environment_, id);
  const auto incarnation = text_of(given.Get("incarnation"));
  if (!incarnation.empty()) ports.incarnation = Incarnation::try_parse(incarnation);
  try {
    signers_[id] = {std::make_shared<HaSigner>(std::move(config), std::move(ports)), store->keeps_texts};
  } catch (const std::invalid_argument& error) {
    throw Napi::Error::New(env, error.what());
  }
}

/// (signer): what is left of it may still be in use on the protocol's thread, so it is let go there.
void Addon::drop_signer(Arguments arguments) {
  auto signer = signers_.extract(id_of(arguments[0]));
  if (signer.empty()) return;
  environment_->run_on_protocol([signer = std::move(signer.mapped())] {});
}

/// (store): for one that its signer has closed.
void Addon::drop_store(Arguments arguments) {
  auto store = stores_.extract(id_of(arguments[0]));
  if (store.empty()) return;
  environment_->run_on_protocol([store = std::move(store.mapped())] {});
}

/// (id, signer, timeoutMs)
void Addon::start(Arguments arguments) {
  const milliseconds timeout(arguments[2].As<Napi::Number>().Int64Value());
  run(id_of(arguments[0]), [signer = signer(arguments[1]), timeout] { return start_signer(signer, timeout); });
}

/// (id, signer)
void Addon::stop(Arguments arguments) {
  run(id_of(arguments[0]), [signer = signer(arguments[1])] { return stop_signer(signer); });
}

/// (id, signer, validator, hash, duty type, slot, block number, checkpoint number, block index)
void Addon::sign(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  auto request = sign_request_of(arguments, 2);
  if (!request) return refuse(id, request.error());
  run(id, [desk = desk_, signer = node_signer(arguments[1]), id, request = std::move(*request)] {
    return node::sign(desk, signer, id, request);
  });
}

/// (id, signature)
void Addon::signed_by_function(Arguments arguments) {
  environment_->run_on_protocol([desk = desk_, id = id_of(arguments[0]), text = text_of(arguments[1])] {
    desk->signatures->give(id, desk->texts->signature_of(text));
  });
}

/// (id, message)
void Addon::sign_function_failed(Arguments arguments) {
  environment_->run_on_protocol([desk = desk_, id = id_of(arguments[0]), text = text_of(arguments[1])] {
    desk->signatures->give(id, std::unexpected(text));
  });
}

/// (id, signer, validator, hash, duty type, slot, block number, checkpoint number, block index)
void Addon::check_and_record(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  auto request = sign_request_of(arguments, 2);
  if (!request) return refuse(id, request.error());
  run(id, [signer = signer(arguments[1]), request = std::move(*request)] {
    return node::check_and_record(signer, request);
  });
}

/// (id, signer, rollup, validator, slot, duty type, block index, lock token, signature)
void Addon::record_success(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  auto key = duty_key_of(arguments, 2);
  if (!key) return refuse(id, key.error());
  const HeldDuty held{Duty{*key, {}, {}, {}}, LockToken(text_of(arguments[7]))};
  run(id, [desk = desk_, signer = signer(arguments[1]), held, text = text_of(arguments[8])] {
    return node::record_success(desk, signer, held, text);
  });
}

/// (id, signer, rollup, validator, slot, duty type, block index, lock token)
void Addon::delete_duty(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  auto key = duty_key_of(arguments, 2);
  if (!key) return refuse(id, key.error());
  const HeldDuty held{Duty{*key, {}, {}, {}}, LockToken(text_of(arguments[7]))};
  run(id, [signer = signer(arguments[1]), held] { return node::delete_duty(signer, held); });
}

/// (id, store, rollup, validator, slot, duty type, block index, hash, node id, block number, checkpoint number)
void Addon::try_insert(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  auto key = duty_key_of(arguments, 2);
  if (!key) return refuse(id, key.error());
  const auto hash = MessageHash::parse(text_of(arguments[7]));
  if (!hash) return refuse(id, hash.error());
  const auto node_id = NodeId::parse(text_of(arguments[8]));
  if (!node_id) return refuse(id, node_id.error());
  const auto block = number_of<BlockNumber>(arguments[9]);
  if (!block) return refuse(id, block.error());
  const auto checkpoint = number_of<CheckpointNumber>(arguments[10]);
  if (!checkpoint) return refuse(id, checkpoint.error());
  const Duty duty{*key, block->value_or(BlockNumber{}), checkpoint->value_or(CheckpointNumber{}), *hash};
  run(id, [desk = desk_, store = **stores_.at(id_of(arguments[1])), node = *node_id, duty] {
    return node::try_insert(desk, store, node, duty);
  });
}

/// (id, store, rollup, validator, slot, duty type, block index, lock token, signature)
void Addon::update_signed(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  auto key = duty_key_of(arguments, 2);
  if (!key) return refuse(id, key.error());
  run(id, [desk = desk_, store = **stores_.at(id_of(arguments[1])), key = *key, token = text_of(arguments[7]),
           text = text_of(arguments[8])] { return node::update_signed(desk, store, key, LockToken(token), text); });
}

/// (id, store, rollup, validator, slot, duty type, block index, lock token)
void Addon::release_duty(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  auto key = duty_key_of(arguments, 2);
  if (!key) return refuse(id, key.error());
  run(id, [desk = desk_, store = **stores_.at(id_of(arguments[1])), key = *key, token = text_of(arguments[7])] {
    return node::release_duty(desk, store, key, LockToken(token));
  });
}

/// (id, store, 'stuck' | 'old' | 'rollups', node id, rollup, age in ms)
void Addon::remove_duties(Arguments arguments) {
  const CallId id = id_of(arguments[0]);
  const std::string what = text_of(arguments[2]);
  const std::string node = text_of(arguments[3]);
  const auto node_id = NodeId::parse(node.empty() ? "local" : node);
  if (!node_id) return refuse(id, node_id.error());
  const std::string address = text_of(arguments[4]);
  const auto rollup = address.empty() ? Parsed<EthAddress>(EthAddress{}) : EthAddress::parse(address, "rollup address");
  if (!rollup) return refuse(id, rollup.error());
  const RemovalRequest request{.what = what == "stuck" ? Removal::kStuck
                                       : what == "old" ? Removal::kOld
                                                       : Removal::kOtherRollups,
                               .node_id = *node_id,
                               .rollup = *rollup,
                               .max_age = milliseconds(arguments[5].As<Napi::Number>().Int64Value())};
  run(id, [desk = desk_, store = **stores_.at(id_of(arguments[1])), request] {
    return node::remove_duties(desk, store, request);
  });
}

namespace {

postgres::SqlError sql_error_of(const Napi::Object& error) {
  const std::string kind = text_of(error.Get("kind"));
  postgres::SqlError result{postgres::SqlErrorKind::kLost, text_of(error.Get("code")), text_of(error.Get("message"))};
  if (kind == "server") result.kind = postgres::SqlErrorKind::kServer;
  if (kind == "notSent") result.kind = postgres::SqlErrorKind::kNotSent;
  return result;
}

/// `[rows, rowCount, rows, rowCount, …]`, rows as arrays of text or null.
std::vector<postgres::SqlRows> sql_rows_of(const Napi::Array& given) {
  std::vector<postgres::SqlRows> results;
  for (std::uint32_t i = 0; i + 1 < given.Length(); i += 2) {
    postgres::SqlRows result;
    const auto rows = given.Get(i).As<Napi::Array>();
    for (std::uint32_t r = 0; r < rows.Length(); ++r) {
      const auto row = rows.Get(r).As<Napi::Array>();
      auto& columns = result.rows.emplace_back();
      for (std::uint32_t c = 0; c < row.Length(); ++c) {
        const Napi::Value text = row.Get(c);
        columns.push_back(text.IsString() ? std::optional(text_of(text)) : std::nullopt);
      }
    }
    result.affected = static_cast<std::uint64_t>(given.Get(i + 1).ToNumber().Int64Value());
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace

/// (query, results | null, error | null)
void Addon::answer_query(Arguments arguments) {
  postgres::SqlReply reply;
  if (arguments[2].IsObject()) {
    reply = std::unexpected(sql_error_of(arguments[2].As<Napi::Object>()));
  } else {
    reply = sql_rows_of(arguments[1].As<Napi::Array>());
  }
  environment_->run_on_protocol([desk = desk_, id = id_of(arguments[0]), reply = std::move(reply)]() mutable {
    desk->queries->give(id, std::move(reply));
  });
}

/// (call, error text, yes, status, hash, signature, node id, token of the row or name of its holder)
void Addon::answer_call(Arguments arguments) {
  CallReply reply{.error = text_of(arguments[1]), .yes = arguments[2].ToBoolean(), .row = {}};
  if (arguments.Length() > 3) {
    reply.row.status = text_of(arguments[3]) == "signed" ? DutyStatus::kSigned : DutyStatus::kSigning;
    reply.row.message_hash = MessageHash::try_parse(text_of(arguments[4]));
    reply.row.signature = Signature::try_parse(text_of(arguments[5]));
    reply.row.node_id = text_of(arguments[6]);
    reply.row.lock_token = LockToken(text_of(arguments[7]));
  }
  environment_->run_on_protocol([desk = desk_, id = id_of(arguments[0]), reply = std::move(reply)]() mutable {
    desk->calls->give(id, std::move(reply));
  });
}

/// Runs the migrations on a thread of Node's pool, because they block.
class MigrationWorker final : public Napi::AsyncWorker {
 public:
  MigrationWorker(Napi::Env env, std::string url, bool up, std::optional<int> to)
      : Napi::AsyncWorker(env, "ha-signer migration"),
        url_(std::move(url)),
        up_(up),
        to_(to),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    auto migrator = postgres::Migrator::create(url_);
    if (!migrator) return SetError(migrator.error().message());
    auto report = up_ ? migrator->up(to_, true) : migrator->down();
    if (!report) return SetError(report.error().message);
    names_ = std::move(report->names);
  }
  void OnOK() override {
    Napi::Array names = Napi::Array::New(Env(), names_.size());
    for (std::uint32_t i = 0; i < names_.size(); ++i) names.Set(i, names_[i]);
    deferred_.Resolve(names);
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  std::string url_;
  bool up_;
  std::optional<int> to_;
  Napi::Promise::Deferred deferred_;
  std::vector<std::string> names_;
};

/// (url, up, to | undefined) → promise of names
Napi::Value migrate(const Napi::CallbackInfo& arguments) {
  std::optional<int> to;
  if (arguments[2].IsNumber()) to = arguments[2].As<Napi::Number>().Int32Value();
  auto* worker = new MigrationWorker(arguments.Env(), text_of(arguments[0]), arguments[1].ToBoolean(), to);
  worker->Queue();
  return worker->promise();
}

/// The statement that checks a session, and what it says about its answer: (row | undefined) → text | {refusal}.
Napi::Value check_session(const Napi::CallbackInfo& arguments) {
  const Napi::Env env = arguments.Env();
  if (!arguments[0].IsArray()) {
    const auto statement = postgres::session_check_statement();
    return Napi::String::New(env, statement.text.data(), statement.text.size());
  }
  Napi::Array results = Napi::Array::New(env);
  results.Set(0U, arguments[0]);
  results.Set(1U, Napi::Number::New(env, 1));
  postgres::KnownDatabase known;
  const auto refusal = postgres::refuse_session(sql_rows_of(results).front(), known);
  if (!refusal) return env.Null();
  return Napi::String::New(env, *refusal);
}

/// (rollup, validator, slot, duty type, block index, hash, node id, block number, checkpoint number) → what is wrong,
/// or null.
Napi::Value check_duty(const Napi::CallbackInfo& arguments) {
  const Napi::Env env = arguments.Env();
  const auto tell = [env](const InvalidInput& input) -> Napi::Value { return Napi::String::New(env, input.message()); };
  const auto key = duty_key_of(arguments, 0);
  if (!key) return tell(key.error());
  if (!is_protected(key->duty_type)) {
    return tell({"duty type", std::string(to_string(key->duty_type)), "a protected duty type"});
  }
  if (arguments[2].IsUndefined()) return tell({"slot", "missing", "a whole number from 0 to 9223372036854775807"});
  const auto hash = MessageHash::parse(text_of(arguments[5]));
  if (!hash) return tell(hash.error());
  const auto node_id = NodeId::parse(text_of(arguments[6]));
  if (!node_id) return tell(node_id.error());
  const auto block = number_of<BlockNumber>(arguments[7]);
  if (!block) return tell(block.error());
  const auto checkpoint = number_of<CheckpointNumber>(arguments[8]);
  if (!checkpoint) return tell(checkpoint.error());
  return env.Null();
}

Napi::Value own_schema(const Napi::CallbackInfo& arguments) {
  const auto text = postgres::own_schema();
  return Napi::String::New(arguments.Env(), text.data(), text.size());
}

}  // namespace

}  // namespace hasigner::node

namespace hasigner::node {
namespace {

/// The core's defaults, under the names of the package's options.
Napi::Object default_options(Napi::Env env) {
  const SignerConfig signer{.node_id = NodeId::parse("unnamed").value(), .rollup = {}};
  const postgres::PoolConfig pool;
  Napi::Object options = Napi::Object::New(env);
  const auto add = [&](const char* name, auto number) {
    options.Set(name, Napi::Number::New(env, static_cast<double>(number)));
  };
  add("pollingIntervalMs", signer.polling_interval.count());
  add("signingTimeoutMs", signer.peer_signing_timeout.count());
  add("signerCallTimeoutMs", signer.signer_call_timeout.count());
  add("attemptTimeoutMs", signer.attempt_timeout.count());
  add("maxStuckDutiesAgeMs", signer.max_stuck_duties_age.count());
  add("poolMaxCount", pool.max);
  add("poolMinCount", pool.min);
  add("poolIdleTimeoutMs", pool.idle_timeout.count());
  add("poolConnectionTimeoutMs", pool.connection_timeout.count());
  return options;
}

Napi::Object Addon::functions(Napi::Env env) {
  Napi::Object exports = Napi::Object::New(env);
  exports.Set("defaults", default_options(env));
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name, this));
  };
  add("shutDown", &detach);
  add("openPool", &call<&Addon::open_pool>);
  add("queryPool", &call<&Addon::query_pool>);
  add("closePool", &call<&Addon::close_pool>);
  add("openStore", &call<&Addon::open_store>);
  add("openCallersStore", &call<&Addon::open_callers_store>);
  add("closeStore", &call<&Addon::close_store>);
  add("createSigner", &call<&Addon::create_signer>);
  add("dropSigner", &call<&Addon::drop_signer>);
  add("dropStore", &call<&Addon::drop_store>);
  add("start", &call<&Addon::start>);
  add("stop", &call<&Addon::stop>);
  add("sign", &call<&Addon::sign>);
  add("signed", &call<&Addon::signed_by_function>);
  add("signFailed", &call<&Addon::sign_function_failed>);
  add("checkAndRecord", &call<&Addon::check_and_record>);
  add("recordSuccess", &call<&Addon::record_success>);
  add("deleteDuty", &call<&Addon::delete_duty>);
  add("tryInsert", &call<&Addon::try_insert>);
  add("updateSigned", &call<&Addon::update_signed>);
  add("releaseDuty", &call<&Addon::release_duty>);
  add("removeDuties", &call<&Addon::remove_duties>);
  add("answerQuery", &call<&Addon::answer_query>);
  add("answerCall", &call<&Addon::answer_call>);
  add("migrate", &migrate);
  add("checkSession", &check_session);
  add("checkDuty", &check_duty);
  add("ownSchema", &own_schema);
  return exports;
}

}  // namespace
}  // namespace hasigner::node

Napi::Object init_hasigner(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new hasigner::node::Attachments);
  exports.Set("attach", Napi::Function::New(env, &hasigner::node::Addon::attach, "attach"));
  return exports;
}

NODE_API_MODULE(ha_signer, init_hasigner)
