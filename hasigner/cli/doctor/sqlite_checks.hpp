#pragma once

#include "hasigner/cli/doctor/finding.hpp"
#include "hasigner/cli/doctor/store_facts.hpp"
#include "hasigner/cli/settings.hpp"

namespace hasigner::cli::doctor {

/// Which file protects, and as which node.
struct SqliteDeployment {
  std::string path;
  std::string node_id;
  std::string rollup;  ///< in lower case; empty: not set
};

/// Checks the file and where it lies. Nothing is made or written.
[[nodiscard]] Group check_sqlite(const SqliteDeployment& deployment, StoreFacts& facts);

}  // namespace hasigner::cli::doctor
