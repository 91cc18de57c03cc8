#include "hasigner/cli/signer_settings.hpp"

#include <algorithm>

#include "hasigner/cli/exit_code.hpp"
#include "hasigner/cli/service_settings.hpp"
#include "hasigner/cli/setting_values.hpp"
#include "hasigner/cli/slot_checks.hpp"

namespace hasigner::cli {

namespace {

SignerConfig unchecked_config(const Settings& settings, NodeId node_id, const EthAddress& rollup) {
  SignerConfig config{.node_id = std::move(node_id), .rollup = rollup};
  config.polling_interval = settings.duration(SettingId::kPollingIntervalMs);
  config.peer_signing_timeout = settings.duration(SettingId::kSigningTimeoutMs);
  config.signer_call_timeout = settings.duration(SettingId::kSignerCallTimeoutMs);
  config.attempt_timeout = settings.duration(SettingId::kAttemptTimeoutMs);
  config.max_stuck_duties_age = settings.duration(SettingId::kMaxStuckDutiesAgeMs);
  if (const auto hours = settings.number(SettingId::kOldDutiesMaxAgeH))
    config.old_duties_max_age = std::chrono::hours(*hours);
  if (settings.is_set(SettingId::kReturnRecorded)) {
    config.return_recorded = accepted(parse_duty_types(settings.value(SettingId::kReturnRecorded).text));
  }
  config.claim_delay = settings.duration(SettingId::kClaimDelayMs);
  if (settings.is_set(SettingId::kPreferredValidators)) {
    config.preferred_validators = accepted(parse_addresses(settings.value(SettingId::kPreferredValidators).text));
  }
  return config;
}

SignerConfig checked(const Settings& settings, SignerConfig config) {
  auto valid = validated(std::move(config));
  if (valid) return std::move(*valid);
  // The library names its field; the user knows the setting by the name by which it was given.
  for (const auto& definition : setting_definitions()) {
    if (definition.field == valid.error().field) settings.refuse(definition.id, valid.error().allowed);
  }
  throw CommandError(valid.error());
}

void check_pool(const Settings& settings) {
  if (settings.number(SettingId::kPoolMin) > settings.number(SettingId::kPoolMax)) {
    settings.refuse(SettingId::kPoolMin, "at most " + settings.value(SettingId::kPoolMax).given_as + ", which is " +
                                             settings.value(SettingId::kPoolMax).text);
  }
}

/// The library would refuse it too, but under the name of its own field.
void refuse_ephemeral(const Settings& settings) {
  const bool is_memory = settings.required(SettingId::kDatabaseUrl) == "memory:";
  if (!is_memory || settings.is_true(SettingId::kAllowEphemeralProtection)) return;
  settings.refuse(SettingId::kDatabaseUrl,
                  "sqlite:PATH, since memory: forgets what was signed when the process ends and a restart could sign "
                  "other data; where being slashed does not matter, set "
                  "VALIDATOR_ALLOW_EPHEMERAL_SIGNING_PROTECTION=true");
}

}  // namespace

SignerConfig signer_config(const Settings& settings) {
  return signer_config(settings, accepted(NodeId::parse(settings.required(SettingId::kNodeId))));
}

SignerConfig signer_config(const Settings& settings, NodeId node_id) {
  check_pool(settings);
  const auto rollup = EthAddress::parse(settings.required(SettingId::kRollup));
  return checked(settings, unchecked_config(settings, std::move(node_id), accepted(rollup)));
}

void check_together(const Settings& settings) {
  check_pool(settings);
  (void)slot_rules(settings);
  EthAddress rollup;
  rollup.bytes().back() = 1;
  if (settings.is_set(SettingId::kRollup)) rollup = accepted(EthAddress::parse(settings.required(SettingId::kRollup)));
  (void)checked(settings, unchecked_config(settings, accepted(NodeId::parse("unnamed")), rollup));
  (void)health_check(settings);
  if (settings.is_true(SettingId::kSigningEnabled)) {
    (void)settings.required(SettingId::kDatabaseUrl);
    (void)settings.required(SettingId::kNodeId);
  }
}

milliseconds longest_health_delay(const Settings& settings) {
  const auto config = unchecked_config(settings, accepted(NodeId::parse("unnamed")), {});
  return std::max(milliseconds(0), longest_claim_delay(config) - config.claim_delay);
}

StoreSettings store_settings(const Settings& settings) {
  refuse_ephemeral(settings);
  StoreSettings store{.database_url = settings.required(SettingId::kDatabaseUrl), .pool = {}, .sql_pool = {}};
  store.pool.max = settings.number(SettingId::kPoolMax).value();
  store.pool.min = settings.number(SettingId::kPoolMin).value();
  store.pool.idle_timeout = settings.duration(SettingId::kPoolIdleTimeoutMs);
  store.pool.connection_timeout = settings.duration(SettingId::kPoolConnectionTimeoutMs);
  store.allow_ephemeral = settings.is_true(SettingId::kAllowEphemeralProtection);
  store.storage_replicates = settings.is_true(SettingId::kStorageReplicates);
  store.open_timeout = std::min(store.open_timeout, settings.duration(SettingId::kAttemptTimeoutMs));
  return store;
}

HaSignerConfig ha_signer_config(const Settings& settings) {
  auto store = store_settings(settings);
  return {.signer = signer_config(settings),
          .database_url = std::move(store.database_url),
          .pool = std::move(store.pool),
          .allow_ephemeral = store.allow_ephemeral,
          .storage_replicates = store.storage_replicates,
          .slots = slot_rules(settings),
          .open_timeout = store.open_timeout};
}

}  // namespace hasigner::cli
