#include "hasigner/factory/database_url.hpp"

#include "hasigner/duty/utf8.hpp"
#include "hasigner/store/postgres/connection_string.hpp"

namespace hasigner {

namespace {

constexpr std::string_view kAllowed = "postgresql://USER@HOST/DATABASE or sqlite:PATH";
constexpr std::string_view kSqlite = "sqlite:";

/// `sqlite://x` looks like a path x to some and like a host x to others, and SQLite reads some names as something else.
bool is_plain_path(std::string_view path) {
  const bool two_slashes = path.starts_with("//") && !path.starts_with("///");
  return !path.empty() && !two_slashes && !path.starts_with(':') && !path.starts_with("file:") &&
         path.find('\0') == std::string_view::npos;
}

}  // namespace

Parsed<DatabaseUrl> DatabaseUrl::parse(std::string_view given, std::string_view field) {
  const auto text = trimmed(given);
  if (text.starts_with("postgresql://") || text.starts_with("postgres://")) return DatabaseUrl{Kind::kPostgres, ""};
  if (text == "memory:") return DatabaseUrl{Kind::kMemory, ""};
  if (text.starts_with(kSqlite)) {
    const auto path = text.substr(kSqlite.size());
    if (is_plain_path(path)) return DatabaseUrl{Kind::kSqlite, std::string(path)};
    return std::unexpected(
        InvalidInput{std::string(field), printable(text),
                     "sqlite: and a path, absolute (sqlite:/var/lib/signer.db) or relative (sqlite:signer.db)"});
  }
  const auto shown = printable(text.empty() ? std::string("missing") : postgres::mask_password(text));
  return std::unexpected(InvalidInput{std::string(field), shown, std::string(kAllowed)});
}

}  // namespace hasigner
