#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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
  kSlotDurationS,
  kGenesisTime,
  kSlotsAhead,
  kOldDutiesMaxAgeH,
  kPoolMax,
  kPoolMin,
  kPoolIdleTimeoutMs,
  kPoolConnectionTimeoutMs,
  kStorageReplicates,
  kAllowEphemeralProtection,
  kReturnRecorded,
  kClaimDelayMs,
  kPreferredValidators,
  kDataDirectory,
  kJournal,
  // Of the service.
  kKeyStoreDirectory,
  kChainId,
  kEmpireSlashingProposer,
  kListen,
  kClientsFile,
  kAuditLog,
  kTlsCertificate,
  kTlsKey,
  kTlsClientAuthority,
  kAllowPlainHttp,
  kAllowedHosts,
  kMaxConnections,
  kMaxConnectionsPerAddress,
  kMaxRequests,
  kMaxBodyBytes,
  kMaxDutiesPerRequest,
  kMaxOpenClaims,
  kHeaderTimeoutMs,
  kBodyTimeoutMs,
  kIdleTimeoutMs,
  kDrainTimeoutMs,
  // Of the health of the node.
  kHealthUrl,
  kHealthIntervalMs,
  kHealthFailures,
  kHealthDelayMs,
  kHealthRefuses,
  // Of remote signers.
  kRemoteCaFile,
  kRemoteTimeoutMs,
  kRemoteConnections,
  kRemoteSignFirst,
};

enum class SettingKind : std::uint8_t {
  kText,
  kPath,
  kDatabaseUrl,
  kWebUrl,
  kNodeId,
  kAddress,
  kAddresses,
  kBoolean,
  kNumber,
  kDutyTypes,
};

/// One setting, by all its names. Names that the published package has too are its own; defaults are the library's.
struct SettingDefinition {
  SettingId id;
  SettingKind kind = SettingKind::kText;
  std::string_view flag;                      ///< `--node-id`
  std::string_view key;                       ///< in the file: `node_id`
  std::vector<std::string_view> environment;  ///< the first is the one that is shown
  std::string_view placeholder;               ///< of its value, with the unit: `MS`, `HOURS`
  std::string fallback;                       ///< the default; empty: there is none
  std::string_view field = {};                ///< of SignerConfig, which its errors name; empty: of something else
  std::string meaning;
  std::uint64_t least = 0, most = 0;  ///< of a number
};

/// All of them, in the order in which they are shown.
[[nodiscard]] std::span<const SettingDefinition> setting_definitions();
[[nodiscard]] const SettingDefinition& definition_of(SettingId id);

/// The settings that a signer needs: everything but those of the program itself and of its service.
[[nodiscard]] std::vector<SettingId> signer_settings();
/// All of them: the service's and the signer's in it.
[[nodiscard]] std::vector<SettingId> service_settings();

}  // namespace hasigner::cli
