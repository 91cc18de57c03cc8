#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "hasigner/cli/commands.hpp"
#include "hasigner/cli/confirmation.hpp"
#include "hasigner/cli/database.hpp"
#include "hasigner/cli/output.hpp"

namespace hasigner::cli {

namespace {

constexpr std::uint64_t kMostHours = 87'600;
/// Signed duties of another rollup that are younger may belong to nodes at work.
constexpr std::chrono::hours kOtherRollupsAge{24};

struct PruneOptions {
  std::optional<std::string> older_than;
  bool other_rollups = false;
  bool expired = false;
  bool dry_run = false;
  Consent consent = Consent::kAsk;
  Output output = Output::kText;
};

std::optional<std::chrono::hours> age_of(const PruneOptions& options) {
  if (!options.older_than) return std::nullopt;
  const auto hours = Slot::parse(*options.older_than);
  if (hours && hours->value() >= 1 && hours->value() <= kMostHours) return std::chrono::hours(hours->value());
  throw CommandError(InvalidInput{"--older-than", printable(*options.older_than),
                                  "a whole number of hours from 1 to " + std::to_string(kMostHours)});
}

RemovalRequest request_of(const PruneOptions& options, const Settings& settings) {
  const auto age = age_of(options);
  // Not the name of a node: the duties of all nodes are pruned.
  RemovalRequest request{.node_id = accepted(NodeId::parse("ha-signer prune"))};
  if (options.expired) {
    if (age)
      throw CommandError(ExitCode::kUsage,
                         "--expired and --older-than contradict each other: expired duties carry their own deadline");
    if (options.other_rollups)
      throw CommandError(ExitCode::kUsage, "--expired and --other-rollups contradict each other: choose one");
    request.what = Removal::kExpired;
  } else if (options.other_rollups) {
    request.what = Removal::kOtherRollups;
    request.rollup = accepted(EthAddress::parse(settings.required(SettingId::kRollup), "--rollup"));
    request.max_age = age.value_or(kOtherRollupsAge);
  } else if (age) {
    request.what = Removal::kOld;
    request.max_age = *age;
  } else {
    throw CommandError(ExitCode::kUsage, "name what to remove: --older-than HOURS, --expired or --other-rollups");
  }
  return request;
}

std::string describe(const RemovalRequest& request) {
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(request.max_age).count();
  const std::string age = std::to_string(hours) + (hours == 1 ? " hour" : " hours");
  switch (request.what) {
    case Removal::kExpired: return "signed duties past their deadline";
    case Removal::kOtherRollups:
      return "signed duties of rollups other than " + request.rollup.to_string() + ", older than " + age;
    case Removal::kOld:
    case Removal::kAbandoned:
    case Removal::kStuck:
    case Removal::kReleased: break;
  }
  return "duties older than " + age;
}

/// Removes chunk after chunk, so that no signer waits long for any of them.
std::size_t remove_all(Database& database, const RemovalRequest& request) {
  std::size_t removed = 0;
  while (true) {
    const auto outcome = database.wait_for(database.store().remove(request, Database::within(kLookTimeout)));
    if (outcome.refused_for_foreign_nodes) {
      throw CommandError(ExitCode::kFailure,
                         "nothing more was removed: nodes of the published package have signed lately, and they do "
                         "not obey watermarks, so they could "
                         "sign a removed duty again; stop them first",
                         "foreign_nodes");
    }
    removed += outcome.removed;
    if (outcome.removed < request.limit) return removed;
  }
}

/// What was released on the claims of other nodes goes by the age of duties, and after them.
std::vector<RemovalRequest> parts_of(const RemovalRequest& request) {
  if (request.what != Removal::kOld) return {request};
  auto released = request;
  released.what = Removal::kReleased;
  return {request, std::move(released)};
}

void print_removal_json(const RemovalRequest& request, std::size_t matched, std::optional<std::size_t> removed,
                        std::ostream& out) {
  nlohmann::ordered_json object = {{"what", describe(request)}, {"matched", matched}};
  object["removed"] = removed ? nlohmann::ordered_json(*removed) : nlohmann::ordered_json(nullptr);
  print_json(out, object);
}

ExitCode prune(const PruneOptions& options, Context& context) {
  const RemovalRequest request = request_of(options, context.settings);
  Database database(context.settings, MissingFile::kRefuse);
  std::size_t matched = 0;
  for (const auto& part : parts_of(request)) {
    matched += database.wait_for(database.history().preview(part, Database::within(kBulkTimeout))).rows;
  }
  const std::string what = std::to_string(matched) + " " + describe(request);
  if (options.dry_run || matched == 0) {
    if (options.output == Output::kJson) {
      print_removal_json(request, matched, std::nullopt, context.console.out);
    } else {
      context.console.out << (options.dry_run ? "would remove " : "nothing to remove: ") << what << '\n';
    }
    return ExitCode::kSuccess;
  }
  require_consent(context.console, options.consent,
                  "this removes " + what + ", with their signatures, from " + database.shown_url() +
                      "; low watermarks keep their slots from being signed again");
  std::size_t removed = 0;
  for (const auto& part : parts_of(request)) removed += remove_all(database, part);
  if (options.output == Output::kJson) {
    print_removal_json(request, matched, removed, context.console.out);
  } else {
    context.console.out << "removed " << removed << " " << describe(request) << '\n';
  }
  return ExitCode::kSuccess;
}

}  // namespace

Command prune_command() {
  return {
      .name = "prune",
      .group = kMaintenanceGroup,
      .summary = "Remove old duties; watermarks keep their slots protected",
      .description =
          "When a signed duty is removed, the low watermark of its validator and type rises to its slot in the same "
          "transaction, so "
          "nothing at or below it is signed again. Refused while nodes of the published package sign, since they do "
          "not obey "
          "watermarks.",
      .examples = {{"How many duties are older than 30 days", "ha-signer prune --older-than 720 --dry-run"},
                   {"Remove the duties of a former rollup",
                    "ha-signer prune --other-rollups --rollup 0x1111111111111111111111111111111111111111"}},
      .settings = {SettingId::kDatabaseUrl, SettingId::kRollup},
      .define = [](CLI::App& app) -> Action {
        auto options = std::make_shared<PruneOptions>();
        app.add_option("--older-than", options->older_than, "Remove duties that were signed longer ago")
            ->type_name("HOURS");
        app.add_flag(
            "--other-rollups", options->other_rollups,
            "Remove signed duties of rollups other than --rollup, 24 hours old if --older-than does not say otherwise");
        app.add_flag("--expired", options->expired,
                     "Remove signed duties past the deadline that they carry (schema version 3)");
        app.add_flag("--dry-run", options->dry_run, "Only count");
        add_yes_flag(app, options->consent);
        add_json_flag(app, options->output);
        return [options](Context& context) { return prune(*options, context); };
      }};
}

}  // namespace hasigner::cli
