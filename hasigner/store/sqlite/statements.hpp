#pragma once

#include <span>
#include <string>
#include <string_view>

#include "hasigner/store/sql/sql_templates.hpp"

namespace hasigner::sqlite {

/// The statement in sql/NAME.sql, which says what it does and what its parameters are.
[[nodiscard]] std::string statement(std::string_view name);

/// The files in sql/ that the statements are made of.
[[nodiscard]] std::span<const sql::SqlFile> sql_files();

}  // namespace hasigner::sqlite
