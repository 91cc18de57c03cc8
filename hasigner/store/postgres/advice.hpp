#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hasigner::postgres {

/// What to do where the search path shows no table validator_duties, but other schemas have one.
///
/// `schemas` is what sql/fragments/schemas_elsewhere.sql gives: `duties`, or `public (no usage)`.
[[nodiscard]] std::string advice_about_hidden_tables(std::string_view schemas);

enum class MigrationList : std::uint8_t { kThere, kGone };

/// What to do where the table of duties was dropped. Making it anew would forget what was signed. `list` is
/// pgmigrations.
[[nodiscard]] std::string advice_about_dropped_tables(MigrationList list = MigrationList::kThere);

/// The statement that gives `role` the right which the server's message says is missing.
///
/// Returns a sentence without a statement for a message in another language than English.
[[nodiscard]] std::string advice_about_rights(std::string_view message, std::string_view role);

}  // namespace hasigner::postgres
