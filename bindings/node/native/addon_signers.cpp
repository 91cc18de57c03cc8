#include "addon.hpp"
#include "values.hpp"

namespace hasigner::node {

namespace {

/// Sends the events of a signer to the metrics of its caller.
class JavaScriptMetrics final : public Metrics {
 public:
  JavaScriptMetrics(std::shared_ptr<Environment> environment, CallId signer)
      : environment_(std::move(environment)), signer_(signer) {}

  void count(Event event, DutyType) override {
    if (event == Event::kLockAcquired) notify("lock");
  }
  void removed(Removal what, std::size_t rows) override {
    const bool is_old = what == Removal::kOld || what == Removal::kExpired || what == Removal::kReleased;
    const char* name = is_old ? "old:" : what == Removal::kOtherRollups ? "outdated_rollup:" : "stuck:";
    notify(name + std::to_string(rows));
  }

 private:
  void notify(std::string what) { environment_->emit({EventKind::kNotice, signer_, std::move(what)}); }

  std::shared_ptr<Environment> environment_;
  CallId signer_;
};

std::vector<EthAddress> validators_of(const Napi::Array& texts) {
  std::vector<EthAddress> validators;
  for (std::uint32_t i = 0; i < texts.Length(); ++i) {
    const auto validator = EthAddress::parse(text_of(texts.Get(i)), "preferredValidators");
    if (!validator) throw Napi::Error::New(texts.Env(), validator.error().message());
    validators.push_back(*validator);
  }
  return validators;
}

}  // namespace

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
  config.claim_delay = ms_of(given, "claimDelayMs", config.claim_delay);
  config.preferred_validators = validators_of(given.Get("preferredValidators").As<Napi::Array>());
  config.max_batch = count_of(given, "maxBatch", config.max_batch);
  Ports ports{.executor = environment_->executor(),
              .clock = environment_->clock(),
              .random = environment_->random(),
              .store = store->store};
  if (given.Get("wantsMetrics").ToBoolean()) ports.metrics = std::make_shared<JavaScriptMetrics>(environment_, id);
  const auto incarnation = text_of(given.Get("incarnation"));
  if (!incarnation.empty()) ports.incarnation = Incarnation::try_parse(incarnation);
  try {
    signers_[id] = {.signer = std::make_shared<HaSigner>(std::move(config), std::move(ports)),
                    .effects = given.Get("signFirst").ToBoolean() ? SignEffects::kNone : SignEffects::kOutside,
                    .keeps_texts = store->keeps_texts};
  } catch (const std::invalid_argument& error) {
    throw Napi::Error::New(env, error.what());
  }
}

/// (signer): the protocol's thread may still use the signer, so it is destroyed there.
void Addon::drop_signer(Arguments arguments) {
  auto signer = signers_.extract(id_of(arguments[0]));
  if (signer.empty()) return;
  environment_->run_on_protocol([signer = std::move(signer.mapped())] {});
}

/// (id, signer)
void Addon::start(Arguments arguments) {
  run(id_of(arguments[0]), [signer = signer(arguments[1])] { return start_signer(signer); });
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
  run(id, [context = context_, signer = node_signer(arguments[1]), id, request = std::move(*request)] {
    return node::sign(context, signer, id, request);
  });
}

/// (id, signature)
void Addon::signed_by_function(Arguments arguments) {
  environment_->run_on_protocol([context = context_, id = id_of(arguments[0]), text = text_of(arguments[1])] {
    context->signatures->give(id, context->texts->signature_of(text));
  });
}

/// (id, message)
void Addon::sign_function_failed(Arguments arguments) {
  environment_->run_on_protocol([context = context_, id = id_of(arguments[0]), text = text_of(arguments[1])] {
    context->signatures->give(id, std::unexpected(text));
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
  run(id, [context = context_, signer = signer(arguments[1]), held, text = text_of(arguments[8])] {
    return node::record_success(context, signer, held, text);
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

}  // namespace hasigner::node
