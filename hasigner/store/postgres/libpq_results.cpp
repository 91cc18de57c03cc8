#include "hasigner/store/postgres/libpq_results.hpp"

#include <libpq-fe.h>

#include <charconv>
#include <optional>
#include <utility>
#include <vector>

namespace hasigner::postgres {
namespace {

std::vector<std::optional<std::string>> row_of(const pg_result* result, int row) {
  const int columns = PQnfields(result);
  std::vector<std::optional<std::string>> values;
  values.reserve(static_cast<std::size_t>(columns));
  for (int column = 0; column < columns; ++column) {
    if (PQgetisnull(result, row, column) != 0) {
      values.emplace_back();
    } else {
      values.emplace_back(std::in_place, PQgetvalue(result, row, column),
                          static_cast<std::size_t>(PQgetlength(result, row, column)));
    }
  }
  return values;
}

}  // namespace

void PgClear::operator()(pg_result* result) const {
  PQclear(result);
}

std::string field_of(const pg_result* result, int field) {
  const char* text = PQresultErrorField(result, field);
  return text == nullptr ? std::string() : std::string(text);
}

SqlRows rows_of(const pg_result* result) {
  SqlRows rows;
  const int count = PQntuples(result);
  rows.rows.reserve(static_cast<std::size_t>(count));
  for (int row = 0; row < count; ++row) rows.rows.push_back(row_of(result, row));
  const std::string_view affected = PQcmdTuples(const_cast<pg_result*>(result));
  std::from_chars(affected.data(), affected.data() + affected.size(), rows.affected);
  return rows;
}

SqlError server_error(const pg_result* result) {
  SqlError error{SqlErrorKind::kServer, field_of(result, PG_DIAG_SQLSTATE), field_of(result, PG_DIAG_MESSAGE_PRIMARY)};
  if (const auto detail = field_of(result, PG_DIAG_MESSAGE_DETAIL); !detail.empty())
    error.message += " (" + detail + ")";
  if (const auto hint = field_of(result, PG_DIAG_MESSAGE_HINT); !hint.empty()) error.message += " (" + hint + ")";
  return error;
}

}  // namespace hasigner::postgres
