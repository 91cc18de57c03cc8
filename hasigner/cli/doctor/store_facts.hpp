#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

namespace hasigner::cli::doctor {

/// Validators of the rollup, in lower case, of which the newest rows or a watermark are there, with the ids of the
/// nodes of those rows.
using KnownValidators = std::map<std::string, std::set<std::string>>;

/// What the checks of a store have learnt, for the checks after it.
struct StoreFacts {
  bool this_node_is_alive = false;                      ///< a process holds this node's id at the moment
  bool is_shared = false;                               ///< other nodes may hold the same keys
  std::optional<std::string> database_file;             ///< of a store that is a SQLite file
  std::optional<KnownValidators> known_validators;      ///< of the store; nullopt: unknown
  std::optional<KnownValidators> validators_elsewhere;  ///< of a database that the settings name, but do not use
};

}  // namespace hasigner::cli::doctor
