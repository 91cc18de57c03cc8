#include "addon.hpp"

#include "schema_functions.hpp"
#include "values.hpp"

namespace hasigner::node {

Napi::Value Addon::attach(const Napi::CallbackInfo& arguments) {
  const Napi::Env env = arguments.Env();
  auto addon = std::make_unique<Addon>();
  addon->environment_ = Environment::create(env, arguments[0].As<Napi::Function>());
  addon->context_ = std::make_shared<AddonContext>(addon->environment_);
  // Hooks run in reverse order: this one, added last, runs before the connection to JavaScript is torn down.
  napi_add_env_cleanup_hook(
      env, [](void* ending) { static_cast<Addon*>(ending)->shut_down(); }, addon.get());
  auto& attachments = *env.GetInstanceData<Attachments>();
  attachments.push_back(std::move(addon));
  return attachments.back()->functions(env);
}

void Addon::shut_down() {
  if (!environment_) return;
  const bool has_ended = environment_->shut_down();
  // A thread that did not end still uses these. They stay until the process ends.
  if (!has_ended) {
    static_cast<void>(new std::shared_ptr<Environment>(environment_));
    static_cast<void>(new auto(signers_));
    static_cast<void>(new auto(stores_));
    static_cast<void>(new auto(pools_));
  }
  signers_.clear();
  stores_.clear();
  pools_.clear();
  context_.reset();
  if (has_ended) environment_->drop_work();
  environment_.reset();
}

void Addon::refuse(CallId id, const InvalidInput& input) {
  environment_->operation_begins();
  environment_->emit(rejection(id, "invalid_input", input.message(), {{"field", input.field}}));
}

NodeSigner Addon::node_signer(const Napi::Value& id) const {
  const auto found = signers_.find(id_of(id));
  if (found == signers_.end()) throw Napi::Error::New(id.Env(), "ha-signer: the signer does not exist");
  return found->second;
}

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

}  // namespace

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

}  // namespace hasigner::node

Napi::Object init_hasigner(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new hasigner::node::Attachments);
  exports.Set("attach", Napi::Function::New(env, &hasigner::node::Addon::attach, "attach"));
  return exports;
}

NODE_API_MODULE(ha_signer, init_hasigner)
