#pragma once

#include "hasigner/cli/doctor/finding.hpp"
#include "hasigner/cli/doctor/store_facts.hpp"
#include "hasigner/cli/settings.hpp"

namespace hasigner::cli::doctor {

/// Checks what a node writes beside its store: the journal and the audit log. Nothing is made or written.
[[nodiscard]] Group check_journal_and_audit_log(const Settings& settings, const StoreFacts& facts);

}  // namespace hasigner::cli::doctor
