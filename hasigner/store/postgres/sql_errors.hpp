#pragma once

#include <string_view>

#include "hasigner/protection/store.hpp"
#include "hasigner/store/postgres/sql_executor.hpp"

namespace hasigner::postgres {

inline constexpr std::string_view kUndefinedColumn = "42703";
inline constexpr std::string_view kUndefinedTable = "42P01";
inline constexpr std::string_view kUndefinedFunction = "42883";
inline constexpr std::string_view kInsufficientPrivilege = "42501";
inline constexpr std::string_view kUntranslatableCharacter = "22P05";
inline constexpr std::string_view kTooLong = "22001";
inline constexpr std::string_view kUniqueViolation = "23505";
inline constexpr std::string_view kDivisionByZero = "22012";

/// The server gave a statement up because of another transaction: lock time-out, deadlock, cancel,
/// serialization.
[[nodiscard]] bool met_another_transaction(const SqlError& error);

/// Whether the server answered with an error that asking again does not mend: a missing table, function or right, a
/// function that it does not offer. Not so: trouble of the connection, of resources, of other transactions, of the
/// server itself.
[[nodiscard]] bool stays(const SqlError& error);

/// What an error means for a single statement. An error that the server reports has changed nothing; a missing table,
/// column, function or right does not get better by asking again.
[[nodiscard]] StoreError store_error(const SqlError& error);

/// The same for a statement that writes nothing, so that a lost answer leaves nothing in doubt.
[[nodiscard]] StoreError read_error(const SqlError& error);

}  // namespace hasigner::postgres
