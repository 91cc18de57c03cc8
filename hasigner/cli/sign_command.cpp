#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/duty_options.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/secret_input.hpp"
#include "hasigner/cli/signer_settings.hpp"
#include "hasigner/cli/signing_refusal.hpp"
#include "hasigner/crypto/secp256k1.hpp"
#include "hasigner/duty/utf8.hpp"

namespace hasigner::cli {

namespace {

/// Two signatures from the shell at once have one node id, so the second waits for the first. A service with that id
/// does not end so soon.
constexpr auto kNodeIdFreeWithin = std::chrono::seconds(5);
constexpr auto kNodeIdPause = std::chrono::milliseconds(50);

struct SignOptions {
  DutyOptions duty;
  std::string key_file;
  std::string key_env;
};

SecretKey key_from_file(const std::string& path) {
  const auto text = read_secret("--key-file", path);
  return accepted(SecretKey::parse(trimmed(text.view()), "the key in --key-file '" + printable(path) + "'"));
}

SecretKey key_from_environment(const std::string& name) {
  refuse_key("--key-env", name);
  const auto text = take_environment_secret(name);
  if (!text) {
    throw CommandError(
        InvalidInput{"--key-env", printable(name), "the name of an environment variable that holds the key"});
  }
  return accepted(SecretKey::parse(trimmed(text->view()), "the key in the variable " + printable(name)));
}

SecretKey read_key(const SignOptions& options) {
  if (options.key_file.empty() == options.key_env.empty()) {
    throw CommandError(ExitCode::kUsage, options.key_file.empty()
                                             ? "a key is missing: give --key-file FILE or --key-env NAME"
                                             : "--key-file and --key-env contradict each other; give one of them");
  }
  return options.key_file.empty() ? key_from_environment(options.key_env) : key_from_file(options.key_file);
}

SignResult<std::monostate> start(HaSigner& signer, milliseconds timeout) {
  const auto give_up_at = std::chrono::steady_clock::now() + kNodeIdFreeWithin;
  for (;;) {
    auto started = signer.start_blocking(timeout);
    const bool id_is_taken = !started && std::holds_alternative<NodeIdTaken>(started.error());
    if (!id_is_taken || std::chrono::steady_clock::now() >= give_up_at) return started;
    std::this_thread::sleep_for(kNodeIdPause);
  }
}

SignResult<SignedDuty> sign_protected(const Settings& settings, const SignRequest& request,
                                      std::shared_ptr<const SecretKey> key) {
  auto config = ha_signer_config(settings);
  config.signer.check_signatures = true;
  const auto node = create_ha_signer(config);
  const auto started = start(node->signer(), config.open_timeout);
  if (!started) return std::unexpected(started.error());
  auto sign_function =
      node->blocking([key](const SignRequest& r) -> SignOutcome { return sign(*key, r.message_hash); });
  auto result = node->signer().sign_with_protection_blocking(request, std::move(sign_function), SignEffects::kNone);
  node->stop();
  return result;
}

void print_signature(const Settings& settings, const SignRequest& request, const SignedDuty& duty, Console& console,
                     Output output) {
  if (output != Output::kJson) {
    console.out << duty.signature.to_string() << '\n';
    return;
  }
  nlohmann::ordered_json object = {{"signature", duty.signature.to_string()},
                                   {"message_hash", request.message_hash.to_string()},
                                   {"validator", request.validator.to_string()},
                                   {"duty_type", to_string(request.context.duty_type)},
                                   {"slot", request.context.slot.to_string()}};
  if (request.context.block_index) object["block_index"] = *request.context.block_index;
  if (settings.is_set(SettingId::kRollup)) object["rollup"] = settings.value(SettingId::kRollup).text;
  if (settings.is_set(SettingId::kNodeId)) object["node_id"] = settings.value(SettingId::kNodeId).text;
  if (duty.is_recorded) object["recorded"] = true;
  object["exit_code"] = 0;
  print_json(console.out, object);
}

ExitCode run_sign(const SignOptions& options, Context& context) {
  const auto duty = duty_to_sign(options.duty);
  const bool needs_store = is_protected(duty.context.duty_type);
  // A wrong setting is refused before the key is touched.
  if (needs_store) static_cast<void>(ha_signer_config(context.settings));
  const auto key = std::make_shared<const SecretKey>(read_key(options));
  const SignRequest request{.validator = address_of(*key), .message_hash = duty.message_hash, .context = duty.context};
  const auto result = needs_store ? sign_protected(context.settings, request, key)
                                  : SignResult<SignedDuty>(SignedDuty{sign(*key, request.message_hash)});
  if (!result) return report_refusal(refusal_of(result.error()), context.console, options.duty.output);
  print_signature(context.settings, request, *result, context.console, options.duty.output);
  return ExitCode::kSuccess;
}

Action define_sign(CLI::App& app) {
  auto options = std::make_shared<SignOptions>();
  app.add_option("--key-file", options->key_file,
                 "File that holds the validator's key, 0x and 64 hexadecimal digits; only its owner may read it")
      ->type_name("FILE");
  app.add_option("--key-env", options->key_env, "Environment variable that holds the key instead")->type_name("NAME");
  add_duty_options(app, options->duty);
  return [options](Context& context) { return run_sign(*options, context); };
}

}  // namespace

Command sign_command() {
  return {.name = "sign",
          .group = kSigningGroup,
          .summary = "Sign one duty, unless it has been signed",
          .description =
              "Signs, records the signature in the database, and prints it when that is confirmed. Refused when "
              "any node has "
              "signed the duty, when the slot is outside a watermark, or when the store does not confirm.\n\n"
              "AUTH_REQUEST and TXS need no protection and are signed directly.",
          .examples =
              {{"Sign an attestation, protected by a SQLite file",
                "ha-signer sign --database-url sqlite:signer.db --node-id shell --rollup 0x… --key-file attester.key "
                "--duty-type ATTESTATION --slot 100 --message-hash 0x…"},
               {"Take the key from the environment, and answer for a program",
                "ha-signer sign … --key-env ATTESTER_KEY --json"}},
          .settings = signing_settings(),
          .define = define_sign};
}

}  // namespace hasigner::cli
