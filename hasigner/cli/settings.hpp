#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hasigner/protection/config.hpp"

namespace hasigner::cli {

enum class SettingId : std::uint8_t {
  kDatabaseUrl,
  kNodeId,
  kRollup,
  kSigningEnabled,
  kPollingIntervalMs,
  kSigningTimeoutMs,
  kSignerCallTimeoutMs,
  kAttemptTimeoutMs,
  kMaxStuckDutiesAgeMs,
  kOldDutiesMaxAgeH,
  kPoolMax,
  kPoolMin,
  kPoolIdleTimeoutMs,
  kPoolConnectionTimeoutMs,
  kAllowEphemeralProtection,
  kDataDirectory,
  // Of the service.
  kKeyStoreDirectory,
  kChainId,
  kListen,
  kClientsFile,
  kTlsCertificate,
  kTlsKey,
  kTlsClientAuthority,
  kAllowPlainHttp,
  kMaxConnections,
  kMaxRequests,
  kMaxBodyBytes,
  kMaxDutiesPerRequest,
  kHeaderTimeoutMs,
  kBodyTimeoutMs,
  kIdleTimeoutMs,
  kDrainTimeoutMs,
  // Of remote signers.
  kRemoteCaFile,
  kRemoteTimeoutMs,
  kRemoteConnections,
};

enum class SettingKind : std::uint8_t { kText, kPath, kDatabaseUrl, kNodeId, kAddress, kBoolean, kNumber };

/// One setting, by all its names. Those that the published package has, too, have its names and defaults.
struct SettingDefinition {
  SettingId id;
  SettingKind kind = SettingKind::kText;
  std::string_view flag;                      ///< `--node-id`
  std::string_view key;                       ///< in the file: `node_id`
  std::vector<std::string_view> environment;  ///< the first is the one that is shown
  std::string_view placeholder;               ///< of its value, with the unit: `MS`, `HOURS`
  std::string_view fallback;                  ///< the default; empty: none
  std::string_view meaning;
  std::uint64_t least = 0, most = 0;  ///< of a number
};

/// All of them, in the order in which they are shown.
[[nodiscard]] std::span<const SettingDefinition> setting_definitions();
[[nodiscard]] const SettingDefinition& definition_of(SettingId id);

/// The settings that a signer needs: everything but those of the program itself and of its service.
[[nodiscard]] std::vector<SettingId> signer_settings();
/// All of them: the service's and the signer's in it.
[[nodiscard]] std::vector<SettingId> service_settings();

enum class SettingOrigin : std::uint8_t {
  kUnset,
  kDefault,
  kDerived,  ///< in place of a default that contradicts another setting's given value
  kFile,
  kEnvironment,
  kFlag,
};
[[nodiscard]] std::string_view to_string(SettingOrigin origin);

struct SettingValue {
  std::string text;  ///< may be a secret: see Settings::shown()
  SettingOrigin origin = SettingOrigin::kUnset;
  std::string given_as;  ///< `--node-id`, `VALIDATOR_HA_NODE_ID`, `signer.toml:3: node_id`; the variable's name for a
                         ///< default; for a derived value from what: `half of --max-stuck-duties-age-ms`
};

/// Where values may come from.
struct SettingSources {
  std::map<SettingId, std::string> flags;
  std::optional<std::string> config_file;  ///< --config; without it the variable HA_SIGNER_CONFIG names the file
  std::function<std::optional<std::string>(std::string_view)> environment;
  std::vector<SettingId> wanted;  ///< others are neither read from the environment nor given
  bool database_url_of_migrations = false;
};

/// The effective settings: flag over environment over file over default.
///
/// Where only the stuck-duty age is given and is too short for the default time-outs, these follow it: half of it for a
/// call of the sign function, three quarters for the whole attempt.
/// An empty environment variable counts as not set. A file is used only if it is named: one that happens to lie in the
/// working directory never decides what a signer does. Every key of the file must be a known one, with a right value.
class Settings {
 public:
  /// Throws CommandError naming the setting as the user gave it, the value and what is allowed.
  [[nodiscard]] static Settings load(const SettingSources& sources);

  [[nodiscard]] const SettingValue& value(SettingId id) const;
  [[nodiscard]] bool is_set(SettingId id) const { return value(id).origin != SettingOrigin::kUnset; }
  /// For people and logs: without passwords.
  [[nodiscard]] std::string shown(SettingId id) const;

  /// Throws CommandError naming flag, variable and key when there is none.
  [[nodiscard]] const std::string& required(SettingId id) const;
  [[nodiscard]] bool is_true(SettingId id) const { return value(id).text == "true"; }
  [[nodiscard]] std::optional<std::uint64_t> number(SettingId id) const;
  /// Of a setting that has a default and counts milliseconds.
  [[nodiscard]] milliseconds duration(SettingId id) const;

  /// Throws CommandError: the setting as it was given, its value, what is allowed.
  [[noreturn]] void refuse(SettingId id, const std::string& allowed) const;

  /// Sentences that a person should read; nothing is wrong enough to stop.
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  [[nodiscard]] const std::string& config_file() const { return config_file_; }

 private:
  void accept(SettingId id, SettingValue value);
  void read_file(const std::string& path);
  void derive_from_stuck_age(SettingId id, std::uint64_t parts, std::uint64_t whole, std::string_view part_name);

  std::map<SettingId, SettingValue> values_;
  std::vector<std::string> notes_;
  std::string config_file_;
};

/// The signer's configuration, every value checked against the others.
///
/// Errors: CommandError as for Settings; node id and rollup are required.
[[nodiscard]] SignerConfig signer_config(const Settings& settings);
/// The same for a node whose id is said otherwise.
[[nodiscard]] SignerConfig signer_config(const Settings& settings, NodeId node_id);

/// Checks what settings say about each other, whether or not node id and rollup are there.
void check_together(const Settings& settings);

}  // namespace hasigner::cli
