#include "schema_functions.hpp"

#include "hasigner/store/postgres/migrator.hpp"
#include "hasigner/store/postgres/schema_files.hpp"
#include "hasigner/store/postgres/session_check.hpp"
#include "sql_values.hpp"
#include "values.hpp"

namespace hasigner::node {

namespace {

enum class Direction : std::uint8_t { kUp, kDown };

/// Runs the migrations on a thread of Node's pool, because they block.
class MigrationWorker final : public Napi::AsyncWorker {
 public:
  MigrationWorker(Napi::Env env, std::string url, Direction direction, std::optional<int> to,
                  std::vector<std::string> grant_to)
      : Napi::AsyncWorker(env, "ha-signer migration"),
        url_(std::move(url)),
        direction_(direction),
        to_(to),
        grant_to_(std::move(grant_to)),
        deferred_(Napi::Promise::Deferred::New(env)) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override {
    auto migrator = postgres::Migrator::create(url_);
    if (!migrator) return SetError(migrator.error().message());
    auto report =
        direction_ == Direction::kUp
            ? migrator->up({.to = to_, .while_nodes_work = postgres::WhileNodesWork::kMigrate, .grant_to = grant_to_})
            : migrator->down();
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
  Direction direction_;
  std::optional<int> to_;
  std::vector<std::string> grant_to_;
  Napi::Promise::Deferred deferred_;
  std::vector<std::string> names_;
};

}  // namespace

Napi::Value migrate(const Napi::CallbackInfo& arguments) {
  std::optional<int> to;
  if (arguments[2].IsNumber()) to = arguments[2].As<Napi::Number>().Int32Value();
  std::vector<std::string> grant_to;
  const auto roles = arguments[3].As<Napi::Array>();
  for (std::uint32_t i = 0; i < roles.Length(); ++i) grant_to.push_back(text_of(roles.Get(i)));
  const auto direction = arguments[1].ToBoolean() ? Direction::kUp : Direction::kDown;
  auto* worker = new MigrationWorker(arguments.Env(), text_of(arguments[0]), direction, to, std::move(grant_to));
  worker->Queue();
  return worker->promise();
}

Napi::Value check_session(const Napi::CallbackInfo& arguments) {
  const Napi::Env env = arguments.Env();
  if (!arguments[0].IsArray()) {
    const auto statement = postgres::database_check_statement();
    return Napi::String::New(env, statement.text.data(), statement.text.size());
  }
  Napi::Array results = Napi::Array::New(env);
  results.Set(0U, arguments[0]);
  results.Set(1U, Napi::Number::New(env, 1));
  const auto refusal = postgres::refuse_database(sql_rows_of(results).front());
  if (!refusal) return env.Null();
  return Napi::String::New(env, *refusal);
}

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

}  // namespace hasigner::node
