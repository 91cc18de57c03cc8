#pragma once

#include <span>
#include <string_view>

namespace hasigner::postgres {

/// A step between two versions of the tables that are shared with the published package; schema/postgres holds its SQL.
struct Migration {
  int version = 0;        ///< that it leads to
  std::string_view name;  ///< as the published tool lists it, e.g. `1_initial-schema`
  std::string_view up;
  std::string_view down;
};

/// By version: 1, 2, 3, …
[[nodiscard]] std::span<const Migration> shared_migrations();

/// Makes the list of those that were applied.
[[nodiscard]] std::string_view migration_list();

/// Makes what is missing of our own objects.
[[nodiscard]] std::string_view own_schema();

}  // namespace hasigner::postgres
