#pragma once

#include <memory>
#include <string>

#include "hasigner/store/postgres/sql_executor.hpp"

struct pg_result;

namespace hasigner::postgres {

struct PgClear {
  void operator()(pg_result* result) const;
};
using PgResultPointer = std::unique_ptr<pg_result, PgClear>;

/// A field of an error or notice; empty when the server did not send it.
[[nodiscard]] std::string field_of(const pg_result* result, int field);

[[nodiscard]] SqlRows rows_of(const pg_result* result);

[[nodiscard]] SqlError server_error(const pg_result* result);

}  // namespace hasigner::postgres
