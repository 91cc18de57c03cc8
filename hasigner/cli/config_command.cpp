#include <memory>
#include <optional>
#include <ostream>

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/contains.hpp"
#include "hasigner/cli/nearest.hpp"
#include "hasigner/cli/output.hpp"
#include "hasigner/cli/signer_settings.hpp"
#include "hasigner/cli/table.hpp"

namespace hasigner::cli {

namespace {

nlohmann::ordered_json json_value(const SettingDefinition& definition, const Settings& settings) {
  if (!settings.is_set(definition.id)) return nullptr;
  if (definition.kind == SettingKind::kBoolean) return settings.is_true(definition.id);
  if (const auto number = settings.number(definition.id); number && definition.kind == SettingKind::kNumber)
    return *number;
  return settings.shown(definition.id);
}

void print_settings_json(const Settings& settings, const std::optional<CommandError>& problem, std::ostream& out) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& definition : setting_definitions()) {
    const auto& value = settings.value(definition.id);
    const bool is_given = value.origin != SettingOrigin::kDefault && value.origin != SettingOrigin::kUnset;
    list.push_back({{"name", definition.environment.front()},
                    {"flag", definition.flag},
                    {"key", definition.key},
                    {"value", json_value(definition, settings)},
                    {"from", to_string(value.origin)},
                    {"given_as", is_given ? nlohmann::ordered_json(value.given_as) : nlohmann::ordered_json(nullptr)}});
  }
  nlohmann::ordered_json object;
  object["config_file"] =
      settings.config_file().empty() ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(settings.config_file());
  object["settings"] = std::move(list);
  object["problem"] = problem ? nlohmann::ordered_json(problem->what()) : nlohmann::ordered_json(nullptr);
  print_json(out, object);
}

void print_people(const Settings& settings, const Console& console) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& definition : setting_definitions()) {
    const auto& value = settings.value(definition.id);
    const bool is_given = value.origin != SettingOrigin::kDefault && value.origin != SettingOrigin::kUnset;
    const std::string from = std::string(to_string(value.origin)) + (is_given ? ": " + value.given_as : "");
    rows.push_back({std::string(definition.environment.front()),
                    settings.is_set(definition.id) ? settings.shown(definition.id) : "", from});
  }
  print_table(
      console.out,
      {{.heading = "SETTING", .least = 20}, {.heading = "VALUE", .least = 12}, {.heading = "FROM", .least = 12}}, rows,
      console.out_is_terminal ? console.columns : 0);
}

/// Variables that look like settings but are not: nothing reads them, so no other check would find a typing error.
std::vector<std::string> unknown_variables() {
  std::vector<std::string> known, unknown;
  for (const auto& definition : setting_definitions()) {
    known.insert(known.end(), definition.environment.begin(), definition.environment.end());
  }
  known.emplace_back("HA_SIGNER_CONFIG");
  for (char** variable = environ; *variable; ++variable) {
    const std::string_view text = *variable;
    const std::string name(text.substr(0, text.find('=')));
    const bool looks_like_one = name.starts_with("VALIDATOR_HA_") || name.starts_with("HA_SIGNER_");
    if (looks_like_one && !contains(known, name)) unknown.push_back(printable(name) + did_you_mean(name, known));
  }
  return unknown;
}

std::optional<CommandError> problem_of(const Settings& settings) {
  try {
    check_together(settings);
  } catch (const CommandError& error) {
    return error;
  }
  return std::nullopt;
}

ExitCode show_config(Output output, Context& context) {
  const auto problem = problem_of(context.settings);
  if (output == Output::kJson) {
    print_settings_json(context.settings, problem, context.console.out);
  } else {
    print_people(context.settings, context.console);
  }
  for (const auto& name : unknown_variables())
    context.console.err << "note: the variable " << name << " is not a setting\n";
  if (!problem) return ExitCode::kSuccess;
  context.console.err << "ha-signer: " << problem->what() << '\n';
  return problem->code();
}

std::vector<SettingId> all_settings() {
  std::vector<SettingId> ids;
  for (const auto& definition : setting_definitions()) ids.push_back(definition.id);
  return ids;
}

}  // namespace

Command config_command() {
  return {.name = "config",
          .group = kSetupGroup,
          .summary = "Show the settings in force and where each comes from",
          .description = "Passwords are masked. Exits with 2 when the settings contradict each other.",
          .examples = {{"What a signer started here would use", "ha-signer config"},
                       {"The same for a file of settings", "ha-signer config --config /etc/ha-signer.toml"}},
          .settings = all_settings(),
          .define = [](CLI::App& app) -> Action {
            auto output = std::make_shared<Output>(Output::kText);
            add_json_flag(app, *output);
            return [output](Context& context) { return show_config(*output, context); };
          }};
}

}  // namespace hasigner::cli
