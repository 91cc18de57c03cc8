#include <pwd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/database.hpp"
#include "hasigner/cli/duty_fields.hpp"
#include "hasigner/cli/duty_options.hpp"
#include "hasigner/cli/key_store_settings.hpp"
#include "hasigner/cli/keys_import.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/table.hpp"
#include "hasigner/crypto/ethereum.hpp"
#include "hasigner/factory/runtime.hpp"

namespace hasigner::cli {

namespace {

using keys::Validator;
using nlohmann::ordered_json;

std::string counted(std::size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// ---- list

ordered_json remote_json(const keys::RemoteSigner* remote) {
  return remote ? ordered_json(remote->shown_url()) : ordered_json(nullptr);
}

ordered_json key_json(const EthAddress& address, const keys::RemoteSigner* remote, const std::string& origin) {
  return {{"address", to_checksum(address)}, {"remote_signer", remote_json(remote)}, {"from", origin}};
}

ordered_json validator_json(const Validator& validator) {
  auto attesters = ordered_json::array();
  for (const auto& attester : validator.attesters) {
    attesters.push_back(key_json(attester.address, std::get_if<keys::RemoteSigner>(&attester.signer), attester.origin));
  }
  auto publishers = ordered_json::array();
  for (const auto& [address, remote, origin, key] : validator.publishers) {
    publishers.push_back(key_json(address, remote ? &*remote : nullptr, origin));
  }
  return {{"attesters", std::move(attesters)},
          {"publishers", std::move(publishers)},
          {"coinbase", validator.coinbase ? ordered_json(to_checksum(*validator.coinbase)) : ordered_json(nullptr)},
          {"fee_recipient", validator.fee_recipient.to_string()}};
}

void print_list_json(const std::vector<Validator>& validators, std::ostream& out) {
  auto list = ordered_json::array();
  for (const auto& validator : validators) list.push_back(validator_json(validator));
  const ordered_json object = {{"validators", std::move(list)}};
  print_json(out, object);
}

/// The rows of one validator; an address of several roles stands once for each.
void add_rows(const Validator& validator, const std::string& number, std::vector<std::vector<std::string>>& rows) {
  for (const auto& attester : validator.attesters) {
    rows.push_back({number, to_checksum(attester.address), "attester", attester.origin});
  }
  for (const auto& publisher : validator.publishers) {
    rows.push_back({number, to_checksum(publisher.address), "publisher", publisher.origin});
  }
  const auto& coinbase = validator.coinbase;
  rows.push_back({number, coinbase ? to_checksum(*coinbase) : "(each attester's own)", "coinbase", "-"});
  rows.push_back({number, validator.fee_recipient.to_string(), "fee recipient", "-"});
}

void print_list(const std::vector<Validator>& validators, const Console& console) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < validators.size(); ++i) add_rows(validators[i], std::to_string(i), rows);
  print_table(console.out,
              {{.heading = "VALIDATOR", .right = true, .least = 9, .can_drop = true},
               {.heading = "ADDRESS", .least = 42, .cut_middle = true},
               {.heading = "ROLE", .least = 13},
               {.heading = "KEY FROM", .least = 20}},
              rows, console.out_is_terminal ? console.columns : 0);
}

keys::LoadedKeystores load(const Settings& settings) {
  return accepted(keys::load_validators(key_store_settings(settings)));
}

ExitCode list_keys(Output output, Context& context) {
  const auto validators = load(context.settings).validators;
  if (output == Output::kJson) {
    print_list_json(validators, context.console.out);
  } else {
    print_list(validators, context.console);
  }
  return ExitCode::kSuccess;
}

// ---- check

using Problems = std::vector<std::optional<keys::KeyStoreError>>;

ExitCode code_of(const keys::KeyStoreError& problem) {
  switch (problem.kind) {
    case keys::KeyStoreError::Kind::kInvalid: return ExitCode::kUsage;
    case keys::KeyStoreError::Kind::kUnavailable: return ExitCode::kUnavailable;
  }
  return ExitCode::kFailure;
}

/// A permanent problem counts more than one that may pass.
ExitCode code_of(const Problems& problems) {
  ExitCode worst = ExitCode::kSuccess;
  for (const auto& problem : problems) {
    if (problem && worst != ExitCode::kUsage) worst = code_of(*problem);
  }
  return worst;
}

Problems ask_remote_signers(const std::vector<keys::RemoteKeys>& remotes, const Settings& settings) {
  Runtime runtime;
  const auto signer = accepted(
      keys::web3signer_for(remotes, key_store_settings(settings).remote, asio::any_io_executor(runtime.executor())));
  return runtime.run(keys::check_remote_keys(signer, remotes));
}

/// Reads the files of certificates, which needs no network.
void check_certificates(const std::vector<keys::RemoteKeys>& remotes, const Settings& settings) {
  asio::io_context unused;
  static_cast<void>(
      accepted(keys::web3signer_for(remotes, key_store_settings(settings).remote, unused.get_executor())));
}

struct Checked {
  std::size_t validators = 0;
  std::size_t attesters = 0;
  std::vector<std::string> doubts;
  std::vector<keys::RemoteKeys> remotes;
  std::optional<Problems> problems;  ///< of each remote signer; nullopt when they were not asked
};

enum class RemoteCheck : std::uint8_t { kSkip, kAsk };

Checked check(RemoteCheck remote_check, const Settings& settings) {
  auto [validators, doubts] = load(settings);
  Checked checked{.validators = validators.size(), .remotes = keys::remote_keys_of(validators)};
  for (const auto& validator : validators) checked.attesters += validator.attesters.size();
  checked.doubts = std::move(doubts);
  check_certificates(checked.remotes, settings);
  if (remote_check == RemoteCheck::kAsk) checked.problems = ask_remote_signers(checked.remotes, settings);
  return checked;
}

void print_check_json(const Checked& checked, ExitCode code, std::ostream& out) {
  auto remotes = ordered_json::array();
  for (std::size_t i = 0; i < checked.remotes.size(); ++i) {
    const auto& [remote, wanted, signs_duties] = checked.remotes[i];
    ordered_json entry = {
        {"url", remote.shown_url()}, {"keys", wanted.size()}, {"asked", checked.problems.has_value()}};
    const auto* const problem = checked.problems && (*checked.problems)[i] ? &*(*checked.problems)[i] : nullptr;
    entry["problem"] = problem ? ordered_json(problem->reason) : ordered_json(nullptr);
    remotes.push_back(std::move(entry));
  }
  const ordered_json object = {{"validators", checked.validators},
                               {"attesters", checked.attesters},
                               {"doubts", checked.doubts},
                               {"remote_signers", std::move(remotes)},
                               {"exit_code", static_cast<int>(code)}};
  print_json(out, object);
}

void print_check(const Checked& checked, const Console& console) {
  console.out << counted(checked.validators, "validator") << " with " << counted(checked.attesters, "attester")
              << ": the files are in order\n";
  for (const auto& doubt : checked.doubts) {
    console.err << "note: " << doubt << '\n';
  }
  for (std::size_t i = 0; i < checked.remotes.size(); ++i) {
    const auto& [remote, wanted, signs_duties] = checked.remotes[i];
    if (!checked.problems) {
      console.out << remote.shown_url() << ": " << counted(wanted.size(), "key") << ", not asked (use --remote)\n";
    } else if (const auto& problem = (*checked.problems)[i]) {
      console.err << "ha-signer: " << problem->reason << '\n';
    } else {
      console.out << remote.shown_url() << ": holds " << counted(wanted.size(), "key") << '\n';
    }
  }
}

struct CheckKeysOptions {
  bool remote = false;
  Output output = Output::kText;
};

ExitCode check_keys(const CheckKeysOptions& options, Context& context) {
  const auto checked = check(options.remote ? RemoteCheck::kAsk : RemoteCheck::kSkip, context.settings);
  const auto code = checked.problems ? code_of(*checked.problems) : ExitCode::kSuccess;
  if (options.output == Output::kJson) {
    print_check_json(checked, code, context.console.out);
  } else {
    print_check(checked, context.console);
  }
  return code;
}

// ---- disable, enable, disabled

struct SwitchOptions {
  std::string address;
  Output output = Output::kText;
};

/// Who runs this program, for those who ask later.
std::string who_asks() {
  const auto* const user = ::getpwuid(::getuid());
  std::array<char, 256> host{};
  const bool has_host = ::gethostname(host.data(), host.size() - 1) == 0;
  return "user " + (user ? std::string(user->pw_name) : std::to_string(::getuid())) +
         (has_host ? " at " + std::string(host.data()) : "");
}

ExitCode set_switch(const SwitchOptions& options, KeyState state, Context& context) {
  const bool is_enabled = state == KeyState::kEnabled;
  const auto address = address_option("ADDRESS", options.address, context.console);
  Database database(context.settings, MissingFile::kRefuse);
  const bool changed =
      database.wait_for(database.history().set_key_switch(address, state, who_asks(), Database::within(kLookTimeout)));
  const std::string word = is_enabled ? "enabled" : "disabled";
  if (options.output == Output::kJson) {
    const ordered_json object = {{"address", address.to_string()}, {"enabled", is_enabled}, {"changed", changed}};
    print_json(context.console.out, object);
  } else {
    context.console.out << address.to_string() << (changed ? " is " + word + " now" : " was " + word + " already")
                        << '\n';
  }
  return ExitCode::kSuccess;
}

ExitCode list_disabled(Output output, Context& context) {
  Database database(context.settings, MissingFile::kRefuse);
  auto switches = database.wait_for(database.history().key_switches(Database::within(kLookTimeout)));
  std::erase_if(switches, [](const KeySwitch& one) { return one.is_enabled; });
  if (output == Output::kJson) {
    auto list = ordered_json::array();
    for (const auto& one : switches) {
      list.push_back({{"address", one.address}, {"by", one.changed_by}, {"since", one.changed_at}});
    }
    print_json(context.console.out, {{"disabled", std::move(list)}});
    return ExitCode::kSuccess;
  }
  if (switches.empty()) context.console.err << "no key is disabled in " << database.shown_url() << '\n';
  std::vector<std::vector<std::string>> rows;
  for (const auto& one : switches) {
    rows.push_back({printable(one.address), without_fraction(one.changed_at), printable(one.changed_by, 300)});
  }
  if (!rows.empty()) {
    print_table(context.console.out,
                {{.heading = "ADDRESS", .least = 42}, {.heading = "SINCE (UTC)", .least = 19}, {.heading = "BY"}}, rows,
                context.console.out_is_terminal ? context.console.columns : 0);
  }
  return ExitCode::kSuccess;
}

// ---- definitions

Command list_keys_command() {
  return {.name = "list",
          .summary = "List addresses, their roles, and where each key comes from; never a key",
          .description = "Opens every key to learn its address, which takes about a second for an encrypted one.",
          .examples = {{"The keys of a node", "ha-signer keys list --key-store-directory /etc/ha-signer/keys"}},
          .settings = {SettingId::kKeyStoreDirectory},
          .define = [](CLI::App& app) -> Action {
            auto output = std::make_shared<Output>(Output::kText);
            add_json_flag(app, *output);
            return [output](Context& context) { return list_keys(*output, context); };
          }};
}

Command check_keys_command() {
  return {
      .name = "check",
      .summary = "Check keystore files as the service does at start",
      .description =
          "Reads every file, opens every key, and checks permissions, duplicates and certificates. With --remote "
          "each remote signer is asked whether it holds the keys that the files name. Exits with 2 after an error, and "
          "with 6 when a remote signer does not answer.",
      .examples = {{"Before a restart", "ha-signer keys check --key-store-directory keys --remote"}},
      .settings = key_store_setting_ids(),
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<CheckKeysOptions>();
        app.add_flag("--remote", options->remote, "Ask the remote signers too");
        add_json_flag(app, options->output);
        return [options](Context& context) { return check_keys(*options, context); };
      }};
}

Command switch_command(KeyState state) {
  const bool is_enabled = state == KeyState::kEnabled;
  return {.name = is_enabled ? "enable" : "disable",
          .summary = is_enabled ? "Let services sign with a disabled key again"
                                : "Keep all services that share the database from signing with a key",
          .description = is_enabled ? ""
                                    : std::string("Services see it within two seconds, refuse what comes, and end what "
                                                  "is in flight. It holds over restarts "
                                                  "and reloads, until ha-signer keys enable. It keeps to the services "
                                                  "(ha-signer serve): ha-signer sign, the "
                                                  "library, the Node.js package and nodes of the published package do "
                                                  "not ask. It does not protect against "
                                                  "double signing, and takes no protection away."),
          .examples = {{is_enabled ? "Sign with it again" : "A key that may have been stolen",
                        std::string("ha-signer keys ") + (is_enabled ? "enable" : "disable") +
                            " 0x90f8bf6a479f320ead074411a4b0e7944ea8c9c1"}},
          .settings = {SettingId::kDatabaseUrl},
          .define = [state](CLI::App& app) -> Action {
            auto options = std::make_shared<SwitchOptions>();
            app.add_option("ADDRESS", options->address, "The address of the key")->type_name("ADDRESS")->required();
            add_json_flag(app, options->output);
            return [options, state](Context& context) { return set_switch(*options, state, context); };
          }};
}

Command disabled_command() {
  return {.name = "disabled",
          .summary = "List the keys that services must not sign with, since when and by whom",
          .settings = {SettingId::kDatabaseUrl},
          .define = [](CLI::App& app) -> Action {
            auto output = std::make_shared<Output>(Output::kText);
            add_json_flag(app, *output);
            return [output](Context& context) { return list_disabled(*output, context); };
          }};
}

}  // namespace

Command keys_command() {
  return {.name = "keys",
          .group = kSetupGroup,
          .summary = "List, check and import validators' keys; disable and enable them",
          .description = "Keystore files are those of Aztec nodes, versions 1 and 2.",
          .subcommands = {list_keys_command(), check_keys_command(), keys_import_command(),
                          switch_command(KeyState::kDisabled), switch_command(KeyState::kEnabled), disabled_command()}};
}

}  // namespace hasigner::cli
