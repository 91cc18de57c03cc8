#include "hasigner/store/postgres/sql_errors.hpp"

#include <algorithm>
#include <array>

#include "hasigner/store/postgres/advice.hpp"

namespace hasigner::postgres {

namespace {

constexpr std::array<std::string_view, 4> kOtherTransactions = {"55P03", "40P01", "57014", "40001"};
constexpr std::array<std::string_view, 5> kSchemaErrors = {kUndefinedTable, kUndefinedColumn, kUndefinedFunction,
                                                           "3F000", "42P10"};

}  // namespace

bool met_another_transaction(const SqlError& error) {
  return error.kind == SqlErrorKind::kServer &&
         std::ranges::find(kOtherTransactions, error.sqlstate) != kOtherTransactions.end();
}

bool stays(const SqlError& error) {
  constexpr std::array<std::string_view, 6> kPassingClasses = {"08", "40", "53", "57", "58", "XX"};
  return error.kind == SqlErrorKind::kServer && !met_another_transaction(error) && error.sqlstate != "55006" &&
         std::ranges::find(kPassingClasses, std::string_view(error.sqlstate).substr(0, 2)) == kPassingClasses.end();
}

StoreError store_error(const SqlError& error) {
  switch (error.kind) {
    case SqlErrorKind::kNotSent: return {StoreErrorKind::kUnavailable, error.message};
    case SqlErrorKind::kLost: return {StoreErrorKind::kInDoubt, error.message};
    case SqlErrorKind::kIncompatible: return {StoreErrorKind::kIncompatible, error.message};
    case SqlErrorKind::kServer: break;
  }
  if (std::ranges::find(kSchemaErrors, error.sqlstate) != kSchemaErrors.end()) {
    // A table that is not there may be elsewhere, or gone: the status tells.
    const bool is_table = error.sqlstate == kUndefinedTable || error.sqlstate == "3F000";
    return {StoreErrorKind::kIncompatible,
            error.message + "; run: ha-signer migrate " + (is_table ? "status" : "up") + " --database-url URL"};
  }
  if (error.sqlstate == kUntranslatableCharacter || error.sqlstate == kTooLong) {
    return {StoreErrorKind::kIncompatible,
            error.message +
                "; the database's encoding cannot hold the node id: use one of ASCII characters, or a database "
                "in UTF8"};
  }
  if (error.sqlstate == kInsufficientPrivilege) {
    return {StoreErrorKind::kIncompatible,
            error.message + "; " + advice_about_rights(error.message, "ROLE") + " (ROLE is the URL's user)"};
  }
  return {StoreErrorKind::kUnavailable, error.message};
}

StoreError read_error(const SqlError& error) {
  StoreError read = store_error(error);
  if (read.kind == StoreErrorKind::kInDoubt) read.kind = StoreErrorKind::kUnavailable;
  return read;
}

}  // namespace hasigner::postgres
