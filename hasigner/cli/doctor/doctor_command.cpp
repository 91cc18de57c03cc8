#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <ostream>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/doctor/journal_checks.hpp"
#include "hasigner/cli/doctor/key_checks.hpp"
#include "hasigner/cli/doctor/postgres_checks.hpp"
#include "hasigner/cli/doctor/report.hpp"
#include "hasigner/cli/doctor/service_checks.hpp"
#include "hasigner/cli/doctor/sqlite_checks.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/service_settings.hpp"
#include "hasigner/cli/signer_settings.hpp"
#include "hasigner/factory/database_url.hpp"

namespace hasigner::cli::doctor {

namespace {

Finding check_settings(const Settings& settings) {
  try {
    (void)service_config(settings, {});
  } catch (const CommandError& error) {
    return refused(error.what(), "correct it; ha-signer config shows every setting and where it comes from");
  }
  return ok("serve accepts the settings");
}

Finding check_slots(const Settings& settings) {
  const bool has_genesis = settings.is_set(SettingId::kGenesisTime) && settings.is_set(SettingId::kSlotDurationS);
  const auto genesis = settings.number(SettingId::kGenesisTime);
  const auto now =
      std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()).time_since_epoch().count();
  if (has_genesis && genesis && static_cast<std::int64_t>(*genesis) > now) {
    return failure(settings.value(SettingId::kGenesisTime).given_as + " is " + std::to_string(*genesis) +
                       ", but this machine's clock says " + std::to_string(now) +
                       ": no slot has begun, so every duty is refused",
                   "set it to getGenesisTime() of the rollup contract, in seconds, or correct the clock");
  }
  if (has_genesis) return ok("slots that cannot have begun by the clock are refused");
  return warning(
      "without the genesis time, a client can ask for a slot up to 100000 ahead, which silences its "
      "validator until then once the row is deleted",
      "set HA_SIGNER_GENESIS_TIME (getGenesisTime() of the rollup contract) and AZTEC_SLOT_DURATION");
}

Group check_all_settings(const Settings& settings) {
  Group group{.title = "Settings", .findings = {}};
  group.run("settings", [&] { return check_settings(settings); });
  group.run("slots", [&] { return check_slots(settings); });
  return group;
}

/// A URL that is given without the switch is looked at too: the check of the settings tells about the switch.
bool uses_shared_database(const Settings& settings) {
  const auto& enabled = settings.value(SettingId::kSigningEnabled);
  if (settings.is_true(SettingId::kSigningEnabled)) return true;
  return settings.is_set(SettingId::kDatabaseUrl) && enabled.origin == SettingOrigin::kDefault;
}

std::string rollup_of(const Settings& settings) {
  const auto rollup = EthAddress::parse(settings.value(SettingId::kRollup).text);
  return rollup ? rollup->to_string() : "";
}

/// Keys that nodes of a database hold, which this node is told not to use.
void look_elsewhere(const Settings& settings, StoreFacts& facts) {
  if (!settings.is_set(SettingId::kDatabaseUrl)) return;
  const auto url = DatabaseUrl::parse(settings.value(SettingId::kDatabaseUrl).text);
  if (url && url->kind == DatabaseUrl::Kind::kPostgres) {
    facts.validators_elsewhere = validators_in(settings, store_settings(settings));
  }
}

Group check_store(const Settings& settings, StoreFacts& facts) {
  Group unknown{.title = "Store", .findings = {}};
  try {
    const bool is_shared = uses_shared_database(settings);
    const auto text = is_shared ? store_settings(settings).database_url : local_database(settings);
    const auto url = accepted(DatabaseUrl::parse(text));
    switch (url.kind) {
      case DatabaseUrl::Kind::kPostgres: return check_postgres(settings, store_settings(settings), facts);
      case DatabaseUrl::Kind::kSqlite: {
        if (!is_shared) look_elsewhere(settings, facts);
        facts.database_file = url.path;
        const auto node_id = is_shared ? settings.value(SettingId::kNodeId).text : local_node_id(settings);
        return check_sqlite({.path = url.path, .node_id = node_id, .rollup = rollup_of(settings)}, facts);
      }
      case DatabaseUrl::Kind::kMemory: break;
    }
    unknown.run("store", [] {
      return warning("the protection is in memory: a restart forgets what was signed",
                     "set DATA_DIRECTORY, or share a database: VALIDATOR_HA_SIGNING_ENABLED=true");
    });
  } catch (const CommandError&) {
    unknown.run("store", [] { return skipped("the settings name no store that serve accepts"); });
  }
  return unknown;
}

ExitCode run_doctor(Output output, Context& context) {
  StoreFacts facts;
  std::vector<Group> groups;
  groups.push_back(check_all_settings(context.settings));
  groups.push_back(check_store(context.settings, facts));
  groups.push_back(check_journal_and_audit_log(context.settings, facts));
  groups.push_back(check_keys(context.settings, facts));
  groups.push_back(check_service(context.settings, facts));
  if (output == Output::kJson) {
    print_json(groups, context.console.out);
  } else {
    print(groups, context.console.out);
  }
  return exit_code_of(groups);
}

}  // namespace

}  // namespace hasigner::cli::doctor

namespace hasigner::cli {

Command doctor_command() {
  return {
      .name = "doctor",
      .group = kSetupGroup,
      .summary = "Check a deployment before it signs",
      .description =
          "Takes the settings of serve, looks at the database, the keys and the service, and says of each check "
          "whether it is "
          "well, and what mends it. Run it as the user of the service, with its settings: before the first start, and "
          "after each change. It "
          "writes nothing and takes no lock that a running node waits for.\n\n"
          "Exits with 0 when no check fails (warnings and skipped checks included), with 2 after a failure, and with 6 "
          "when every failure is something that did not answer.",
      .examples = {{"Before the first start", "ha-signer doctor --config /etc/ha-signer/signer.toml"},
                   {"What is not well", "ha-signer doctor --json | jq '.checks[] | select(.verdict != \"ok\")'"}},
      .settings = service_settings(),
      .define = [](CLI::App& app) -> Action {
        auto output = std::make_shared<Output>(Output::kText);
        add_json_flag(app, *output);
        return [output](Context& context) { return doctor::run_doctor(*output, context); };
      }};
}

}  // namespace hasigner::cli
