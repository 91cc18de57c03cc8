#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hasigner/duty/invalid_input.hpp"
#include "hasigner/protection/clock.hpp"

namespace hasigner::postgres {

enum class MigrationErrorKind : std::uint8_t {
  kUnavailable,      ///< no connection; nothing was done
  kBusy,             ///< another migration is at work, or the tables are locked; nothing was done
  kNotThisDatabase,  ///< what is there is not, or not any more, what this program can migrate
  kNodesAtWork,      ///< nodes that would refuse the newer version have signed lately
  kFailed,           ///< a statement failed; its migration was rolled back, earlier ones stay
  kInDoubt,          ///< the connection broke; ask for the status
};

struct MigrationError {
  MigrationErrorKind kind = MigrationErrorKind::kFailed;
  std::string message;  ///< for a person, without secrets
};

/// What a database holds of the shared tables and of our own objects.
struct SchemaStatus {
  std::optional<int> version;             ///< of the shared tables; nullopt when there are none
  std::vector<std::string> applied;       ///< as the published tool's list has it
  std::vector<std::string> pending;       ///< up to the newest version
  std::vector<std::string> own_missing;   ///< of our own objects
  std::vector<std::string> signer_roles;  ///< that may write our tables, without their owner
  std::vector<std::string>
      nodes_at_work;  ///< ids of nodes not of this program with rows of the last two days, at most 20
};

struct MigrationReport {
  std::vector<std::string> names;  ///< applied or rolled back, in the order in which that was done
  bool own_objects_made = false;   ///< some were missing
};

/// What up() does while nodes that would refuse the newest version are at work.
enum class WhileNodesWork : std::uint8_t { kRefuse, kMigrate };

struct UpRequest {
  std::optional<int> to;  ///< a version; nullopt: the newest
  WhileNodesWork while_nodes_work = WhileNodesWork::kRefuse;
  std::vector<std::string> grant_to;  ///< names of roles that get what a signer needs
};

struct MigratorOptions {
  milliseconds lock_wait{60'000};      ///< for another migration to end, and for busy tables
  milliseconds work_limit{3'600'000};  ///< for one statement
};

/// Migrates a PostgreSQL database: the tables shared with the published package, then our own objects beside them.
///
/// It understands a database that the published tool has migrated, keeps that tool's list, and holds its lock, so that
/// runs from several machines, of either tool, are safe. Each step is one transaction with its entry in the list.
/// Blocking: a call returns when it is done.
/// Thread safety: one call at a time.
class Migrator {
 public:
  using Result = std::expected<MigrationReport, MigrationError>;

  /// Errors: InvalidInput for the URL.
  [[nodiscard]] static Parsed<Migrator> create(std::string url, MigratorOptions options = {});

  /// The newest version that this program knows.
  [[nodiscard]] static int newest_version();

  /// Brings the shared tables to version `to` (never back), and makes what is missing of our own objects.
  ///
  /// Without `to` it goes to the newest version, but refuses with kNodesAtWork while nodes that would refuse that
  /// version are at work, unless it is told to migrate.
  /// Roles get rights on our objects only where they are named; a role that was made a signer before gets what is new.
  [[nodiscard]] Result up(UpRequest request = {});

  /// Takes back the last migration of the list. Our own tables stay.
  ///
  /// With `expected` it refuses with kNotThisDatabase if another one is the last by now: the consent was for the
  /// expected one.
  [[nodiscard]] Result down(const std::optional<std::string>& expected = std::nullopt);

  /// All of one moment, also while another process migrates.
  [[nodiscard]] std::expected<SchemaStatus, MigrationError> status();

  Migrator(Migrator&&) noexcept;
  Migrator& operator=(Migrator&&) noexcept;
  ~Migrator();

 private:
  class Session;
  struct Config;
  explicit Migrator(std::unique_ptr<Config> config);
  std::unique_ptr<Config> config_;
};

}  // namespace hasigner::postgres
