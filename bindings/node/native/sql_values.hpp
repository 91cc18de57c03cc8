#pragma once

#include <napi.h>

#include <vector>

#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner::node {

/// An error as lib/pool.js reports it: `{kind, code, message}`.
[[nodiscard]] postgres::SqlError sql_error_of(const Napi::Object& error);

/// Results as lib/pool.js reports them: `[rows, rowCount, rows, rowCount, …]`, rows as arrays of text or null.
[[nodiscard]] std::vector<postgres::SqlRows> sql_rows_of(const Napi::Array& given);

}  // namespace hasigner::node
